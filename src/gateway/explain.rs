//! What would become of a request: the way of a real one up to the call of a provider, and no further.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::account::{Account, no_price_fault};
use super::lane::{Asking, wire_of};
use super::prepare::{Manner, prepare};
use super::routes::Routes;
use super::states::next_id;
use super::task::Task;
use super::{Caller, Gateway};
use crate::canonical::Wire;
use crate::domain::capability::{OperationProfile, ReasoningLevel};
use crate::domain::fallback::FallbackReason;
use crate::domain::ids::VirtualKeyId;
use crate::domain::names::PublicModel;
use crate::domain::operation::Operation;
use crate::domain::virtual_key::BudgetMode;
use crate::fault::{Fault, Kind, Outcome};
use crate::providers::{self, echo};
use crate::routing::explain::{BudgetView, CandidateView, ChainTarget, ChainView, LimitView, Outline, Question, Shape};
use crate::routing::plan::Wants;
use crate::routing::strategy::{figure, shares};
use crate::routing::{Candidate, ExplainRoute, Explanation, KeyEntry, Snapshot, Standing, Target, Verdict, survey};

/// Where the writing of a request would end; nothing of it waits.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// A picture of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[async_trait]
impl ExplainRoute for Gateway {
    async fn explain(&self, question: Question) -> Outcome<Explanation> {
        let snapshot = self.snapshot();
        let (caller, scope) = self.caller(&snapshot, question.key)?;
        let contract = contract(question.contract.as_deref())?;
        let operation = question.operation.unwrap_or(Operation::TextGenerate);
        if operation != Operation::TextGenerate {
            return Err(Fault::invalid("operation", "can be explained for `text.generate` only in this version"));
        }
        let (body, stated_input) = match question.shape {
            Shape::Body(body) => (body, None),
            Shape::Outline(outline) => (write(contract, &outline)?, outline.input_tokens),
        };
        let asked = self.read(contract, body, &caller).await?;
        let asking = Asking::new(asked, String::new(), self.parts.clock.now().unix_s());
        let asking = Arc::new(asking.not_made().of_session(question.session));
        let mut inquiry = Inquiry { gateway: self, snapshot: &snapshot, caller, asking, stated_input };
        inquiry.explain(scope, contract).await
    }
}

impl Gateway {
    fn caller(&self, snapshot: &Snapshot, id: Option<VirtualKeyId>) -> Outcome<(Caller, &'static str)> {
        let Some(id) = id else { return Ok((Caller::Master, "allowed")) };
        let key = snapshot.find_key(id).ok_or_else(|| Fault::new(Kind::NotFound).param("keyId"))?;
        let now = self.parts.clock.now();
        let scope = match key.expires_at {
            _ if !key.enabled => "key_disabled",
            Some(expires_at) if expires_at <= now => "key_expired",
            Some(_) | None => "allowed",
        };
        Ok((Caller::Key(Arc::clone(key)), scope))
    }

    /// As a request is read; one that the key may not make is read, too.
    async fn read(&self, contract: Wire, body: String, caller: &Caller) -> Outcome<Box<dyn crate::dialects::Asked>> {
        let body = Bytes::from(body);
        let model = crate::dialects::scan(contract, body.clone())?.model().to_owned();
        let reader = if caller.sees(&model) { caller } else { &Caller::Master };
        let id = next_id(self.parts.clock.now(), self.parts.dice.as_ref());
        // What would keep the answer is let go: there is none.
        self.scan(contract, body, reader, id, &mut |_: &dyn crate::dialects::Asked| {}).await.map(|(asked, _)| asked)
    }
}

/// One question, under way.
struct Inquiry<'a> {
    gateway: &'a Gateway,
    snapshot: &'a Snapshot,
    caller: Caller,
    asking: Arc<Asking>,
    stated_input: Option<u64>,
}

