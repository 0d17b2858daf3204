//! Candidates, retries and fallbacks until one answer commits.
//!
//! Every candidate is tried once before any is tried twice: the primary pool, then the fallback chain of the reason, then
//! again those whose failure may pass, with full-jitter backoff. One budget of attempts covers all of it. After the commit
//! point nothing is retried.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::account::{Account, Leave};
use super::attempt::{AttemptInput, Deadlines, Dropped, Opened, attempt};
use super::caching::{self, CacheStatus, Flight, Fresh, Sameness, Through};
use super::failure::{Failure, Repeat, worst};
use super::lane::Asking;
use super::metadata::{self, Strategies};
use super::prepare::{Manner, Prepared};
use super::routes::Routes;
use super::settle::{Ending, Facts, Record};
use super::states::{Keep, next_id};
use super::stream::{self, Committed};
use super::task::Task;
use super::trace::Trace;
use super::{Caller, Denied, Gateway, Intake, Parts};
use crate::canonical::Wire;
use crate::dialects::cacheable::is_complete;
use crate::dialects::{self, Asked, openai_responses};
use crate::domain::fallback::FallbackReason;
use crate::domain::operation::Operation;
use crate::domain::response_state::ResponseId;
use crate::domain::settings::ExecutionPolicy;
use crate::fault::{Fault, Kind, Outcome};
use crate::ledger::Standing;
use crate::providers::FailureClass;
use crate::routing::plan::Waits;
use crate::routing::{Availability, Candidate, Pass, Snapshot};
use crate::telemetry::otel::context::TraceContext;

/// Most pieces that wait for a client; each is what one read of the provider's socket brought.
const CHANNEL_PIECES: usize = 16;
const BACKOFF_BASE_MS: u64 = 200;
const BACKOFF_CAP_MS: u64 = 4_000;

/// One request of a client.
#[derive(Debug)]
pub struct Call {
    /// The snapshot the caller was admitted under.
    pub snapshot: Arc<Snapshot>,
    /// Who calls.
    pub caller: Caller,
    /// The contract of the request.
    pub contract: Wire,
    /// Whether nothing may be left out of the request on its way to a provider.
    pub is_strict: bool,
    /// Whether the answer is to say how it was routed.
    pub wants_routing: bool,
    /// What the client calls its session.
    pub session: Option<String>,
    /// The raw body.
    pub body: Bytes,
    /// The client's headers that may pass up.
    pub forwarded: HeaderMap,
    /// Its id.
    pub request_id: String,
    /// The client's tags.
    pub tags: Vec<String>,
    /// How long its answer may be kept in the response cache, where it opted in.
    pub cache: Option<Duration>,
    /// The trace it belongs to, as the client says.
    pub trace: Option<TraceContext>,
}

/// What the client gets.
#[derive(Debug)]
pub struct Answer {
    /// The body.
    pub body: AnswerBody,
    /// Request fields that did not reach the provider as sent.
    pub dropped: Vec<Cow<'static, str>>,
    /// The opaque id of the deployment that serves, where the client asked for it and it is known.
    pub served_by: Option<String>,
    /// How the limits of the key stand, where it has some.
    pub standing: Option<Standing>,
    /// What part the response cache had, where the request opted in.
    pub cache: Option<CacheStatus>,
}

/// The body of an answer.
#[derive(Debug)]
pub enum AnswerBody {
    /// JSON, in pieces.
    Whole(Vec<Bytes>),
    /// Of another media type, in pieces.
    Typed(String, Vec<Bytes>),
    /// Server-sent events as they come. Dropping it cancels the provider's work.
    Stream(mpsc::Receiver<Bytes>),
    /// Content of a media type as it comes. Dropping it cancels the provider's work.
    Flow(String, Flow),
}

/// Content as it comes.
#[derive(Debug)]
pub struct Flow {
    /// Its pieces.
    pub pieces: mpsc::Receiver<Bytes>,
    /// Whether all of it has come, when there are no more: if not, the client must see that it was cut.
    pub is_whole: Arc<AtomicBool>,
}

