//! What a request may use: held before its first attempt, raised for a dearer candidate, ended by its settlement.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::task::Task;
use super::turns::Turn;
use super::{Caller, Denied, Parts};
use crate::canonical::TokenUsage;
use crate::dialects::weight::Weight;
use crate::domain::ids::{OperationId, VirtualKeyId};
use crate::domain::money::NanoCents;
use crate::domain::operation::Operation;
use crate::domain::price::{Pricing, UnknownTerm};
use crate::domain::terms::Terms;
use crate::domain::virtual_key::BudgetMode;
use crate::fault::{Fault, Kind, Outcome};
use crate::ledger::estimate::{Bounds, Size, Unbounded};
use crate::ledger::{About, Admitted, Ask, Hold, Limits, Reason, Refusal, Standing, Subject};
use crate::routing::{Candidate, KeyEntry, Target};
use crate::tokens::bpe;

/// Between two looks at a budget whose money others hold: at first, and at most. Who is first is woken
/// where money comes free here; so this is for what others let go.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LAST_LOOK: Duration = Duration::from_millis(80);

/// What a stated limit of output adds to a request, at most.
const STATED_BYTES: u64 = 64;

/// Requests whose text is counted at the same time; the others are judged by the estimate.
static COUNTING: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(4);

/// The account of one request.
pub(super) struct Account {
    parts: Arc<Parts>,
    key: Option<Arc<KeyEntry>>,
    operation: OperationId,
    task: Arc<dyn Task>,
    size: Size,
    weight: Weight,
    /// What it holds of its key's limits.
    hold: Option<Hold>,
    /// How the key's requests per minute stood when the request was counted, where that came before anything was held.
    counted: Option<Standing>,
    /// What it holds of the limits of the deployment that is being called.
    deployment: Option<Hold>,
}

/// Whether a candidate may be called.
pub(super) enum Leave {
    /// Yes.
    Granted,
    /// Not for this request: it is dearer than what is left, or its price is unknown.
    TooDear,
    /// Not before so long.
    Limited(Duration),
}

/// Why a candidate has no price for a request.
#[derive(Debug, Clone)]
pub(super) enum NoPrice {
    Unknown,
    Audio,
    /// A field that is asked for has no price at this model.
    Field(String),
    Unbounded(Unbounded),
}

impl Account {
    /// Opens the account of a request.
    ///
    /// # Errors
    /// `BadRequest` when a key with a budget sends what cannot be priced.
    pub(super) fn open(parts: &Arc<Parts>, caller: &Caller, task: Arc<dyn Task>) -> Outcome<Self> {
        let key = match caller {
            Caller::Master => None,
            Caller::Key(key) => Some(Arc::clone(key)),
        };
        let limits = key.as_ref().map(|key| key.limits).unwrap_or_default();
        let mut size = task.size();
        let mut weight = Weight { choices: 1, ..Weight::default() };
        if limits.budget.is_some() || limits.tpm.is_some() {
            weight = task.weigh()?;
            size = Size {
                has_references: weight.has_references,
                max_output: weight.max_output,
                choices: weight.choices,
                ..size
            };
        }
        if limits.budget.is_some() {
            let is_hard = key.as_ref().is_some_and(|key| key.budget_mode == BudgetMode::Hard);
            refuse_unpriced(&weight, is_hard)?;
        }
        let operation = OperationId::from_uuid(new_id(parts));
        let parts = Arc::clone(parts);
        Ok(Self { parts, key, operation, task, size, weight, hold: None, counted: None, deployment: None })
    }

    /// Most bytes that the text of the request's files may have: a hard budget holds a token for each byte of the body,
    /// and a token is a byte at least. Where content is referred to, it holds all that a model takes.
    pub(super) fn most_file_text(&self) -> Option<u64> {
        let is_hard = self.key.as_ref().is_some_and(|key| key.budget_mode == BudgetMode::Hard);
        (is_hard && self.key.as_ref().is_some_and(|key| key.limits.budget.is_some()) && !self.size.has_references)
            .then_some(self.size.bytes)
    }

