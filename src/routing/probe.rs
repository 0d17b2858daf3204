//! One real call of one deployment: the port through which the control plane asks for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Target;
use crate::domain::operation::Transport;
use crate::domain::usage::TokenUsage;

/// Calls a deployment to see whether it answers. Implemented by the data plane, wired by `app`.
#[async_trait]
pub trait ProbeDeployment: Send + Sync {
    /// Makes one tiny call, once, outside of routing: no retry, no fallback, nothing is held against the deployment.
    async fn probe(&self, target: Arc<Target>) -> Probed;
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// From the call to the end of the answer.
    pub latency: Duration,
    /// Status of the provider's answer, when there was one.
    pub status: Option<u16>,
    /// The wire shape that was spoken; `None` when there is none in common.
    pub transport: Option<Transport>,
    /// What went wrong.
    pub failure: Option<ProbeFailure>,
    /// What the provider counted.
    pub usage: Option<TokenUsage>,
}

/// What went wrong with a probe, in words that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeFailure {
    /// `configuration`, `throttle`, `transient`, `request`, `context_window` or `content_policy`.
    pub class: &'static str,
    /// What happened, without secrets, hosts or addresses.
    pub message: String,
}