impl Inquiry<'_> {
    async fn explain(&mut self, scope: &'static str, contract: Wire) -> Outcome<Explanation> {
        let parts = &self.gateway.parts;
        let model = self.asking.asked().model().to_owned();
        let in_scope = self.caller.check_model(&model).err();
        let scope = if scope == "allowed" && in_scope.is_some() { "model_not_allowed" } else { scope };
        let dead = (scope == "key_disabled" || scope == "key_expired").then(|| Fault::from(Kind::Unauthenticated));
        let account = Account::open(parts, &self.caller, Arc::clone(&self.asking) as Arc<dyn Task>);
        let (mut account, unpriced) = match account {
            Ok(account) => (Some(account), None),
            Err(fault) => (None, Some(fault)),
        };
        if let (Some(account), Some(tokens)) = (&mut account, self.stated_input) {
            account.assume(tokens);
        }
        let routes = Routes { parts, snapshot: self.snapshot, task: self.asking.as_ref() };
        let primary = routes.primary();
        let (primary, chain_serves, primary_pin, no_route) = match primary {
            Ok(primary) => (primary.candidates, primary.is_chain, primary.pinned_by, None),
            Err(fault) => (Vec::new(), false, None, Some(fault)),
        };
        let (limits, budget) = self.limits(account.as_ref(), &primary).await?;
        let over = over_limit(account.as_ref(), &primary, &limits, budget.as_ref());
        let settings = self.snapshot.settings();
        let order: &[Candidate] = if chain_serves { &[] } else { &primary };
        let candidates = self.candidates(&model, order, account.as_ref()).await;
        let chains = self.chains(&model, account.as_ref()).await;
        Ok(Explanation {
            revision: self.snapshot.revision(),
            operation: Operation::TextGenerate,
            contract: contract.as_str(),
            refusal: dead.or(in_scope).or(unpriced).or(no_route).or(over),
            scope,
            limits,
            budget,
            strategy: settings.strategy(&model),
            pinned_by: primary_pin,
            max_attempts: settings.policy(Operation::TextGenerate).max_attempts,
            public_model: model,
            chain_serves,
            candidates,
            chains,
        })
    }

    fn key(&self) -> Option<&KeyEntry> {
        match &self.caller {
            Caller::Master => None,
            Caller::Key(key) => Some(key),
        }
    }

    /// How the limits of the key stand, and what the request would hold of them.
    async fn limits(
        &self,
        account: Option<&Account>,
        primary: &[Candidate],
    ) -> Outcome<(Vec<LimitView>, Option<BudgetView>)> {
        let Some(key) = self.key().filter(|key| key.limits.any()) else { return Ok((Vec::new(), None)) };
        let limits = key.limits;
        let usage = self.gateway.parts.ledger.usage(&[(key.id, limits)]).await?;
        let Some(usage) = usage.first() else { return Ok((Vec::new(), None)) };
        let tokens = account.map(|account| account.tokens(primary)).unwrap_or_default();
        let rows = [
            ("rpm", limits.rpm, usage.requests, 1),
            ("tpm", limits.tpm, usage.tokens, tokens),
            ("max_parallel_requests", limits.parallel, usage.in_flight, 1),
        ];
        let views = rows
            .into_iter()
            .filter_map(|(name, limit, used, needs)| Some(LimitView { name, limit: limit?.into(), used, needs }));
        let budget = limits.budget.map(|limit| BudgetView {
            mode: if key.budget_mode == BudgetMode::Hard { "hard" } else { "expected" },
            limit,
            spent: usage.spent,
            held: usage.held,
            needs: account.and_then(|account| account.dearest(primary).ok()),
        });
        Ok((views.collect(), budget))
    }

    async fn chains(&self, model: &str, account: Option<&Account>) -> Vec<ChainView> {
        let Ok(primary) = PublicModel::parse(model) else { return Vec::new() };
        let mut chains = Vec::new();
        for reason in FallbackReason::ALL {
            let mut targets = Vec::new();
            for model in self.snapshot.chain(&primary, reason) {
                let routes = Routes { parts: &self.gateway.parts, snapshot: self.snapshot, task: self.asking.as_ref() };
                let order = routes.plan(model.as_str()).map(|plan| plan.candidates).unwrap_or_default();
                let candidates = self.candidates(model.as_str(), &order, account).await;
                targets.push(ChainTarget { public_model: model.as_str().to_owned(), candidates });
            }
            if !targets.is_empty() {
                chains.push(ChainView { reason, targets });
            }
        }
        chains
    }

    /// Every deployment of a model: those of `order` first.
    async fn candidates(&self, model: &str, order: &[Candidate], account: Option<&Account>) -> Vec<CandidateView> {
        let Some(pool) = self.snapshot.find_pool(model) else { return Vec::new() };
        let parts = &self.gateway.parts;
        let now = parts.clock.instant();
        let look = |target: &Target| parts.health.standing(target, now);
        let wants: Wants<'_> = Routes { parts, snapshot: self.snapshot, task: self.asking.as_ref() }.wants(model);
        let strategy = self.snapshot.settings().strategy(model);
        let surveyed = survey(pool, &wants, &look);
        let kept: Vec<(Candidate, Standing)> = surveyed
            .iter()
            .filter_map(|(_, verdict)| match verdict {
                Verdict::Kept(candidate, standing) => Some((candidate.clone(), *standing)),
                _ => None,
            })
            .collect();
        let shares = shares(strategy, &kept);
        let mut views = Vec::with_capacity(surveyed.len());
        for (target, verdict) in &surveyed {
            let mut view = outline(target, verdict);
            if let Verdict::Kept(candidate, standing) = verdict {
                let place = |one: &Candidate| one.target.id == target.id;
                view.position = order.iter().position(place).and_then(|at| u32::try_from(at + 1).ok());
                let own = kept.iter().position(|(one, _)| place(one));
                view.share = own.and_then(|at| shares.get(at)).copied().unwrap_or_default();
                view.figure = figure(strategy, &(candidate.clone(), *standing));
                view.standing = Some(*standing);
                self.prepare(candidate, account, &mut view).await;
            }
            views.push(view);
        }
        views.sort_by_key(|view| view.position.unwrap_or(u32::MAX));
        views
    }

    /// What the candidate would be sent, and what that may cost.
    async fn prepare(&self, candidate: &Candidate, account: Option<&Account>, view: &mut CandidateView) {
        let parts = &self.gateway.parts;
        let strategy = self.snapshot.settings().unsupported_parameter_strategy;
        let manner = Manner { is_strict: false, strategy, most_file_text: None };
        view.transport = Some(candidate.transport);
        view.lane = Some(self.lane(candidate));
        if let Some(lacking) = self.lacking(candidate) {
            view.reason = format!("{}; its profile does not list {lacking}", view.reason);
        }
        match prepare(parts, &self.asking, candidate, manner, Instant::now() + PATIENCE).await {
            Ok(prepared) => view.dropped = prepared.dropped.iter().map(|name| name.clone().into_owned()).collect(),
            Err(failure) => {
                view.verdict = "refused";
                view.reason = failure.detail.map_or(failure.cause, |detail| detail.message);
            }
        }
        let Some(account) = account else { return };
        view.input_tokens = Some(parts.learned.input(&candidate.target.upstream_model, account.size()));
        match account.price(candidate) {
            Ok(price) => view.cost = Some(price),
            Err(why) if self.key().is_some_and(|key| key.limits.budget.is_some()) && view.verdict == "kept" => {
                view.verdict = "too_dear";
                view.reason = no_price_fault(why).message().to_owned();
            }
            Err(_) => {}
        }
    }

    fn lane(&self, candidate: &Candidate) -> &'static str {
        let target = &candidate.target;
        if target.provider == echo::PROVIDER.name {
            return "local";
        }
        let Some((wire, provider)) = wire_of(candidate.transport).zip(providers::find(&target.provider)) else {
            return "translated";
        };
        let is_native = self.asking.is_native(wire) && !self.asking.rewrites_effort(candidate, provider, wire);
        if is_native { "native" } else { "translated" }
    }

    /// What the request asks for and the deployment's profile does not list. Whether it can is for the provider to say.
    fn lacking(&self, candidate: &Candidate) -> Option<String> {
        let target = &candidate.target;
        if target.is_unknown_model() {
            return None;
        }
        let profile: &OperationProfile = &target.resolved.operations.get(&Operation::TextGenerate)?.profile;
        let request = self.asking.canonical().ok()?;
        let wants_vision = request
            .turns
            .iter()
            .flat_map(|turn| &turn.parts)
            .any(|part| matches!(part, crate::canonical::text::Part::Image { .. }));
        let all = [
            ("tools", !request.tools.is_empty() && !profile.tools),
            ("vision", wants_vision && !profile.vision),
            ("reasoning", self.asking.asked().states_effort() && profile.reasoning.is_none()),
        ];
        let lacking: Vec<&str> = all.iter().filter(|(_, lacks)| *lacks).map(|(name, _)| *name).collect();
        (!lacking.is_empty()).then(|| lacking.join(", "))
    }
}

