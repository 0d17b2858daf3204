//! What is recorded of a request: one line at the border, always, even when the client hangs up.

use std::sync::Arc;
use std::time::Instant;

use super::Caller;
use super::failure::Failure;
use crate::domain::usage::TokenUsage;
use crate::fault::Fault;
use crate::routing::Target;
use crate::time::Clock;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The answer was complete.
    Success,
    /// The answer failed or was refused.
    Error,
    /// The client left, or took nothing for too long.
    Cancelled,
}

impl Ending {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The record of one request. Dropping it without an ending records a hang-up.
pub struct Record {
    clock: Arc<dyn Clock>,
    started: Instant,
    request_id: String,
    key_prefix: Option<String>,
    public_model: String,
    is_stream: bool,
    served_by: Option<Arc<Target>>,
    attempts: u32,
    first_output_ms: Option<u64>,
    usage: Option<TokenUsage>,
    finish_reason: Option<String>,
    is_settled: bool,
}

impl Record {
    /// Starts the record of a request.
    pub fn start(
        clock: Arc<dyn Clock>,
        caller: &Caller,
        request_id: String,
        public_model: String,
        is_stream: bool,
    ) -> Self {
        let key_prefix = match caller {
            Caller::Master => None,
            Caller::Key(key) => Some(key.prefix.clone()),
        };
        Self {
            started: clock.instant(),
            clock,
            request_id,
            key_prefix,
            public_model,
            is_stream,
            served_by: None,
            attempts: 0,
            first_output_ms: None,
            usage: None,
            finish_reason: None,
            is_settled: false,
        }
    }

    /// Notes that an attempt begins.
    pub fn attempt_begins(&mut self, target: &Arc<Target>) {
        self.attempts += 1;
        self.served_by = Some(Arc::clone(target));
    }

    /// Notes and logs that an attempt failed.
    pub fn attempt_failed(&self, failure: &Failure) {
        tracing::warn!(
            request_id = self.request_id,
            deployment_id = self.served_by.as_ref().map(|target| tracing::field::display(target.id)),
            provider = self.served_by.as_ref().map(|target| target.provider.as_str()),
            attempt = self.attempts,
            class = ?failure.class,
            status = failure.status,
            error = failure.cause,
            "an attempt failed"
        );
    }

    /// Attempts so far.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The request's id.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Notes the first semantic output.
    pub fn output_begins(&mut self) {
        if self.first_output_ms.is_none() {
            self.first_output_ms = Some(self.elapsed_ms());
        }
    }

    /// Notes what the provider reported.
    pub fn reported(&mut self, usage: Option<TokenUsage>, finish_reason: Option<&str>) {
        self.usage = usage;
        self.finish_reason = finish_reason.map(str::to_owned);
    }

    /// Ends the record.
    pub fn settle(&mut self, ending: Ending, fault: Option<&Fault>) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let usage = self.usage.unwrap_or_default();
        let status = fault.map_or(200, |fault| fault.kind().row().http);
        tracing::info!(
            request_id = self.request_id,
            key = self.key_prefix,
            public_model = self.public_model,
            deployment_id = self.served_by.as_ref().map(|target| tracing::field::display(target.id)),
            provider = self.served_by.as_ref().map(|target| target.provider.as_str()),
            stream = self.is_stream,
            outcome = ending.as_str(),
            status,
            fault = fault.map(|fault| fault.kind().row().slug),
            error = fault.and_then(Fault::cause),
            attempts = self.attempts,
            finish_reason = self.finish_reason,
            input_tokens = usage.input,
            cached_tokens = usage.cache_read,
            output_tokens = usage.output,
            reasoning_tokens = usage.reasoning,
            usage_known = self.usage.is_some(),
            first_output_ms = self.first_output_ms,
            duration_ms = self.elapsed_ms(),
            "request served"
        );
    }

    fn elapsed_ms(&self) -> u64 {
        let elapsed = self.clock.instant().saturating_duration_since(self.started);
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.settle(Ending::Cancelled, None);
    }
}
