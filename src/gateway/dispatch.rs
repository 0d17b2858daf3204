//! Candidates, retries and fallbacks until one answer commits.
//!
//! Every candidate is tried once before any is tried twice: the primary pool, then the fallback chain of the reason, then
//! again those whose failure may pass, with full-jitter backoff. One budget of attempts covers all of it. After the commit
//! point nothing is retried.

use std::borrow::Cow;
use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::account::{Account, Leave};
use super::attempt::{AttemptInput, Deadlines, Dropped, Opened, attempt};
use super::failure::{Failure, Repeat, worst};
use super::lane::{Asking, transports};
use super::prepare::{Manner, prepare};
use super::settle::{Ending, Facts, Record};
use super::states::{Keep, next_id};
use super::stream::{self, Committed};
use super::{Caller, Denied, Gateway, Parts};
use crate::canonical::Wire;
use crate::dialects::{self, Asked, openai_responses};
use crate::domain::fallback::FallbackReason;
use crate::domain::names::PublicModel;
use crate::domain::operation::Operation;
use crate::domain::response_state::ResponseId;
use crate::domain::settings::ExecutionPolicy;
use crate::fault::{Fault, Kind, Outcome};
use crate::ledger::Standing;
use crate::providers::FailureClass;
use crate::routing::plan::Wants;
use crate::routing::{Candidate, Snapshot, plan};

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
    /// The raw body.
    pub body: Bytes,
    /// The client's headers that may pass up.
    pub forwarded: HeaderMap,
    /// Its id.
    pub request_id: String,
}

/// What the client gets.
#[derive(Debug)]
pub struct Answer {
    /// The body.
    pub body: AnswerBody,
    /// Request fields that did not reach the provider as sent.
    pub dropped: Vec<Cow<'static, str>>,
    /// How the limits of the key stand, where it has some.
    pub standing: Option<Standing>,
}

/// The body of an answer.
#[derive(Debug)]
pub enum AnswerBody {
    /// JSON, in pieces.
    Whole(Vec<Bytes>),
    /// Server-sent events as they come. Dropping it cancels the provider's work.
    Stream(mpsc::Receiver<Bytes>),
}

impl Gateway {
    /// Serves one request for text, in any contract.
    ///
    /// # Errors
    /// What the caller is to be told, before anything of the answer was sent.
    pub async fn generate(&self, call: Call) -> Result<Answer, Denied> {
        let id = next_id(self.parts.clock.now(), self.parts.dice.as_ref());
        let (asked, keep) = self.scan(call.contract, call.body, &call.caller, id).await?;
        let is_stream = asked.is_stream();
        let account = Account::open(&self.parts, &call.caller, call.contract, asked.bytes())?;
        let facts = Facts {
            request_id: call.request_id,
            public_model: asked.model().to_owned(),
            contract: call.contract.as_str(),
            is_stream,
            revision: call.snapshot.revision().0,
        };
        let record = Record::start(account, facts);
        let policy = call.snapshot.settings().policy(Operation::TextGenerate);
        let mut run = Run {
            asking: Asking::new(asked, id.to_hex(), self.parts.clock.now().unix_s()),
            keep,
            parts: Arc::clone(&self.parts),
            snapshot: call.snapshot,
            forwarded: call.forwarded,
            is_strict: call.is_strict,
            policy,
            end: Instant::now() + ms(policy.total_ms),
            is_committed: Arc::new(AtomicBool::new(false)),
            record,
        };
        let primary = run.admit().await?;
        let standing = run.record.standing();
        let answered = if is_stream { self.open_stream(run, primary).await } else { run.whole(primary).await };
        match answered {
            Ok(answer) => Ok(Answer { standing, ..answer }),
            Err(fault) => Err(Denied { fault, standing }),
        }
    }

    /// Scans a request, and completes it where it goes on from a stored response.
    async fn scan(
        &self,
        contract: Wire,
        body: Bytes,
        caller: &Caller,
        id: ResponseId,
    ) -> Outcome<(Box<dyn Asked>, Option<Keep>)> {
        if contract != Wire::Responses {
            let asked = dialects::scan(contract, body)?;
            caller.check_model(asked.model())?;
            return Ok((asked, None));
        }
        let request = openai_responses::native::read_request(body)?;
        caller.check_model(request.model())?;
        let (request, keep) = self.parts.states.resume(caller, request, id).await?;
        Ok((Box::new(request), keep))
    }

