//! Whatever is asked for that is no text: a question of a dialect, in the frame that all operations share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::dispatch::{Answer, Call};
use super::failure::Failure;
use super::prepare::{Manner, Prepared};
use super::task::Task;
use super::{Denied, Gateway, Intake, Parts};
use crate::canonical::TokenUsage;
use crate::canonical::text::Steps;
use crate::dialects::native::{NativeReply, ProviderError, ReplyError};
use crate::dialects::question::{self, Answered, Posed, Question, Recipient};
use crate::domain::capability::OperationProfile;
use crate::domain::operation::{Operation, Transport};
use crate::domain::settings::ParameterStrategy;
use crate::fault::{Fault, Kind, Outcome};
use crate::ledger::estimate::Size;
use crate::providers::echo::{self, Options};
use crate::providers::{self, Provider};
use crate::routing::{Candidate, Target};

impl Gateway {
    /// Serves one request of an operation that answers whole JSON.
    ///
    /// # Errors
    /// What the caller is to be told; nothing of the answer was sent.
    pub async fn ask(&self, operation: Operation, mut call: Call) -> Result<Answer, Denied> {
        let (began, began_at) = (self.parts.clock.instant(), self.parts.clock.now());
        let request_bytes = call.body.len() as u64;
        let (mut public_model, mut contract) = (String::new(), operation.as_str());
        let query = Query::scan(operation, std::mem::take(&mut call.body)).and_then(|query| {
            contract = query.contract();
            let checked = call.caller.check_model(query.model());
            checked.inspect_err(|_| query.model().clone_into(&mut public_model)).map(|()| query)
        });
        match query {
            Ok(query) => Box::pin(self.perform(call, Arc::new(query), None)).await,
            Err(fault) => {
                let intake = self.intake(&call.snapshot, &call.caller, contract, &call.request_id);
                let tags = call.tags;
                let seen = Intake { operation, tags, public_model, request_bytes, began, began_at, ..intake };
                self.refused(seen, &fault);
                Err(fault.into())
            }
        }
    }
}

/// A question on its way to candidates.
pub(super) struct Query(Box<dyn Question>);

impl Query {
    /// Scans a client's request.
    pub(super) fn scan(operation: Operation, body: Bytes) -> Outcome<Self> {
        question::scan(operation, body).map(Self)
    }

    fn recipient<'a>(&self, candidate: &'a Candidate, provider: &'a Provider, forwards: bool) -> Recipient<'a> {
        let target = &candidate.target;
        Recipient {
            transport: candidate.transport,
            model: &target.upstream_model,
            profile: target.resolved.operations.get(&self.0.operation()).map_or(&NOTHING_KNOWN, |found| &found.profile),
            ways: &provider.ways,
            forwards,
        }
    }
}

pub(super) static NOTHING_KNOWN: OperationProfile = OperationProfile {
    tools: false,
    vision: false,
    audio_input: false,
    pdf_input: false,
    structured_outputs: false,
    reasoning: None,
    max_input_tokens: None,
    max_output_tokens: None,
    parameters: Vec::new(),
    dimensions: None,
    values: BTreeMap::new(),
    most_results: None,
    most_inputs: None,
};

#[async_trait]
impl Task for Query {
    fn operation(&self) -> Operation {
        self.0.operation()
    }

    fn contract(&self) -> &'static str {
        self.0.contract()
    }

    fn model(&self) -> &str {
        self.0.model()
    }

    fn size(&self) -> Size {
        Size::of(self.0.bytes())
    }

    fn cacheable(&self) -> Option<&Bytes> {
        Some(self.0.bytes())
    }

    fn transports(&self) -> &'static [Transport] {
        self.0.transports()
    }

    fn expects(&self, target: &Target, input: u64) -> Option<TokenUsage> {
        Some(self.0.expects(input, target.resolved.pricing.is_by_search_unit()))
    }

    async fn prepare(
        &self,
        _parts: &Parts,
        candidate: &Candidate,
        manner: Manner,
        _end: Instant,
    ) -> Result<Prepared, Failure> {
        let provider = find(&candidate.target)?;
        let forwards = manner.strategy == ParameterStrategy::Allow;
        let posed = self.0.write(&self.recipient(candidate, provider, forwards));
        let posed = posed.and_then(|posed| follow(manner, posed)).map_err(|fault| Failure::refused(&fault))?;
        let Posed { sends, dropped } = posed;
        let sends = if provider.name == echo::PROVIDER.name { Vec::new() } else { sends };
        let is_native = self.0.transports().first() == Some(&candidate.transport);
        Ok(Prepared { sends, dropped, steps: Steps::default(), is_native })
    }

    fn read_error(&self, transport: Transport, body: &[u8]) -> ProviderError {
        question::read_error(transport, body)
    }

    fn read_reply(&self, candidate: &Candidate, answers: Vec<Answered>) -> Result<NativeReply, ReplyError> {
        let provider = find(&candidate.target).map_err(|_| ReplyError::Malformed("nobody has answered"))?;
        let mut reply = self.0.read(&self.recipient(candidate, provider, false), answers)?;
        // Sold by searches, and not told how many there were: then it is what they are known to be.
        if let Some(usage) = &mut reply.usage
            && usage.search_units == 0
            && candidate.target.resolved.pricing.is_by_search_unit()
        {
            usage.search_units = self.0.expects(usage.input, true).search_units;
        }
        Ok(reply)
    }

    fn echo(&self, _candidate: &Candidate, _options: &Options) -> Result<VecDeque<Bytes>, Failure> {
        Ok(VecDeque::from([self.0.echo()]))
    }
}

fn find(target: &Target) -> Result<&'static Provider, Failure> {
    providers::find(&target.provider)
        .ok_or_else(|| Failure::configuration(format!("unknown provider `{}`", target.provider)))
}

/// The parameter policy, and the client's own wish.
fn follow(manner: Manner, posed: Posed) -> Outcome<Posed> {
    let Some(first) = posed.dropped.first() else { return Ok(posed) };
    let names = posed.dropped.join(", ");
    if manner.is_strict {
        let sentence = format!("With x-unified-strict nothing may be left out; this model cannot take: {names}");
        return Err(Fault::new(Kind::BadRequest).param(first.clone().into_owned()).say(sentence));
    }
    match manner.strategy {
        ParameterStrategy::Drop | ParameterStrategy::Allow => Ok(posed),
        ParameterStrategy::Error => {
            let sentence = format!("This model does not support: {names}");
            Err(Fault::new(Kind::UnsupportedParameter).param(first.clone().into_owned()).say(sentence))
        }
    }
}