impl Gateway {
    /// Serves one request for text, in any contract.
    ///
    /// # Errors
    /// What the caller is to be told, before anything of the answer was sent.
    pub async fn generate(&self, mut call: Call) -> Result<Answer, Denied> {
        let id = next_id(self.parts.clock.now(), self.parts.dice.as_ref());
        let (began, began_at) = (self.parts.clock.instant(), self.parts.clock.now());
        let body = std::mem::take(&mut call.body);
        let request_bytes = body.len() as u64;
        let (mut public_model, mut is_stream) = (String::new(), false);
        let mut note = |asked: &dyn Asked| {
            asked.model().clone_into(&mut public_model);
            is_stream = asked.is_stream();
        };
        let scanned = self.scan(call.contract, body, &call.caller, id, &mut note).await;
        let (asked, keep) = match scanned {
            Ok(scanned) => scanned,
            Err(fault) => {
                let intake = self.intake(&call.snapshot, &call.caller, call.contract.as_str(), &call.request_id);
                let tags = call.tags;
                let seen = Intake { tags, public_model, is_stream, request_bytes, began, began_at, ..intake };
                self.refused(seen, &fault);
                return Err(fault.into());
            }
        };
        let asking = Asking::new(asked, id.to_hex(), self.parts.clock.now().unix_s()).of_session(call.session.take());
        // On the heap: it is held by every handler.
        Box::pin(self.perform(call, Arc::new(asking), keep)).await
    }

    /// Serves one request of any operation, whose model the caller may call.
    pub(super) async fn perform(&self, call: Call, task: Arc<dyn Task>, keep: Option<Keep>) -> Result<Answer, Denied> {
        let is_stream = task.is_stream();
        let through = call.cache.filter(|_| keep.is_none() && !is_stream).and_then(|ttl| {
            let same = Sameness {
                caller: &call.caller,
                snapshot: &call.snapshot,
                contract: task.contract(),
                operation: task.operation(),
                model: task.model(),
                body: task.cacheable()?,
                forwarded: &call.forwarded,
                is_strict: call.is_strict,
            };
            Through::of(&same, ttl)
        });
        let account = match Account::open(&self.parts, &call.caller, Arc::clone(&task)) {
            Ok(account) => account,
            Err(fault) => {
                let intake = self.intake(&call.snapshot, &call.caller, task.contract(), &call.request_id);
                self.refused(
                    Intake {
                        tags: call.tags,
                        operation: task.operation(),
                        public_model: task.model().to_owned(),
                        is_stream,
                        request_bytes: task.size().bytes,
                        ..intake
                    },
                    &fault,
                );
                return Err(fault.into());
            }
        };
        let facts = Facts {
            request_id: call.request_id,
            tags: call.tags,
            public_model: task.model().to_owned(),
            operation: task.operation(),
            contract: task.contract(),
            is_stream,
            revision: call.snapshot.revision().0,
        };
        let most_file_text = account.most_file_text();
        let mut record = Record::start(account, facts);
        record.traced_by(call.trace);
        if call.wants_routing {
            let settings = call.snapshot.settings();
            record.explain(Strategies {
                routing: settings.strategy(task.model()),
                parameters: settings.unsupported_parameter_strategy,
            });
        }
        let policy = call.snapshot.settings().policy(task.operation());
        let mut run = Run {
            task,
            keep,
            parts: Arc::clone(&self.parts),
            snapshot: call.snapshot,
            forwarded: call.forwarded,
            is_strict: call.is_strict,
            most_file_text,
            policy,
            end: Instant::now() + ms(policy.total_ms),
            is_committed: Arc::new(AtomicBool::new(false)),
            has_fallen_back: false,
            told: Told::default(),
            record,
        };
        if let Some(through) = through {
            return caching::serve(&self.parts, through, run).await;
        }
        let cache = call.cache.map(|_| CacheStatus::Bypass);
        let told = Arc::clone(&run.told);
        let primary = run.admit().await?;
        let standing = run.record.standing();
        let answered = if is_stream { self.open_stream(run, primary).await } else { run.whole(primary).await };
        match answered {
            Ok(answer) => Ok(Answer { standing, cache, ..answer }),
            Err(fault) => Err(Denied { fault, standing: standing.map(Box::new), routing: told.get().cloned() }),
        }
    }

    /// Scans a request, and completes it where it goes on from a stored response. `note` hears what is asked before it is
    /// known whether it may be.
    pub(super) async fn scan(
        &self,
        contract: Wire,
        body: Bytes,
        caller: &Caller,
        id: ResponseId,
        note: &mut (dyn FnMut(&dyn Asked) + Send),
    ) -> Outcome<(Box<dyn Asked>, Option<Keep>)> {
        if contract != Wire::Responses {
            let asked = dialects::scan(contract, body)?;
            note(asked.as_ref());
            caller.check_model(asked.model())?;
            return Ok((asked, None));
        }
        let request = openai_responses::native::read_request(body)?;
        note(&request);
        caller.check_model(request.model())?;
        let (request, keep) = self.parts.states.resume(caller, request, id).await?;
        Ok((Box::new(request), keep))
    }

