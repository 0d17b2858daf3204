//! One tiny real call of one deployment, for an operator who wants to know whether it works.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use super::Gateway;
use super::attempt::{AttemptInput, Deadlines, Opened, attempt};
use super::failure::Failure;
use super::lane::Asking;
use super::prepare::Manner;
use super::query::Query;
use super::task::Task;
use super::trace::Trace;
use crate::canonical::Wire;
use crate::dialects;
use crate::domain::operation::Operation;
use crate::domain::settings::ParameterStrategy;
use crate::domain::usage::TokenUsage;
use crate::fault::{Kind, Outcome};
use crate::routing::{Blow, ProbeDeployment, ProbeFailure, Probed, Target, Wants, candidate};

const PATIENCE: Duration = Duration::from_secs(30);
/// The least that models which count their reasoning still take.
const MAX_TOKENS: u32 = 16;

#[async_trait]
impl ProbeDeployment for Gateway {
    async fn probe(&self, target: Arc<Target>) -> Probed {
        let begun = Instant::now();
        let asked = match ping(&target) {
            Ok(Some(task)) => {
                let wants = Wants {
                    public_model: target.public_model.as_str(),
                    operation: task.operation(),
                    transports: task.transports(),
                    origin: None,
                    session: None,
                };
                candidate(&target, &wants).map(|candidate| (task, candidate))
            }
            Ok(None) | Err(_) => None,
        };
        let Some((task, candidate)) = asked else {
            let failure = ProbeFailure {
                class: "configuration",
                message: "The deployment does nothing that this version can ask for in few words.".to_owned(),
            };
            return Probed {
                latency: Duration::ZERO,
                status: None,
                transport: None,
                failure: Some(failure),
                usage: None,
            };
        };
        let nothing = HeaderMap::new();
        let end = begun + PATIENCE;
        let manner = Manner { is_strict: false, strategy: ParameterStrategy::Drop, most_file_text: None };
        let trace = Trace::default();
        let outcome = match task.prepare(&self.parts, &candidate, manner, end).await {
            Ok(prepared) => {
                attempt(&AttemptInput {
                    span: None,
                    parts: &self.parts,
                    candidate: &candidate,
                    task: task.as_ref(),
                    forwarded: &nothing,
                    prepared,
                    deadlines: Deadlines { first_output: PATIENCE, idle: PATIENCE, end },
                    trace: &trace,
                })
                .await
            }
            Err(failure) => Err(failure),
        };
        self.learn(&target, &outcome);
        let (status, failure, usage) = self.judge(outcome);
        Probed { latency: begun.elapsed(), status, transport: Some(candidate.transport), failure, usage }
    }
}

impl Gateway {
    /// What a test says of a deployment is in force, if it is that deployment, unchanged, that was tested.
    fn learn(&self, tested: &Target, outcome: &Result<Opened, Failure>) {
        let snapshot = self.snapshot();
        let own = snapshot.find_deployment(tested.id);
        let is_own =
            |own: &&Arc<Target>| own.revision == tested.revision && own.upstream_account == tested.upstream_account;
        let Some(own) = own.filter(is_own) else { return };
        match outcome {
            Ok(_) => self.parts.health.absolve(own),
            Err(failure) if failure.blow() == Blow::Configuration => {
                self.parts.health.condemn(own, snapshot.settings(), self.parts.clock.instant());
            }
            Err(_) => {}
        }
    }

    fn judge(&self, outcome: Result<Opened, Failure>) -> (Option<u16>, Option<ProbeFailure>, Option<TokenUsage>) {
        match outcome {
            Ok(Opened::Whole(reply, _)) => (Some(200), None, reply.usage),
            // Nothing asked for one.
            Ok(Opened::Stream(_)) => (Some(200), None, None),
            Err(failure) => {
                let fault = failure.to_fault(self.parts.error_detail);
                let message = match (fault.kind(), failure.status) {
                    (Kind::Upstream, Some(401 | 403)) => "The provider does not accept the credentials.".to_owned(),
                    (Kind::Upstream, Some(404)) => "The provider does not know the upstream model.".to_owned(),
                    (Kind::Upstream, None) => "The provider cannot be reached, or breaks off.".to_owned(),
                    _ => fault.message().to_owned(),
                };
                (failure.status, Some(ProbeFailure { class: failure.class.as_str(), message }), None)
            }
        }
    }
}

/// The shortest request of what the deployment does, text before all else; `None`: nothing that is cheap to ask for.
fn ping(target: &Target) -> Outcome<Option<Box<dyn Task>>> {
    let model = serde_json::Value::from(target.public_model.as_str());
    let has = |operation: Operation| target.resolved.operations.contains_key(&operation);
    if has(Operation::TextGenerate) {
        return Ok(Some(Box::new(ping_text(target)?)));
    }
    let rests = [
        (Operation::EmbeddingCreate, r#""input":"ping""#),
        (Operation::Rerank, r#""query":"ping","documents":["ping"]"#),
        (Operation::Moderate, r#""input":"ping""#),
    ];
    let Some((operation, rest)) = rests.into_iter().find(|(operation, _)| has(*operation)) else { return Ok(None) };
    let query = Query::scan(operation, Bytes::from(format!(r#"{{"model":{model},{rest}}}"#)))?;
    Ok(Some(Box::new(query)))
}

/// Models that reason take their bound in the newer field alone, others in the older one.
fn ping_text(target: &Target) -> Outcome<Asking> {
    let operation = target.resolved.operations.get(&Operation::TextGenerate);
    let reasons = operation.is_some_and(|operation| operation.profile.reasoning.is_some());
    let bound = if reasons { "max_completion_tokens" } else { "max_tokens" };
    let model = serde_json::Value::from(target.public_model.as_str());
    let text = format!(r#"{{"model":{model},"messages":[{{"role":"user","content":"ping"}}],"{bound}":{MAX_TOKENS}}}"#);
    Ok(Asking::new(dialects::scan(Wire::Chat, Bytes::from(text))?, "probe".to_owned(), 0))
}