/// What is known of a deployment without looking at the request's body.
fn outline(target: &Target, verdict: &Verdict) -> CandidateView {
    let seconds = |wait: &std::time::Duration| wait.as_millis().div_ceil(1000);
    let (word, reason, wait) = match verdict {
        Verdict::Kept(..) => ("kept", "can serve".to_owned(), None),
        Verdict::Disabled => ("disabled", "is switched off".to_owned(), None),
        Verdict::Unfit => ("unfit", "does not serve this operation in a wire shape that can carry it".to_owned(), None),
        Verdict::Cooldown(wait) => {
            ("cooldown", format!("has failed lately and is left alone for {} s", seconds(wait)), Some(*wait))
        }
        Verdict::RateLimited(wait) => {
            ("rate_limited", format!("its provider asked to wait for {} s", seconds(wait)), Some(*wait))
        }
    };
    CandidateView {
        deployment: target.id,
        opaque_id: target.opaque_id.clone(),
        public_model: target.public_model.as_str().to_owned(),
        provider: target.provider.clone(),
        upstream_model: target.upstream_model.clone(),
        priority: target.priority,
        weight: target.weight,
        verdict: word,
        reason,
        wait,
        position: None,
        share: 0.0,
        figure: None,
        standing: None,
        rpm_limit: target.limits.rpm,
        tpm_limit: target.limits.tpm,
        lane: None,
        transport: None,
        dropped: Vec::new(),
        input_tokens: None,
        cost: None,
    }
}