    pub(super) fn operation(&self) -> OperationId {
        self.operation
    }

    pub(super) fn key(&self) -> Option<&KeyEntry> {
        self.key.as_deref()
    }

    /// Takes the input to be of a stated size.
    pub(super) fn assume(&mut self, input_tokens: u64) {
        self.size.stated_input = Some(input_tokens);
    }

    pub(super) fn size(&self) -> &Size {
        &self.size
    }

    pub(super) fn parts(&self) -> &Arc<Parts> {
        &self.parts
    }

    /// How the key's limits stand, where it has some.
    pub(super) fn standing(&self) -> Option<Standing> {
        let standing = self.hold.as_ref().filter(|_| self.limits().any()).map(|hold| hold.standing);
        standing.map(|standing| self.with_count(standing))
    }

    /// What is held, for the settlement: of the key, of the deployment.
    pub(super) fn take_holds(&mut self) -> (Option<Hold>, Option<Hold>) {
        (self.hold.take(), self.deployment.take())
    }

    /// Counts the request and holds nothing: a look-up comes first.
    pub(super) async fn count(&mut self) -> Result<(), Denied> {
        let Some(key) = self.key.clone() else { return Ok(()) };
        let ask = Ask {
            operation: self.operation,
            subject: Subject::Key(key.id),
            limits: Limits { rpm: key.limits.rpm, ..Limits::default() },
            tokens: 0,
            budget: NanoCents(0),
            least: NanoCents(0),
        };
        match self.parts.ledger.admit(&ask).await? {
            Admitted::Held(hold) => {
                // Requests are counted for good; the place that comes with it is not for those that only look.
                if ask.limits.any() {
                    self.parts.ledger.release(&hold, 0).await?;
                }
                self.counted = Some(hold.standing);
                self.hold = Some(hold);
                Ok(())
            }
            Admitted::Refused(refusal) => {
                let fault = self.refused(&refusal, &key.limits, &[]);
                Err(Denied { standing: Some(Box::new(refusal.standing)), ..Denied::from(fault) })
            }
        }
    }

    /// How all limits stand, for a request that was counted and is served without holding anything of them.
    pub(super) async fn look(&self) -> Option<Standing> {
        let key = self.key.as_ref()?;
        let counted = self.standing();
        let limits = Limits { rpm: None, parallel: None, ..key.limits };
        if !limits.any() {
            return counted;
        }
        let ask = Ask {
            operation: self.operation,
            subject: Subject::Key(key.id),
            limits,
            tokens: 0,
            budget: NanoCents(0),
            least: NanoCents(0),
        };
        // It is served whatever the ledger says, and where that cannot tell, so do the headers not.
        match self.parts.ledger.admit(&ask).await {
            Ok(Admitted::Held(hold)) => {
                self.parts.ledger.release(&hold, 0).await.ok()?;
                Some(self.with_count(hold.standing))
            }
            Ok(Admitted::Refused(refusal)) => Some(self.with_count(refusal.standing)),
            Err(_) => counted,
        }
    }

    /// Requests per minute are not looked at again where they were counted before.
    fn with_count(&self, standing: Standing) -> Standing {
        Standing { requests: standing.requests.or(self.counted.and_then(|counted| counted.requests)), ..standing }
    }

