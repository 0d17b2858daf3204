//! What would become of a request: the port through which the control plane asks, and the answer.

use std::time::Duration;

use async_trait::async_trait;

use super::health::Standing;
use crate::domain::fallback::FallbackReason;
use crate::domain::ids::{DeploymentId, Revision, VirtualKeyId};
use crate::domain::money::NanoCents;
use crate::domain::operation::{Operation, Transport};
use crate::domain::settings::RoutingStrategy;
use crate::fault::{Fault, Outcome};

/// Walks a request through admission and planning without making it. Implemented by the data plane, wired by `app`.
#[async_trait]
pub trait ExplainRoute: Send + Sync {
    /// Says what would become of a request now. No provider is called, nothing is held, nothing is recorded.
    ///
    /// # Errors
    /// `BadRequest` for a question that makes no request; `NotFound` for a key that is not there; `Unavailable` when it
    /// cannot be told how the limits stand.
    async fn explain(&self, question: Question) -> Outcome<Explanation>;
}

/// A request that is not made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// The key that would make it; `None`: the master key.
    pub key: Option<VirtualKeyId>,
    /// What is asked for; `None`: text.
    pub operation: Option<Operation>,
    /// The contract: `chat_completions`, `responses` or `messages`; `None`: the first.
    pub contract: Option<String>,
    /// `x-unified-session`.
    pub session: Option<String>,
    /// The request.
    pub shape: Shape,
}

/// How the request is told: by what matters of it, or whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// By what matters of it.
    Outline(Outline),
    /// As JSON text.
    Body(String),
}

impl Default for Shape {
    fn default() -> Self {
        Self::Outline(Outline::default())
    }
}

/// What matters of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// The model that it names.
    pub public_model: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether it has tools.
    pub tools: bool,
    /// Whether it shows a picture.
    pub vision: bool,
    /// Whether the answer has to follow a schema.
    pub structured_outputs: bool,
    /// How much the model is to think, in the words of the contract.
    pub reasoning: Option<String>,
    /// Further fields of the body: JSON object text.
    pub parameters: Option<String>,
    /// Its size; `None`: that of a short question.
    pub input_tokens: Option<u64>,
    /// The most that it wants written.
    pub max_output_tokens: Option<u64>,
}

/// What would become of the request.
#[derive(Debug)]
pub struct Explanation {
    /// The configuration in force.
    pub revision: Revision,
    /// The model that the request names.
    pub public_model: String,
    /// What is asked for.
    pub operation: Operation,
    /// The contract.
    pub contract: &'static str,
    /// What the caller is told without any provider being called; `None`: one is.
    pub refusal: Option<Fault>,
    /// `allowed`, `model_not_allowed`, `key_disabled` or `key_expired`.
    pub scope: &'static str,
    /// How the limits of the key stand.
    pub limits: Vec<LimitView>,
    /// How its budget stands.
    pub budget: Option<BudgetView>,
    /// How candidates are ordered within a tier.
    pub strategy: RoutingStrategy,
    /// What put the first candidate first: `state` or `session`; `None`: the strategy.
    pub pinned_by: Option<&'static str>,
    /// Upstream calls that it may cost, over all candidates.
    pub max_attempts: u32,
    /// Whether the general chain serves because all of the pool is left alone.
    pub chain_serves: bool,
    /// Every deployment of the model: those that can serve in the order of this draw, then the others.
    pub candidates: Vec<CandidateView>,
    /// Where it goes when all of the pool failed, by reason.
    pub chains: Vec<ChainView>,
}

#[cfg(test)]
impl Explanation {
    /// What those answer, in tests, who know no deployment.
    pub(crate) fn of_nothing(question: Question) -> Self {
        let public_model = match question.shape {
            Shape::Outline(outline) => outline.public_model,
            Shape::Body(body) => body,
        };
        Self {
            revision: Revision(1),
            public_model,
            operation: Operation::TextGenerate,
            contract: "chat_completions",
            refusal: None,
            scope: "allowed",
            limits: Vec::new(),
            budget: None,
            strategy: RoutingStrategy::SimpleShuffle,
            pinned_by: None,
            max_attempts: 4,
            chain_serves: false,
            candidates: Vec::new(),
            chains: Vec::new(),
        }
    }
}

/// A limit of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitView {
    /// `rpm`, `tpm` or `max_parallel_requests`.
    pub name: &'static str,
    /// The limit.
    pub limit: u64,
    /// What counts against it now.
    pub used: u64,
    /// What the request adds.
    pub needs: u64,
}

impl LimitView {
    /// Whether the request would be let through.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.used.saturating_add(self.needs) <= self.limit
    }
}

/// The budget of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetView {
    /// `expected` or `hard`.
    pub mode: &'static str,
    /// The cap.
    pub limit: NanoCents,
    /// Spent in this window.
    pub spent: NanoCents,
    /// Held by requests under way.
    pub held: NanoCents,
    /// What the request would hold; `None`: it has no price.
    pub needs: Option<NanoCents>,
}

impl BudgetView {
    /// Whether the request would be let through.
    #[must_use]
    pub fn fits(&self) -> bool {
        let taken = i128::from(self.spent.0) + i128::from(self.held.0);
        let is_spent = self.spent >= self.limit;
        !is_spent && self.needs.is_some_and(|needs| taken + i128::from(needs.0) <= i128::from(self.limit.0))
    }
}

/// A deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateView {
    /// Its id.
    pub deployment: DeploymentId,
    /// Its name on the data plane.
    pub opaque_id: String,
    /// Its public model.
    pub public_model: String,
    /// Its preset.
    pub provider: String,
    /// The provider's name of the model.
    pub upstream_model: String,
    /// Its tier; higher ones come first.
    pub priority: i32,
    /// Its share within the tier.
    pub weight: u32,
    /// `kept`, `disabled`, `unfit`, `cooldown`, `rate_limited`, `refused` or `too_dear`.
    pub verdict: &'static str,
    /// Why, in words.
    pub reason: String,
    /// How long it is left alone.
    pub wait: Option<Duration>,
    /// Its place in the order of this draw, from 1.
    pub position: Option<u32>,
    /// How probable it is that it comes first.
    pub share: f64,
    /// What the strategy looks at, such as milliseconds; `None`: not known yet, or not of a candidate.
    pub figure: Option<f64>,
    /// How it stands on this replica; `None`: it was not looked at.
    pub standing: Option<Standing>,
    /// Requests and tokens a minute that it takes.
    pub rpm_limit: Option<u32>,
    /// Tokens a minute that it takes.
    pub tpm_limit: Option<u32>,
    /// `native`, `translated` or `local`.
    pub lane: Option<&'static str>,
    /// The wire shape it is spoken to in.
    pub transport: Option<Transport>,
    /// Fields of the request that would not reach it as they are.
    pub dropped: Vec<String>,
    /// Input tokens, as estimated.
    pub input_tokens: Option<u64>,
    /// What the request may cost here: the hold of a key with a budget.
    pub cost: Option<NanoCents>,
}

/// A fallback chain.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainView {
    /// When it is taken.
    pub reason: FallbackReason,
    /// Its targets, in order.
    pub targets: Vec<ChainTarget>,
}

/// One model of a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainTarget {
    /// The public model.
    pub public_model: String,
    /// Its deployments, as those of the primary.
    pub candidates: Vec<CandidateView>,
}