/// The fault of a request that its key's limits do not let through now.
fn over_limit(
    account: Option<&Account>,
    primary: &[Candidate],
    limits: &[LimitView],
    budget: Option<&BudgetView>,
) -> Option<Fault> {
    if primary.is_empty() {
        return None;
    }
    if let Some(full) = limits.iter().find(|view| !view.fits()) {
        let sentence = format!(
            "`{}` is {}, {} of it are taken, and this request adds {}.",
            full.name, full.limit, full.used, full.needs
        );
        return Some(Fault::new(Kind::RateLimited).say(sentence));
    }
    let budget = budget.filter(|budget| !budget.fits())?;
    let Some(needs) = budget.needs else { return account?.dearest(primary).err() };
    let sentence = format!(
        "The budget is {} cents, {} are spent, {} are held, and this request would hold {needs}.",
        budget.limit, budget.spent, budget.held
    );
    Some(Fault::new(Kind::RateLimited).code("insufficient_quota").say(sentence))
}

fn contract(word: Option<&str>) -> Outcome<Wire> {
    let Some(word) = word else { return Ok(Wire::Chat) };
    Wire::CONTRACTS.into_iter().find(|wire| wire.as_str() == word).ok_or_else(|| {
        let words = Wire::CONTRACTS.map(|wire| format!("`{}`", wire.as_str())).join(", ");
        Fault::invalid("contract", format!("must be one of {words}"))
    })
}