    /// Holds what the request may use at the dearest of its primary tier. Waits while only others' holds are in the way.
    /// Where an estimate would refuse it, its text is counted.
    pub(super) async fn admit(&mut self, plan: &[Candidate]) -> Result<(), Denied> {
        let Some(key) = self.key.clone() else { return Ok(()) };
        let mut ask = self.ask(&key, plan)?;
        let mut may_count = true;
        let task = Arc::clone(&self.task);
        let about =
            About { public_model: task.model(), contract: task.contract(), operation: task.operation().as_str() };
        let patience = Instant::now() + key.budget_wait;
        let mut pause = FIRST_LOOK;
        let mut turn = None;
        // Whoever can wait does so behind those who wait already.
        if key.limits.budget.is_some() && key.budget_wait > pause && self.parts.turns.is_line(key.id) {
            turn = self.line_up(key.id, patience).await;
        }
        loop {
            let refusal = match self.parts.ledger.admit_for(&ask, about).await? {
                Admitted::Held(hold) => {
                    self.hold = Some(hold);
                    return Ok(());
                }
                Admitted::Refused(refusal) => refusal,
            };
            let is_by_estimate =
                matches!(refusal.reason, Reason::BudgetTooSmall { .. } | Reason::Tokens | Reason::TooManyTokens { .. });
            if is_by_estimate && std::mem::take(&mut may_count) && self.count_text(plan).await {
                ask = self.ask(&key, plan)?;
                continue;
            }
            if refusal.reason != Reason::BudgetReserved || Instant::now() + pause > patience {
                let fault = self.refused(&refusal, &key.limits, plan);
                return Err(Denied {
                    standing: Some(Box::new(self.with_count(refusal.standing))),
                    ..Denied::from(fault)
                });
            }
            let Some(turn) = &turn else {
                turn = self.line_up(key.id, patience).await;
                // Where even the line is too long, this was the last try.
                pause = if turn.is_some() { pause } else { key.budget_wait.max(pause) };
                continue;
            };
            let from = Instant::now();
            turn.freed(pause).await;
            self.parts.ledger.figures().waited(from.elapsed(), false);
            pause = LAST_LOOK.min(pause * 2);
        }
    }

    /// Waits until nobody else waits for the key's money, or until it is too late. `None`: too many wait.
    async fn line_up(&self, key: VirtualKeyId, patience: Instant) -> Option<Turn> {
        let mut turn = self.parts.turns.join(key)?;
        let from = Instant::now();
        // Who has waited for too long asks once more all the same.
        _ = tokio::time::timeout_at(patience, turn.comes()).await;
        self.parts.ledger.figures().waited(from.elapsed(), true);
        Some(turn)
    }

    fn ask(&self, key: &KeyEntry, plan: &[Candidate]) -> Outcome<Ask> {
        Ok(Ask {
            operation: self.operation,
            subject: Subject::Key(key.id),
            limits: Limits { rpm: key.limits.rpm.filter(|_| self.counted.is_none()), ..key.limits },
            tokens: if key.limits.tpm.is_some() { self.tokens(plan) } else { 0 },
            budget: if key.limits.budget.is_some() { self.dearest(plan)? } else { NanoCents(0) },
            least: self.least(plan),
        })
    }

    /// Counts the text of a request, away from the threads that serve. `false`: that changes nothing.
    async fn count_text(&mut self, plan: &[Candidate]) -> bool {
        // A payload's tokens are no text's, and what is pointed to is not there to be counted.
        if self.size.has_references {
            return false;
        }
        let Some(request) = self.task.text() else { return false };
        let Ok(_place) = COUNTING.try_acquire() else { return false };
        // Awaited here, so that nothing outlives the request but the count under way.
        let counted = tokio::task::spawn_blocking(move || bpe::count(&request)).await;
        let Ok(Some(counted)) = counted else { return false };
        let of = |candidate: &Candidate| bpe::for_model(counted, &candidate.target.upstream_model);
        let before = self.tokens(plan);
        self.size.counted = primary_tier(plan).map(of).max();
        self.tokens(plan) < before
    }

    /// Asks leave to call a candidate: raises the money held, and takes a place within the deployment's own limits.
    pub(super) async fn ask_leave(&mut self, candidate: &Candidate) -> Outcome<Leave> {
        if self.limits().budget.is_some() {
            let Ok(price) = self.price(candidate) else { return Ok(Leave::TooDear) };
            if let Some(hold) = &mut self.hold
                && !self.parts.ledger.top_up(hold, price).await?
            {
                return Ok(Leave::TooDear);
            }
        }
        self.leave_deployment(0).await;
        let target = &candidate.target;
        if !target.limits.any() {
            return Ok(Leave::Granted);
        }
        let ask = Ask {
            operation: self.operation,
            subject: Subject::Deployment(target.id),
            limits: target.limits,
            tokens: if target.limits.tpm.is_some() { self.tokens(std::slice::from_ref(candidate)) } else { 0 },
            budget: NanoCents(0),
            least: NanoCents(0),
        };
        match self.parts.ledger.admit(&ask).await? {
            Admitted::Held(hold) => {
                self.deployment = Some(hold);
                Ok(Leave::Granted)
            }
            Admitted::Refused(refusal) => Ok(Leave::Limited(refusal.retry_after.unwrap_or(Duration::from_secs(60)))),
        }
    }

