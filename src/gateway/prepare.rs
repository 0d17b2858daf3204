//! The request as one candidate gets it: written in its wire, with what it cannot fetch, under the parameter policy.

use tokio::time::{Instant, timeout_at};

use super::Parts;
use super::attempt::Dropped;
use super::failure::Failure;
use super::lane::{Asking, wire_of};
use crate::canonical::Wire;
use crate::canonical::text::Steps;
use crate::dialects::Written;
use crate::dialects::forward::{forward, is_parameter};
use crate::dialects::question::Sending;
use crate::dialects::raw::RawObject;
use crate::domain::settings::ParameterStrategy;
use crate::fault::{Fault, Kind};
use crate::providers::{self, echo};
use crate::routing::Candidate;

/// What may be left out of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Nothing, says the client.
    pub is_strict: bool,
    /// Parameters, says the operator.
    pub strategy: ParameterStrategy,
    /// Most bytes that the text of the request's files may have, where a budget holds no more for them.
    pub most_file_text: Option<u64>,
}

/// A request for one candidate.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// What is sent, in order; nothing for the built-in preset.
    pub sends: Vec<Sending>,
    /// Names of fields that do not reach the provider as sent.
    pub dropped: Dropped,
    /// How much the model is to think.
    pub steps: Steps,
    /// Whether it is sent as it came but for what names the model.
    pub is_native: bool,
}

/// Prepares a request for a candidate.
///
/// # Errors
/// `Request` failures that are our own refusal: another candidate may take it.
pub(super) async fn prepare(
    parts: &Parts,
    asking: &Asking,
    candidate: &Candidate,
    manner: Manner,
    end: Instant,
) -> Result<Prepared, Failure> {
    let target = &candidate.target;
    let provider = providers::find(&target.provider)
        .ok_or_else(|| Failure::configuration(format!("unknown provider `{}`", target.provider)))?;
    if provider.name == echo::PROVIDER.name {
        let steps = asking.steps(candidate, provider, &[]);
        return Ok(Prepared { steps, is_native: asking.is_native(Wire::Chat), ..Prepared::default() });
    }
    let wire = wire_of(candidate.transport)
        .ok_or_else(|| Failure::configuration("the wire shape generates no text".to_owned()))?;
    let writing = timeout_at(end, asking.write(candidate, provider, wire, parts, manner.most_file_text));
    let written = writing.await.map_err(|_| Failure::timed_out("content of the request took too long"))?;
    let written = written.and_then(|(written, is_native)| Ok((follow(manner, asking, wire, written)?, is_native)));
    let (Written { body, dropped }, is_native) = written.map_err(|fault| Failure::refused(&fault))?;
    let steps = asking.steps(candidate, provider, &dropped);
    Ok(Prepared { sends: vec![Sending::json(body)], dropped, steps, is_native })
}

/// The parameter policy, and the client's own wish.
fn follow(manner: Manner, asking: &Asking, wire: Wire, written: Written) -> Result<Written, Fault> {
    if written.dropped.is_empty() {
        return Ok(written);
    }
    let asked = asking.asked();
    let sent = || RawObject::scan(asked.bytes().clone()).map_err(|_| Fault::new(Kind::InvalidJson));
    let written = match manner.strategy {
        ParameterStrategy::Drop => written,
        ParameterStrategy::Allow => forward(asked.wire(), wire, &sent()?, written),
        ParameterStrategy::Error => {
            let sent = sent()?;
            let names: Vec<&str> = written.dropped.iter().map(AsRef::as_ref).collect();
            let names: Vec<&str> = names.into_iter().filter(|name| is_parameter(name, &sent)).collect();
            if let Some(first) = names.first() {
                let sentence = format!("This model does not support: {}", names.join(", "));
                return Err(Fault::new(Kind::UnsupportedParameter).param(*first).say(sentence));
            }
            written
        }
    };
    if manner.is_strict
        && let Some(first) = written.dropped.first()
    {
        let names = written.dropped.join(", ");
        let sentence = format!("With x-unified-strict nothing may be left out; this model cannot take: {names}");
        return Err(Fault::new(Kind::BadRequest).param(first.clone().into_owned()).say(sentence));
    }
    Ok(written)
}