/// The shortest request of an outline.
fn write(contract: Wire, outline: &Outline) -> Outcome<String> {
    let mut fields = Map::new();
    fields.insert("model".to_owned(), Value::from(outline.public_model.as_str()));
    if outline.stream {
        fields.insert("stream".to_owned(), Value::Bool(true));
    }
    if let Some(word) = &outline.reasoning
        && ReasoningLevel::parse(word).is_none()
    {
        let words = ReasoningLevel::ALL.map(|level| format!("`{}`", level.as_str())).join(", ");
        return Err(Fault::invalid("reasoning", format!("must be one of {words}")));
    }
    match contract {
        Wire::Messages => write_messages(outline, &mut fields),
        Wire::Responses => write_responses(outline, &mut fields),
        Wire::Chat | Wire::GenerateContent => write_chat(outline, &mut fields),
    }
    if let Some(parameters) = &outline.parameters {
        let more: Map<String, Value> =
            serde_json::from_str(parameters).map_err(|_| Fault::invalid("parameters", "must be a JSON object"))?;
        fields.extend(more);
    }
    Ok(Value::Object(fields).to_string())
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false})
}

fn write_chat(outline: &Outline, fields: &mut Map<String, Value>) {
    let mut add = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    let mut content = vec![json!({"type": "text", "text": "Hello"})];
    if outline.vision {
        let url = format!("data:image/png;base64,{PIXEL}");
        content.push(json!({"type": "image_url", "image_url": {"url": url}}));
    }
    add("messages", json!([{"role": "user", "content": content}]));
    if outline.tools {
        add("tools", json!([{"type": "function", "function": {"name": "f", "parameters": schema()}}]));
    }
    if outline.structured_outputs {
        let wanted = json!({"name": "answer", "strict": true, "schema": schema()});
        add("response_format", json!({"type": "json_schema", "json_schema": wanted}));
    }
    if let Some(level) = &outline.reasoning {
        add("reasoning_effort", level.as_str().into());
    }
    if let Some(most) = outline.max_output_tokens {
        add("max_completion_tokens", most.into());
    }
}

fn write_responses(outline: &Outline, fields: &mut Map<String, Value>) {
    let mut add = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    let mut content = vec![json!({"type": "input_text", "text": "Hello"})];
    if outline.vision {
        let url = format!("data:image/png;base64,{PIXEL}");
        content.push(json!({"type": "input_image", "image_url": url}));
    }
    add("input", json!([{"type": "message", "role": "user", "content": content}]));
    add("store", false.into());
    if outline.tools {
        add("tools", json!([{"type": "function", "name": "f", "parameters": schema(), "strict": true}]));
    }
    if outline.structured_outputs {
        let format = json!({"type": "json_schema", "name": "answer", "strict": true, "schema": schema()});
        add("text", json!({"format": format}));
    }
    if let Some(level) = &outline.reasoning {
        add("reasoning", json!({"effort": level}));
    }
    if let Some(most) = outline.max_output_tokens {
        add("max_output_tokens", most.into());
    }
}

fn write_messages(outline: &Outline, fields: &mut Map<String, Value>) {
    let mut add = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    let mut content = vec![json!({"type": "text", "text": "Hello"})];
    if outline.vision {
        let source = json!({"type": "base64", "media_type": "image/png", "data": PIXEL});
        content.push(json!({"type": "image", "source": source}));
    }
    add("messages", json!([{"role": "user", "content": content}]));
    // The contract demands a bound.
    add("max_tokens", outline.max_output_tokens.unwrap_or(4_096).into());
    if outline.tools {
        add("tools", json!([{"name": "f", "input_schema": schema()}]));
    }
    let mut output = Map::new();
    if outline.structured_outputs {
        output.insert("format".to_owned(), json!({"type": "json_schema", "schema": schema()}));
    }
    if let Some(level) = &outline.reasoning {
        output.insert("effort".to_owned(), level.as_str().into());
    }
    if !output.is_empty() {
        add("output_config", output.into());
    }
}