    /// Asks leave to call a second candidate beside the first: raises the money held to what both may cost. Deployments
    /// with limits of their own are not asked in vain.
    pub(super) async fn ask_leave_beside(&mut self, first: &Candidate, second: &Candidate) -> Outcome<bool> {
        if second.target.limits.any() {
            return Ok(false);
        }
        if self.limits().budget.is_none() {
            return Ok(true);
        }
        let (Ok(one), Ok(other)) = (self.price(first), self.price(second)) else { return Ok(false) };
        match &mut self.hold {
            Some(hold) => self.parts.ledger.top_up(hold, NanoCents(one.0.saturating_add(other.0))).await,
            None => Ok(false),
        }
    }

    /// Ends what is held of a deployment whose attempt failed.
    async fn leave_deployment(&mut self, tokens: u64) {
        let Some(hold) = self.deployment.take() else { return };
        if let Err(fault) = self.parts.ledger.release(&hold, tokens).await {
            tracing::warn!(error = fault.cause(), "a hold of a deployment could not be released: {fault}");
        }
    }

    fn limits(&self) -> Limits {
        self.key.as_ref().map(|key| key.limits).unwrap_or_default()
    }

    fn mode(&self) -> BudgetMode {
        self.key.as_ref().map_or(BudgetMode::Expected, |key| key.budget_mode)
    }

    /// Tokens that it holds.
    pub(super) fn tokens(&self, plan: &[Candidate]) -> u64 {
        let of = |candidate: &Candidate| {
            let target = &candidate.target;
            match self.expects(target) {
                Some(usage) => usage.input.saturating_add(usage.output),
                None => self.parts.learned.tokens(&target.upstream_model, &self.size, bounds(target)),
            }
        };
        primary_tier(plan).map(of).max().unwrap_or_default()
    }

    /// What its input alone costs, where that is known.
    fn least(&self, plan: &[Candidate]) -> NanoCents {
        if !self.limits().any() {
            return NanoCents(0);
        }
        let of = |candidate: &Candidate| {
            let target = &candidate.target;
            let usage = self.expects(target).unwrap_or_else(|| {
                let input = self.parts.learned.input(&target.upstream_model, &self.size);
                TokenUsage { input, ..TokenUsage::default() }
            });
            target.resolved.pricing.cost(&usage)
        };
        primary_tier(plan).filter_map(of).max().unwrap_or_default()
    }

    /// What the request may cost at one candidate.
    pub(super) fn price(&self, candidate: &Candidate) -> Result<NanoCents, NoPrice> {
        let target = &candidate.target;
        let pricing = &target.resolved.pricing;
        if let Some(usage) = self.most(target) {
            return pricing.cost(&usage).ok_or(NoPrice::Unknown);
        }
        if !pricing.is_known() {
            return Err(NoPrice::Unknown);
        }
        if self.weight.wants_audio && !pricing.has_audio_output() {
            return Err(NoPrice::Audio);
        }
        let terms = self.terms(pricing)?;
        let learned = &self.parts.learned;
        let estimate = learned
            .budget(&target.upstream_model, &self.size, bounds(target), self.mode())
            .map_err(NoPrice::Unbounded)?;
        let price = match self.mode() {
            BudgetMode::Hard => pricing.most(estimate.input, estimate.output, &terms),
            BudgetMode::Expected => pricing.cost(&TokenUsage {
                input: estimate.input,
                output: estimate.output,
                audio_output: if self.weight.wants_audio { estimate.output } else { 0 },
                // What is cheaper may be served at the standard all the same.
                terms: Terms { service: terms.service.at_least_standard(), ..terms },
                ..TokenUsage::default()
            }),
        };
        price.ok_or(NoPrice::Unknown)
    }