    /// Waits for the stream to commit, by its first output or by the clock.
    async fn open_stream(&self, run: Run, primary: Vec<Candidate>) -> Outcome<Answer> {
        let (sender, receiver) = mpsc::channel(CHANNEL_PIECES);
        let contract = run.task.wire();
        let is_committed = Arc::clone(&run.is_committed);
        let streams_as = run.task.streams_as();
        // Amid content there is nothing to say while it is waited for.
        let commit_by = ms(if streams_as.is_some() { run.policy.total_ms } else { run.policy.commit_by_ms });
        let parts = Arc::clone(&self.parts);
        let told = Arc::clone(&run.told);
        let mut opening: Opening = Box::pin(run.stream(primary));
        let mut dropped = Dropped::new();
        let mut served_by = None;
        let mut is_whole = Arc::default();
        let mut media_type = streams_as.map(str::to_owned);
        match tokio::time::timeout(commit_by, &mut opening).await {
            Ok(committed) => {
                let mut committed = committed?;
                dropped = std::mem::take(&mut committed.open.dropped);
                is_whole = Arc::clone(&committed.is_whole);
                media_type = media_type.map(|usual| committed.open.media_type.take().unwrap_or(usual));
                served_by = committed.record.explains().then(|| committed.target.opaque_id.clone());
                self.parts.spawn.spawn(Box::pin(stream::pump(parts, committed, sender)));
            }
            Err(_) => {
                is_committed.store(true, Ordering::Relaxed);
                self.parts.spawn.spawn(Box::pin(stream::pump_when_open(parts, opening, (contract, told), sender)));
            }
        }
        let body = match media_type {
            None => AnswerBody::Stream(receiver),
            Some(media_type) => AnswerBody::Flow(media_type, Flow { pieces: receiver, is_whole }),
        };
        Ok(Answer { body, dropped, served_by, standing: None, cache: None })
    }
}

/// Routing facts of a request that failed, for a client that asked for them.
pub(super) type Told = Arc<OnceLock<String>>;

/// A stream that has not committed yet.
pub(super) type Opening = Pin<Box<dyn Future<Output = Outcome<Committed>> + Send>>;

impl Flight for Run {
    fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    async fn fly(mut self) -> Result<Fresh, Denied> {
        let primary = self.admit().await?;
        let standing = self.record.standing();
        let told = Arc::clone(&self.told);
        match self.fresh(primary).await {
            Ok(fresh) => Ok(Fresh { standing, ..fresh }),
            Err(fault) => Err(Denied { fault, standing: standing.map(Box::new), routing: told.get().cloned() }),
        }
    }
}

/// One request under way.
pub(super) struct Run {
    pub(super) parts: Arc<Parts>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) task: Arc<dyn Task>,
    /// What keeps the answer.
    keep: Option<Keep>,
    pub(super) forwarded: HeaderMap,
    is_strict: bool,
    /// As of [`Manner`].
    most_file_text: Option<u64>,
    pub(super) policy: ExecutionPolicy,
    end: Instant,
    /// Set when the response status has been sent: no further attempts.
    is_committed: Arc<AtomicBool>,
    /// Set when the fallback chain was asked.
    has_fallen_back: bool,
    told: Told,
    pub(super) record: Record,
}

impl Run {
    /// Plans, and holds what the request may use.
    async fn admit(&mut self) -> Result<Vec<Candidate>, Denied> {
        let admitted = match self.primary() {
            Ok(primary) => self.record.account().admit(&primary).await.map(|()| primary),
            Err(fault) => Err(fault.into()),
        };
        match admitted {
            Err(denied) => {
                self.record.settle(Ending::Error, Some(&denied.fault)).await;
                Err(Denied { routing: self.record.routing(), ..denied })
            }
            admitted => admitted,
        }
    }

    async fn whole(self, primary: Vec<Candidate>) -> Outcome<Answer> {
        self.fresh(primary).await.map(|fresh| fresh.into_answer(None))
    }