    /// Waits for the stream to commit, by its first output or by the clock.
    async fn open_stream(&self, run: Run, primary: Vec<Candidate>) -> Outcome<Answer> {
        let (sender, receiver) = mpsc::channel(CHANNEL_PIECES);
        let contract = run.asking.asked().wire();
        let is_committed = Arc::clone(&run.is_committed);
        let commit_by = ms(run.policy.commit_by_ms);
        let parts = Arc::clone(&self.parts);
        let mut opening: Opening = Box::pin(run.stream(primary));
        let mut dropped = Dropped::new();
        match tokio::time::timeout(commit_by, &mut opening).await {
            Ok(committed) => {
                let mut committed = committed?;
                dropped = std::mem::take(&mut committed.open.dropped);
                self.parts.spawn.spawn(Box::pin(stream::pump(parts, committed, sender)));
            }
            Err(_) => {
                is_committed.store(true, Ordering::Relaxed);
                self.parts.spawn.spawn(Box::pin(stream::pump_when_open(parts, opening, contract, sender)));
            }
        }
        Ok(Answer { body: AnswerBody::Stream(receiver), dropped, standing: None })
    }
}

/// A stream that has not committed yet.
pub(super) type Opening = Pin<Box<dyn Future<Output = Outcome<Committed>> + Send>>;

/// One request under way.
struct Run {
    parts: Arc<Parts>,
    snapshot: Arc<Snapshot>,
    asking: Asking,
    /// What keeps the answer.
    keep: Option<Keep>,
    forwarded: HeaderMap,
    is_strict: bool,
    policy: ExecutionPolicy,
    end: Instant,
    /// Set when the response status has been sent: no further attempts.
    is_committed: Arc<AtomicBool>,
    record: Record,
}

impl Run {
    /// Plans, and holds what the request may use.
    async fn admit(&mut self) -> Result<Vec<Candidate>, Denied> {
        let admitted = match self.plan(self.asking.asked().model()) {
            Ok(primary) => self.record.account().admit(&primary).await.map(|()| primary),
            Err(fault) => Err(fault.into()),
        };
        if let Err(denied) = &admitted {
            self.record.settle(Ending::Error, Some(&denied.fault)).await;
        }
        admitted
    }

    async fn whole(mut self, primary: Vec<Candidate>) -> Outcome<Answer> {
        match self.search(primary).await {
            Ok((candidate, Opened::Whole(reply, dropped))) => {
                self.record.output_begins();
                let bytes = reply.body.iter().map(|piece| piece.len() as u64).sum();
                self.record.left_out(&dropped);
                self.record.reported(reply.usage, reply.finish_reason.as_deref(), bytes);
                self.record.settle(Ending::Success, None).await;
                let mut body = reply.body;
                if let Some(keep) = self.keep.take() {
                    let response = Bytes::from(body.concat());
                    let origin = &candidate.target.opaque_id;
                    let is_kept = keep.save(&response, origin, self.record.request_id()).await;
                    body = if is_kept { vec![response] } else { openai_responses::native::not_kept(response) };
                }
                Ok(Answer { body: AnswerBody::Whole(body), dropped, standing: None })
            }
            Ok((_, Opened::Stream(_))) => Err(Kind::Internal.into()),
            Err(fault) => Err(self.fail(fault).await),
        }
    }

    async fn stream(mut self, primary: Vec<Candidate>) -> Outcome<Committed> {
        match self.search(primary).await {
            Ok((candidate, Opened::Stream(open))) => {
                self.record.output_begins();
                self.record.left_out(&open.dropped);
                let idle = ms(self.policy.idle_ms);
                let Self { keep, record, end, .. } = self;
                Ok(Committed { open, target: candidate.target, record, keep, idle, end })
            }
            Ok((_, Opened::Whole(..))) => Err(Kind::Internal.into()),
            Err(fault) => Err(self.fail(fault).await),
        }
    }

    async fn fail(&mut self, fault: Fault) -> Fault {
        self.record.settle(Ending::Error, Some(&fault)).await;
        fault
    }

    /// Tries candidates until one commits.
    async fn search(&mut self, primary: Vec<Candidate>) -> Outcome<(Candidate, Opened)> {
        let mut queue = primary.into_iter();
        let mut tried: Vec<Tried> = Vec::new();
        let mut soonest: Option<Duration> = None;
        let mut has_fallen_back = false;
        let mut may_repeat_unsafely = true;
        loop {
            let candidate = match queue.next() {
                Some(candidate) => candidate,
                None if !has_fallen_back => {
                    has_fallen_back = true;
                    queue = self.fallbacks(&tried).into_iter();
                    continue;
                }
                None => match self.again(&mut tried).await {
                    Some(candidate) => candidate,
                    None => break,
                },
            };
            match self.record.account().ask_leave(&candidate).await? {
                Leave::Granted => {}
                Leave::TooDear => continue,
                Leave::Limited(wait) => {
                    soonest = Some(soonest.map_or(wait, |known| known.min(wait)));
                    continue;
                }
            }
            let failure = match self.attempt(&candidate).await {
                Ok(opened) => return Ok((candidate, opened)),
                Err(failure) => failure,
            };
            if failure.refused_as.is_some() {
                tried.push(Tried { candidate, failure });
                continue;
            }
            self.record.attempt_failed(&failure);
            let is_terminal = failure.class == FailureClass::Request;
            let is_unsafe = failure.repeat == Repeat::Once;
            tried.push(Tried { candidate, failure });
            let out_of_attempts = self.record.attempts() >= self.policy.max_attempts;
            if is_terminal || out_of_attempts || (is_unsafe && !may_repeat_unsafely) || self.is_over() {
                break;
            }
            may_repeat_unsafely &= !is_unsafe;
        }
        match soonest {
            Some(wait) if tried.is_empty() => Err(at_their_limit(wait)),
            _ => Err(self.verdict(&tried)),
        }
    }