    /// The terms that an answer of a model may have.
    fn terms(&self, pricing: &Pricing) -> Result<Terms, NoPrice> {
        let mut terms = self.weight.terms;
        let is_by_size = terms.search_size.is_some();
        let unknown = match pricing.unknown_term(&terms) {
            // No answer would tell how many searches it made.
            None if is_by_size && !pricing.always_searches() => Some(UnknownTerm::Search),
            unknown => unknown,
        };
        if let Some(unknown) = unknown {
            return Err(NoPrice::Field(match unknown {
                UnknownTerm::Service => self.weight.service_field.to_owned(),
                UnknownTerm::Place => "inference_geo".to_owned(),
                UnknownTerm::Search => self.weight.search_field.clone().unwrap_or_else(|| "tools".to_owned()),
            }));
        }
        if pricing.always_searches() {
            terms.searches = terms.searches.max(self.size.choices.max(1));
        }
        Ok(terms)
    }

    /// What it will use of a model, unless that is text.
    pub(super) fn expects(&self, target: &Target) -> Option<TokenUsage> {
        self.task.expects(target, self.parts.learned.input(&target.upstream_model, &self.size))
    }

    /// The most that it may use of a model, unless that is text. No token is shorter than a byte.
    fn most(&self, target: &Target) -> Option<TokenUsage> {
        match self.mode() {
            BudgetMode::Expected => self.expects(target),
            BudgetMode::Hard => self.task.may_use(target, self.size.bytes),
        }
    }

    /// What it holds of a budget.
    pub(super) fn dearest(&self, plan: &[Candidate]) -> Outcome<NanoCents> {
        let mut dearest = None;
        let mut why = None;
        for candidate in primary_tier(plan) {
            match self.price(candidate) {
                Ok(price) => dearest = dearest.max(Some(price)),
                Err(no_price) => why = why.or(Some(no_price)),
            }
        }
        dearest.ok_or_else(|| no_price_fault(why.unwrap_or(NoPrice::Unknown)))
    }

    /// What the caller of a refused request is told.
    fn refused(&self, refusal: &Refusal, limits: &Limits, plan: &[Candidate]) -> Fault {
        self.parts.ledger.figures().refused(refusal.reason);
        let quota =
            |sentence: String| Fault::new(Kind::RateLimited).code("insufficient_quota").say(sentence).never_retry();
        let limited = |sentence: String| Fault::new(Kind::RateLimited).say(sentence);
        let fault = match refusal.reason {
            Reason::BudgetSpent => {
                let cap = limits.budget.unwrap_or_default();
                let until = refusal.retry_after.map_or_else(
                    || "It does not start anew by itself.".to_owned(),
                    |wait| format!("It starts anew at {}.", refusal.standing.at.after(wait).to_rfc3339()),
                );
                quota(format!("The budget of this API key, {cap} cents, is spent. {until}"))
            }
            Reason::BudgetTooSmall { could_cost, left } => {
                let fits = self.output_that_fits(left, plan).map_or_else(
                    || "Even its input alone does not fit.".to_owned(),
                    |most| format!("A limit of {most} output tokens would fit."),
                );
                quota(format!(
                    "This request could cost {could_cost} cents, and {left} cents are left of the API key's budget. {fits}"
                ))
            }
            Reason::BudgetReserved => limited(
                "Requests under way hold what is left of this API key's budget; try again when they have ended."
                    .to_owned(),
            )
            .code("budget_reserved"),
            Reason::Requests => {
                let limit = limits.rpm.unwrap_or_default();
                limited(format!("This API key may make {limit} requests per minute."))
            }
            Reason::Tokens => {
                let limit = limits.tpm.unwrap_or_default();
                limited(format!("This API key may use {limit} tokens per minute."))
            }
            Reason::TooManyTokens { needed } => {
                let limit = limits.tpm.unwrap_or_default();
                limited(format!(
                    "This request may use {needed} tokens, and this API key {limit} per minute; ask for less output."
                ))
                .never_retry()
            }
            Reason::Parallel => {
                let limit = limits.parallel.unwrap_or_default();
                limited(format!("This API key may have {limit} requests under way at the same time."))
            }
        };
        match refusal.retry_after {
            Some(wait) => fault.retry_after(wait),
            None => fault,
        }
    }