    async fn fresh(mut self, primary: Vec<Candidate>) -> Outcome<Fresh> {
        match self.search(primary).await {
            Ok((candidate, Opened::Whole(reply, dropped))) => {
                self.record.commits();
                self.record.came_whole();
                // What is not text says itself what it used, or is expected to.
                let is_text = self.task.operation() == Operation::TextGenerate;
                let bytes = if is_text { reply.body.iter().map(|piece| piece.len() as u64).sum() } else { 0 };
                self.record.left_out(&dropped);
                self.record.reported(reply.usage, reply.finish_reason.as_deref(), bytes);
                let mut body = reply.body;
                if let Some(keep) = self.keep.take() {
                    let response = Bytes::from(body.concat());
                    let origin = &candidate.target.opaque_id;
                    let is_kept = keep.save(&response, origin, self.record.request_id()).await;
                    body = if is_kept { vec![response] } else { openai_responses::native::not_kept(response) };
                }
                let model = candidate.target.public_model.as_str().to_owned();
                let routing = self.record.routing();
                let facts = routing.as_deref().filter(|_| reply.media_type.is_none());
                self.record.wrote(metadata::length_with(&body, facts));
                self.record.settle(Ending::Success, None).await;
                Ok(Fresh {
                    body,
                    media_type: reply.media_type,
                    dropped,
                    served_by: self.record.explains().then(|| candidate.target.opaque_id.clone()),
                    routing,
                    standing: None,
                    is_fallback: model != self.task.model(),
                    finish_reason: reply.finish_reason,
                    is_complete,
                    model,
                })
            }
            Ok((_, Opened::Stream(_))) => Err(Kind::Internal.into()),
            Err(fault) => Err(self.fail(fault).await),
        }
    }

    async fn stream(mut self, primary: Vec<Candidate>) -> Outcome<Committed> {
        match self.search(primary).await {
            Ok((candidate, Opened::Stream(open))) => {
                self.record.commits();
                self.record.left_out(&open.dropped);
                let idle = ms(self.policy.idle_ms);
                let contract = self.task.wire();
                let Self { keep, record, end, .. } = self;
                let is_whole = Arc::default();
                Ok(Committed { open, target: candidate.target, contract, record, keep, idle, end, is_whole })
            }
            Ok((_, Opened::Whole(..))) => Err(Kind::Internal.into()),
            Err(fault) => Err(self.fail(fault).await),
        }
    }

    async fn fail(&mut self, fault: Fault) -> Fault {
        self.record.settle(Ending::Error, Some(&fault)).await;
        if let Some(routing) = self.record.routing() {
            // Set once: a request fails once.
            _ = self.told.set(routing);
        }
        fault
    }

    /// Tries candidates until one commits.
    async fn search(&mut self, primary: Vec<Candidate>) -> Outcome<(Candidate, Opened)> {
        let mut queue = primary.into_iter();
        let mut tried: Vec<Tried> = Vec::new();
        let mut skipped = Skipped::default();
        let mut may_repeat_unsafely = !self.task.operation().is_dear();
        loop {
            let (candidate, earlier) = match queue.next() {
                Some(candidate) => (candidate, None),
                None if !self.has_fallen_back => {
                    self.has_fallen_back = true;
                    queue = self.fallbacks(&tried).into_iter();
                    continue;
                }
                None => match self.again(&mut tried).await {
                    Some(Tried { candidate, failure, .. }) => (candidate, Some(failure)),
                    None => break,
                },
            };
            let Some(pass) = self.enter(&candidate, &mut skipped).await? else {
                // What was tried before stays on the list of failures; it is not tried again.
                tried.extend(earlier.map(|failure| Tried { candidate, failure, is_spent: true }));
                continue;
            };
            let is_late_after = if tried.is_empty() { self.late_after(&candidate) } else { None };
            let attempted = match is_late_after.zip(queue.as_slice().first().cloned()) {
                Some((late, second)) => {
                    let raced = self.race(candidate, pass, second, late).await;
                    if raced.used_second {
                        queue.next();
                    }
                    tried.extend(raced.failed.map(|(candidate, failure)| Tried {
                        candidate,
                        failure,
                        is_spent: false,
                    }));
                    raced.ended
                }
                None => (self.attempt(&candidate, pass).await, candidate),
            };
            let (failure, candidate) = match attempted {
                (Ok(opened), candidate) => return Ok((candidate, opened)),
                (Err(failure), candidate) => (failure, candidate),
            };
            if failure.refused_as.is_some() {
                tried.push(Tried { candidate, failure, is_spent: true });
                continue;
            }
            self.record.attempt_failed(&failure);
            let is_terminal = failure.class == FailureClass::Request;
            let is_unsafe = failure.repeat == Repeat::Once;
            tried.push(Tried { candidate, failure, is_spent: false });
            let out_of_attempts = self.record.attempts() >= self.policy.max_attempts;
            if is_terminal || out_of_attempts || (is_unsafe && !may_repeat_unsafely) || self.is_over() {
                break;
            }
            may_repeat_unsafely &= !is_unsafe;
        }
        match skipped.fault() {
            Some(fault) if tried.is_empty() => Err(fault),
            _ => Err(self.verdict(&tried)),
        }
    }

