//! Counting the tokens of a request in the contract of Messages: by a provider that can, else by an estimate that says so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use super::account::Account;
use super::attempt::{Dropped, error_answer, read_failure, send_failure};
use super::failure::{Failure, Repeat};
use super::lane::{Asking, transports};
use super::settle::{Ending, Facts, Record};
use super::task::Task;
use super::{Call, Gateway};
use crate::canonical::{TokenUsage, Wire};
use crate::dialects::anthropic_messages::count;
use crate::dialects::scan;
use crate::domain::operation::{Operation, Transport};
use crate::fault::Outcome;
use crate::providers::{self, Endpoint, FailureClass};
use crate::routing::plan::Wants;
use crate::routing::{Candidate, Target, plan};
use crate::tokens::estimate;

/// Most providers that are asked.
const MAX_ATTEMPTS: usize = 2;
/// Longest wait for one of them: a count is wanted before a request and must not hold it up.
const PATIENCE: Duration = Duration::from_secs(15);
const PATH: &str = "/count_tokens";

/// A count.
#[derive(Debug)]
pub struct Counted {
    /// JSON, as the contract has it.
    pub body: Bytes,
    /// Whether it was estimated here.
    pub is_estimated: bool,
    /// Request fields that did not reach the provider as sent.
    pub dropped: Dropped,
}

impl Gateway {
    /// Counts the tokens of a request's input. A provider that fails to count does not fail the call: it is estimated.
    ///
    /// # Errors
    /// What is wrong with the request, as found here or by a provider; `ModelNotFound`, `ModelNotAllowed`.
    pub async fn count_tokens(&self, call: Call) -> Outcome<Counted> {
        let asked = scan(Wire::Messages, call.body)?;
        call.caller.check_model(asked.model())?;
        let wants = Wants {
            public_model: asked.model(),
            operation: Operation::TextGenerate,
            transports: transports(Wire::Messages),
            origin: None,
            session: None,
        };
        let look = |target: &Target| self.parts.health.standing(target, self.parts.clock.instant());
        let candidates = match plan(&call.snapshot, wants, &look, &mut |below| (self.parts.dice)(below)) {
            Ok(plan) => plan.candidates,
            // None is to be called now: it is estimated.
            Err(fault) if fault.wait().is_some() => Vec::new(),
            Err(fault) => return Err(fault),
        };
        // Nothing is held: a count uses no tokens and costs nothing.
        let asking = Arc::new(Asking::new(asked, String::new(), self.parts.clock.now().unix_s()));
        let account = Account::open(&self.parts, &call.caller, Arc::clone(&asking) as Arc<dyn Task>)?;
        let facts = Facts {
            request_id: call.request_id,
            tags: call.tags,
            public_model: asking.model().to_owned(),
            operation: Operation::TextGenerate,
            contract: Wire::Messages.as_str(),
            is_stream: false,
            revision: call.snapshot.revision().0,
        };
        let mut record = Record::start(account, facts);
        record.is_not_kept();
        record.reported(Some(TokenUsage::default()), None, 0);
        let counting = candidates.iter().filter(|candidate| candidate.transport == Transport::Messages);
        for candidate in counting.take(MAX_ATTEMPTS) {
            record.attempt_begins(&candidate.target, None);
            match self.ask_for_count(&asking, candidate, &call.forwarded).await {
                Ok((body, dropped)) => {
                    record.settle(Ending::Success, None).await;
                    return Ok(Counted { body, is_estimated: false, dropped });
                }
                Err(failure) => {
                    record.attempt_failed(&failure);
                    // A provider that has no such endpoint says so in many ways; a request that is wrong is wrong anyhow.
                    if failure.class == FailureClass::Request && failure.status == Some(400) {
                        let fault = failure.to_fault(self.parts.error_detail);
                        record.settle(Ending::Error, Some(&fault)).await;
                        return Err(fault);
                    }
                }
            }
        }
        let counted = asking.canonical().map(estimate);
        let ending = if counted.is_ok() { Ending::Success } else { Ending::Error };
        record.settle(ending, counted.as_ref().err()).await;
        Ok(Counted { body: count::write_count(counted?), is_estimated: true, dropped: Dropped::new() })
    }

    async fn ask_for_count(
        &self,
        asking: &Asking,
        candidate: &Candidate,
        forwarded: &http::HeaderMap,
    ) -> Result<(Bytes, Dropped), Failure> {
        let target = &candidate.target;
        let provider = providers::find(&target.provider)
            .ok_or_else(|| Failure::configuration(format!("unknown provider `{}`", target.provider)))?;
        let written = asking.write(candidate, provider, Wire::Messages, &self.parts, None).await;
        let (written, _) = written.map_err(|fault| Failure::refused(&fault))?;
        let is_as_sent =
            asking.is_native(Wire::Messages) && !asking.rewrites_effort(candidate, provider, Wire::Messages);
        let body = if is_as_sent { written.body } else { count::only_counted(&written.body) };
        let endpoint = Endpoint { transport: candidate.transport, model: &target.upstream_model, is_stream: false };
        let outgoing = providers::address(provider, &target.credentials, endpoint, forwarded, body)
            .and_then(|outgoing| providers::below(outgoing, PATH))
            .map_err(|error| Failure::configuration(error.to_string()))?;
        let end = Instant::now() + PATIENCE;
        let mut reply = self.parts.client.send(outgoing, PATIENCE).await.map_err(|error| send_failure(&error))?;
        let bounds = self.parts.bounds;
        if reply.status != StatusCode::OK {
            let read = |body: &[u8]| asking.read_error(Transport::Messages, body);
            return Err(error_answer(&mut reply, provider, target, &read, bounds).await);
        }
        let left = end.saturating_duration_since(Instant::now());
        let body = reply.read_capped(bounds.error_bytes, left).await.map_err(|error| read_failure(&error))?;
        match count::read_count(&body) {
            Some(_) => Ok((body, written.dropped)),
            None => Err(Failure::transient(Repeat::Once, "the answer has no count")),
        }
    }
}