    /// The largest limit of output with which the request fits into what is left, by halving.
    fn output_that_fits(&self, left: NanoCents, plan: &[Candidate]) -> Option<u64> {
        let fits = |most: u64| {
            // Stating the limit makes the request longer.
            let size = Size {
                bytes: self.size.bytes.saturating_add(STATED_BYTES),
                text_bytes: self.size.text_bytes.saturating_add(STATED_BYTES),
                max_output: Some(most),
                ..self.size
            };
            let smaller = Self {
                parts: Arc::clone(&self.parts),
                key: self.key.clone(),
                operation: self.operation,
                task: Arc::clone(&self.task),
                size,
                weight: self.weight.clone(),
                hold: None,
                counted: None,
                deployment: None,
            };
            smaller.dearest(plan).is_ok_and(|price| price <= left)
        };
        let (mut low, mut high) = (0_u64, 1_u64 << 24);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if fits(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        (low > 0).then_some(low)
    }
}

const UNPRICED: &str = "changes the price in a way that is not known here, so an API key with a budget may not send it";

fn refuse_unpriced(weight: &Weight, is_hard: bool) -> Outcome<()> {
    if let Some(field) = &weight.unpriced {
        return Err(Fault::invalid(field.clone(), UNPRICED));
    }
    if let (Some(field), true) = (&weight.unbounded, is_hard) {
        let sentence = "makes the cost unbounded, so an API key with a hard budget may not send it";
        return Err(Fault::invalid(field.clone(), sentence));
    }
    Ok(())
}

pub(super) fn no_price_fault(why: NoPrice) -> Fault {
    match why {
        NoPrice::Unknown => Fault::new(Kind::BadRequest).param("model").say(
            "The price of this model is unknown, so an API key with a budget may not call it; \
             its operator can state `pricing`.",
        ),
        NoPrice::Audio => Fault::new(Kind::BadRequest).param("modalities").say(
            "The price of sound that this model writes is unknown, so an API key with a budget may not ask for it.",
        ),
        NoPrice::Field(field) => Fault::invalid(field, UNPRICED),
        NoPrice::Unbounded(Unbounded::Input) => Fault::new(Kind::BadRequest).say(
            "The request points to content of unknown size and the model's input limit is unknown, \
             so an API key with a hard budget may not send it.",
        ),
        NoPrice::Unbounded(Unbounded::Output) => Fault::new(Kind::BadRequest).param("max_tokens").say(
            "An API key with a hard budget has to limit the output of this model: state the most tokens to be written.",
        ),
    }
}

fn primary_tier(plan: &[Candidate]) -> impl Iterator<Item = &Candidate> {
    let tier = plan.iter().map(|candidate| candidate.target.priority).max();
    plan.iter().filter(move |candidate| Some(candidate.target.priority) == tier)
}

fn bounds(target: &Target) -> Bounds {
    let profile = target.resolved.operations.get(&Operation::TextGenerate).map(|operation| &operation.profile);
    Bounds {
        max_input: profile.and_then(|profile| profile.max_input_tokens),
        max_output: profile.and_then(|profile| profile.max_output_tokens),
    }
}

pub(super) fn new_id(parts: &Parts) -> Uuid {
    let random = u128::from((parts.dice)(u64::MAX)) << 64 | u128::from((parts.dice)(u64::MAX));
    let mut bytes = [0; 10];
    for (to, from) in bytes.iter_mut().zip(random.to_le_bytes()) {
        *to = from;
    }
    let ms = u64::try_from(parts.clock.now().unix_ms()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid()
}