    /// Asks the deployment's circuit, then the ledger, for leave to call a candidate.
    async fn enter(&mut self, candidate: &Candidate, skipped: &mut Skipped) -> Outcome<Option<Pass>> {
        let now = self.parts.clock.instant();
        let pass = match self.parts.health.enter(&candidate.target, self.snapshot.shared_settings(), now) {
            Ok(pass) => pass,
            Err(Availability::RateLimited(wait)) => {
                skipped.waits.throttle(wait);
                return Ok(None);
            }
            Err(Availability::Cooldown(wait)) => {
                skipped.waits.cooldown(wait);
                return Ok(None);
            }
            // Only those two are reasons.
            Err(Availability::Available | Availability::HalfOpen) => return Ok(None),
        };
        match self.record.account().ask_leave(candidate).await? {
            Leave::Granted => Ok(Some(pass)),
            Leave::TooDear => Ok(None),
            Leave::Limited(wait) => {
                skipped.limited = Some(skipped.limited.map_or(wait, |known| known.min(wait)));
                Ok(None)
            }
        }
    }

    fn routes(&self) -> Routes<'_> {
        Routes { parts: &self.parts, snapshot: &self.snapshot, task: self.task.as_ref() }
    }

    fn primary(&mut self) -> Outcome<Vec<Candidate>> {
        self.parts.health.tidy(&self.snapshot);
        let primary = self.routes().primary()?;
        self.has_fallen_back = primary.is_chain;
        if primary.is_chain {
            self.parts.metrics.fell_back(self.task.model(), FallbackReason::General.as_str());
        }
        Ok(primary.candidates)
    }

    /// Candidates of the chain that catches what the primary pool failed with. Unusable targets are skipped.
    fn fallbacks(&self, tried: &[Tried]) -> Vec<Candidate> {
        let all = |class| tried.iter().all(|tried| tried.failure.class == class);
        let reason = if tried.is_empty() {
            FallbackReason::General
        } else if all(FailureClass::ContextWindow) {
            FallbackReason::ContextWindow
        } else if all(FailureClass::ContentPolicy) {
            FallbackReason::ContentPolicy
        } else {
            FallbackReason::General
        };
        let mut candidates = self.routes().chain(reason);
        if !candidates.is_empty() {
            self.parts.metrics.fell_back(self.task.model(), reason.as_str());
        }
        candidates.retain(|candidate| tried.iter().all(|tried| tried.candidate.target.id != candidate.target.id));
        candidates
    }

    /// The next candidate to be tried again, after its backoff.
    async fn again(&self, tried: &mut Vec<Tried>) -> Option<Tried> {
        let position = tried.iter().position(Tried::may_pass)?;
        let backoff = self.backoff();
        if Instant::now() + backoff >= self.end {
            return None;
        }
        tokio::time::sleep(backoff).await;
        if self.is_over() {
            return None;
        }
        // Its earlier failure stays on the record by the log; the new one replaces it.
        Some(tried.remove(position))
    }

    /// Full jitter: anything from nothing to a bound that doubles with every attempt.
    fn backoff(&self) -> Duration {
        let doubling = 1_u64.checked_shl(self.record.attempts()).unwrap_or(u64::MAX);
        let bound = BACKOFF_BASE_MS.saturating_mul(doubling).min(BACKOFF_CAP_MS);
        Duration::from_millis((self.parts.dice)(bound.max(1)))
    }

    fn is_over(&self) -> bool {
        self.is_committed.load(Ordering::Relaxed) || Instant::now() >= self.end
    }

    async fn attempt(&mut self, candidate: &Candidate, pass: Pass) -> Result<Opened, Failure> {
        let prepared = self.begin(candidate, pass).await?;
        let trace = Trace::default();
        let attempted = attempt(&AttemptInput {
            parts: &self.parts,
            candidate,
            task: self.task.as_ref(),
            forwarded: &self.forwarded,
            prepared,
            span: self.record.attempt_trace().map(AsRef::as_ref),
            deadlines: self.deadlines(candidate),
            trace: &trace,
        })
        .await;
        self.record.traced(&trace);
        attempted
    }

    /// Prepares the request for a candidate.
    pub(super) async fn prepare(&self, candidate: &Candidate) -> Result<Prepared, Failure> {
        let strategy = self.snapshot.settings().unsupported_parameter_strategy;
        let manner = Manner { is_strict: self.is_strict, strategy, most_file_text: self.most_file_text };
        self.task.prepare(&self.parts, candidate, manner, self.end).await
    }

    pub(super) fn deadlines(&self, candidate: &Candidate) -> Deadlines {
        Deadlines { first_output: self.first_output(candidate), idle: ms(self.policy.idle_ms), end: self.end }
    }

    /// Prepares an attempt and notes that it begins.
    pub(super) async fn begin(&mut self, candidate: &Candidate, pass: Pass) -> Result<Prepared, Failure> {
        let prepared = match self.prepare(candidate).await {
            Ok(prepared) => prepared,
            Err(failure) => {
                match failure.refused_as {
                    Some(_) => self.record.candidate_refused(&candidate.target, &failure),
                    None => self.record.attempt_begins(&candidate.target, Some(pass)),
                }
                return Err(failure);
            }
        };
        self.record.attempt_begins(&candidate.target, Some(pass));
        self.record.is_asked(prepared.steps, prepared.is_native);
        Ok(prepared)
    }

    /// How long the first output of a stream may take: longer for a model that thinks first.
    fn first_output(&self, candidate: &Candidate) -> Duration {
        // What the operator has set is what holds.
        let stated = self.policy.first_output_ms;
        let is_default = stated == ExecutionPolicy::default_for(self.task.operation()).first_output_ms;
        ms(if is_default { stated.max(self.task.first_output_ms(&candidate.target)) } else { stated })
    }

    fn verdict(&self, tried: &[Tried]) -> Fault {
        let failures: Vec<&Failure> = tried.iter().map(|tried| &tried.failure).collect();
        // Candidates that could not be sent the request count only where there was no other.
        let (refused, failures): (Vec<&Failure>, Vec<&Failure>) =
            failures.into_iter().partition(|failure| failure.refused_as.is_some());
        let terminal = failures.iter().find(|failure| failure.class == FailureClass::Request);
        let only_refused = refused.first().filter(|_| failures.is_empty());
        if let Some(decisive) = terminal.or(only_refused) {
            return decisive.to_fault(self.parts.error_detail);
        }
        worst(&failures).map_or_else(|| Kind::NoDeployments.into(), |failure| failure.to_fault(self.parts.error_detail))
    }
}