    fn plan(&self, public_model: &str) -> Outcome<Vec<Candidate>> {
        let transports = transports(self.asking.asked().wire());
        let wants = Wants { public_model, operation: Operation::TextGenerate, transports };
        let dice = &self.parts.dice;
        Ok(plan(&self.snapshot, wants, &mut |below| dice(below))?.candidates)
    }

    /// Candidates of the chain that catches what the primary pool failed with. Unusable targets are skipped.
    fn fallbacks(&self, tried: &[Tried]) -> Vec<Candidate> {
        let all = |class| tried.iter().all(|tried| tried.failure.class == class);
        let reason = if all(FailureClass::ContextWindow) {
            FallbackReason::ContextWindow
        } else if all(FailureClass::ContentPolicy) {
            FallbackReason::ContentPolicy
        } else {
            FallbackReason::General
        };
        let Ok(primary) = PublicModel::parse(self.asking.asked().model()) else { return Vec::new() };
        let mut seen: HashSet<_> = tried.iter().map(|tried| tried.candidate.target.id).collect();
        let chain = self.snapshot.chain(&primary, reason).iter();
        let candidates = chain.filter_map(|model| self.plan(model.as_str()).ok()).flatten();
        candidates.filter(|candidate| seen.insert(candidate.target.id)).collect()
    }

    /// The next candidate to be tried again, after its backoff.
    async fn again(&self, tried: &mut Vec<Tried>) -> Option<Candidate> {
        let position = tried.iter().position(|tried| tried.may_pass())?;
        let backoff = self.backoff();
        if Instant::now() + backoff >= self.end {
            return None;
        }
        tokio::time::sleep(backoff).await;
        if self.is_over() {
            return None;
        }
        // Its earlier failure stays on the record by the log; the new one replaces it.
        Some(tried.remove(position).candidate)
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

    async fn attempt(&mut self, candidate: &Candidate) -> Result<Opened, Failure> {
        let strategy = self.snapshot.settings().unsupported_parameter_strategy;
        let manner = Manner { is_strict: self.is_strict, strategy };
        let preparing = prepare(&self.parts, &self.asking, candidate, manner, self.end).await;
        let prepared = match preparing {
            Ok(prepared) => prepared,
            Err(failure) => {
                match failure.refused_as {
                    Some(_) => self.record.candidate_refused(&candidate.target, &failure),
                    None => self.record.attempt_begins(&candidate.target),
                }
                return Err(failure);
            }
        };
        self.record.attempt_begins(&candidate.target);
        self.record.thinks(prepared.steps);
        let first_output = self.first_output(candidate);
        attempt(&AttemptInput {
            parts: &self.parts,
            candidate,
            asking: &self.asking,
            forwarded: &self.forwarded,
            prepared,
            deadlines: Deadlines { first_output, idle: ms(self.policy.idle_ms), end: self.end },
        })
        .await
    }

    /// How long the first output of a stream may take: longer for a model that thinks first.
    fn first_output(&self, candidate: &Candidate) -> Duration {
        let resolved = &candidate.target.resolved;
        let profile = resolved.operations.get(&Operation::TextGenerate).map(|operation| &operation.profile);
        let reasons = profile.is_some_and(|profile| profile.reasoning.is_some());
        let is_unknown = candidate.target.is_unknown_model();
        let effort_ms = match self.asking.asked().effort() {
            Some("none") => 0,
            Some("minimal" | "low") => 60_000,
            Some("medium") => 120_000,
            Some(_) => 300_000,
            None if reasons => 300_000,
            // A self-hosted model of which nothing is known may well think.
            None if is_unknown => 120_000,
            None => 0,
        };
        // What the operator has set is what holds.
        let stated = self.policy.first_output_ms;
        let is_default = stated == ExecutionPolicy::default_for(Operation::TextGenerate).first_output_ms;
        ms(if is_default { stated.max(effort_ms) } else { stated })
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

/// A candidate and how it failed.
struct Tried {
    candidate: Candidate,
    failure: Failure,
}

impl Tried {
    /// Whether the same candidate may succeed when asked again.
    fn may_pass(&self) -> bool {
        match self.failure.class {
            FailureClass::Transient => true,
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
