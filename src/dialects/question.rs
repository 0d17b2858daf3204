//! What the dialects of all operations but text share: a client's request that is asked of a provider in one or several
//! calls, and the answers to them, read into one.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;

use super::native::{NativeReply, ProviderError, ReplyError};
use super::raw::RawObject;
use super::{embeddings, moderations, rerank};
use crate::canonical::{BodyPart, Operation, OperationProfile, TokenUsage, Transport, Wire};
use crate::fault::{Fault, Kind, Outcome};

/// A client's request for anything but text, scanned in its contract.
pub trait Question: Send + Sync + fmt::Debug {
    /// What is asked for.
    fn operation(&self) -> Operation;

    /// The contract's word, for the record.
    fn contract(&self) -> &'static str;

    /// The public model it names.
    fn model(&self) -> &str;

    /// The body as it came.
    fn bytes(&self) -> &Bytes;

    /// Wire shapes that can carry it, its own first.
    fn transports(&self) -> &'static [Transport];

    /// Writes it for a provider.
    ///
    /// # Errors
    /// `UnsupportedParameter` for what the model is known not to take, `BadRequest` for what must not be left out silently.
    fn write(&self, to: &Recipient<'_>) -> Outcome<Posed>;

    /// Reads the answers, one for each call, into one for the client.
    ///
    /// # Errors
    /// [`ReplyError`].
    fn read(&self, from: &Recipient<'_>, answers: Vec<Answered>) -> Result<NativeReply, ReplyError>;

    /// What it will use of a model, where its input is so many tokens by its size. `by_units`: the model is sold by other
    /// units than tokens.
    fn expects(&self, input: u64, by_units: bool) -> TokenUsage;

    /// What the built-in preset answers, in its own wire.
    fn echo(&self) -> Bytes;
}

/// Whom a question is written for.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// The wire shape.
    pub transport: Transport,
    /// The provider's name of the model.
    pub model: &'a str,
    /// What the model is known to do.
    pub profile: &'a OperationProfile,
    /// What the provider makes of the wire.
    pub ways: &'a Ways,
    /// Whether what the provider is known to refuse is sent all the same.
    pub forwards: bool,
}

/// A question, written for a provider.
#[derive(Debug, Default)]
pub struct Posed {
    /// The calls; several where the provider takes less at once than was asked.
    pub sends: Vec<Sending>,
    /// Names of fields that do not reach the provider as sent.
    pub dropped: Vec<Cow<'static, str>>,
}

/// The body of one call of a provider.
#[derive(Debug, Clone, Default)]
pub struct Sending {
    /// The body in pieces.
    pub body: Vec<Bytes>,
    /// Its media type; `None`: JSON.
    pub media_type: Option<String>,
    /// The body where files are part of it, instead of `body`.
    pub parts: Vec<BodyPart>,
    /// The last part of the path, where it is not that of the wire shape.
    pub sibling: Option<&'static str>,
}

impl Sending {
    /// A JSON body in pieces.
    #[must_use]
    pub const fn json(body: Vec<Bytes>) -> Self {
        Self { body, media_type: None, parts: Vec::new(), sibling: None }
    }
}

/// A whole answer of a provider.
#[derive(Debug, Clone, Default)]
pub struct Answered {
    /// The body.
    pub body: Bytes,
    /// Its media type, as stated.
    pub media_type: Option<String>,
}

/// What a provider makes of `encoding_format`. What it does not do is done here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatField {
    /// It takes `float` and `base64`.
    Both,
    /// It takes `base64`, and nothing for numbers.
    OnlyBase64,
    /// It does not know the field, or it is not known whether it does.
    Nothing,
}

/// What a provider makes of the wires of embeddings and rerankings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways {
    /// Most inputs of one call for embeddings.
    pub most_inputs: usize,
    /// What it makes of `encoding_format`.
    pub format: FormatField,
    /// Its name for `dimensions`.
    pub dimensions: &'static str,
    /// Whether it takes inputs that are tokens already.
    pub takes_tokens: bool,
    /// Fields of an embedding that it refuses.
    pub refuses: &'static [&'static str],
    /// Its name for `top_n`.
    pub top_n: &'static str,
    /// Whether it takes `return_documents`.
    pub takes_return_documents: bool,
    /// Whether it takes `max_tokens_per_doc`.
    pub takes_max_tokens_per_doc: bool,
}

impl Ways {
    /// OpenAI itself: <https://platform.openai.com/docs/api-reference/embeddings/create>.
    pub const REFERENCE: Self = Self {
        most_inputs: 2_048,
        format: FormatField::Both,
        dimensions: "dimensions",
        takes_tokens: true,
        refuses: &[],
        top_n: "top_n",
        takes_return_documents: false,
        takes_max_tokens_per_doc: false,
    };

    /// What is sure of a host that speaks the OpenAI wire.
    pub const HOST: Self = Self { format: FormatField::Nothing, ..Self::REFERENCE };
}

/// Scans a client's request.
///
/// # Errors
/// `InvalidJson`, or `BadRequest` that names the field; `NotFound` for an operation that is no question.
pub fn scan(operation: Operation, body: Bytes) -> Outcome<Box<dyn Question>> {
    Ok(match operation {
        Operation::EmbeddingCreate => Box::new(embeddings::scan(body)?),
        Operation::Rerank => Box::new(rerank::scan(body)?),
        Operation::Moderate => Box::new(moderations::scan(body)?),
        _ => return Err(Fault::new(Kind::NotFound).say("There is no endpoint of this operation.")),
    })
}

/// Reads the body of an error answer, whatever it is.
#[must_use]
pub fn read_error(transport: Transport, body: &[u8]) -> ProviderError {
    let wire = match transport {
        Transport::EmbedContent | Transport::GenerateContent | Transport::Predict => Wire::GenerateContent,
        _ => Wire::Chat,
    };
    super::transport(wire).read_error(body)
}

/// The error that an answer states instead of having the member that makes it one.
pub(super) fn error_in(transport: Transport, raw: &RawObject, member: &str) -> Option<ProviderError> {
    let states = |name: &str| raw.get(name).is_some_and(|json| !matches!(json, b"null" | b"\"\"" | b"false" | b"{}"));
    let is_bare = || raw.get(member).is_none() && ["message", "detail", "msg"].iter().any(|name| states(name));
    (states("error") || is_bare()).then(|| read_error(transport, raw.bytes()))
}

/// A field of a client's request; `None` when it is absent or `null`.
///
/// # Errors
/// `BadRequest` that names it, says what is allowed and what was sent.
pub(super) fn field<'a, T: Deserialize<'a>>(
    raw: &'a RawObject,
    name: &'static str,
    allowed: &str,
) -> Outcome<Option<T>> {
    raw.read(name).map_err(|_| {
        let sent: String = String::from_utf8_lossy(raw.get(name).unwrap_or_default()).chars().take(40).collect();
        Fault::invalid(name, format!("must be {allowed}, is {sent}"))
    })
}

/// The public model that a request has to name.
///
/// # Errors
/// `BadRequest` on `model`.
pub(super) fn scan_model(raw: &RawObject) -> Outcome<String> {
    let model: Option<String> = field(raw, "model", "a string")?;
    model.filter(|model| !model.is_empty()).ok_or_else(|| Fault::invalid("model", "is required"))
}

/// A part of a body as a slice that shares it.
pub(super) fn place_in(whole: &Bytes, part: &[u8]) -> Bytes {
    whole.slice_ref(part)
}