/// Every deployment has had its share of this minute; none was called.
fn at_their_limit(wait: Duration) -> Fault {
    let sentence = "Every deployment of this model is at the limit that its operator has set; try again later.";
    Fault::new(Kind::RateLimited).say(sentence).retry_after(wait)
}

/// Candidates that were not called, and when they may be.
#[derive(Default)]
struct Skipped {
    waits: Waits,
    /// At the limit of their operator.
    limited: Option<Duration>,
}

impl Skipped {
    /// What a caller is told when no other was there.
    fn fault(mut self) -> Option<Fault> {
        let Some(limited) = self.limited else { return self.waits.fault() };
        self.waits.throttle(limited);
        let others = self.waits.fault()?;
        Some(if others.kind() == Kind::RateLimited { at_their_limit(others.wait().unwrap_or(limited)) } else { others })
    }
}

/// A candidate and how it failed.
struct Tried {
    candidate: Candidate,
    failure: Failure,
    /// Whether it was refused when it was to be tried again.
    is_spent: bool,
}

impl Tried {
    /// Whether the same candidate may succeed when asked again.
    fn may_pass(&self) -> bool {
        match self.failure.class {
            FailureClass::Transient => !self.is_spent,
            FailureClass::Request
            | FailureClass::ContextWindow
            | FailureClass::ContentPolicy
            | FailureClass::Throttle
            | FailureClass::Configuration => false,
        }
    }
}

fn ms(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}
