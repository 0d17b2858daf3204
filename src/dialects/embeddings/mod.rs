//! Embeddings: the OpenAI contract, and the wires of those who make vectors.
//!
//! - `read`: a client's request; `write`: as a provider gets it, in one call or several; `reply`: the answers, as one.
//! - `vector`: numbers and their base64, little-endian as 32-bit floats.
//!
//! <https://platform.openai.com/docs/api-reference/embeddings>, <https://docs.cohere.com/reference/embed>,
//! <https://ai.google.dev/api/embeddings>

mod read;
mod reply;
#[cfg(test)]
mod tests;
mod vector;
mod write;

use bytes::Bytes;

use super::native::{NativeReply, ReplyError};
use super::question::{Answered, Posed, Question, Recipient};
use super::raw::RawObject;
use crate::canonical::{Operation, TokenUsage, Transport};
use crate::fault::Outcome;

pub use read::scan;

/// How the client wants vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Numbers.
    Float,
    /// The bytes of 32-bit floats, little-endian, in base64.
    Base64,
}

/// One input, as it was written.
#[derive(Debug, Clone)]
enum Input {
    Text(Bytes),
    /// A list of so many tokens.
    Tokens(Bytes, u64),
}

impl Input {
    fn raw(&self) -> &Bytes {
        match self {
            Self::Text(raw) | Self::Tokens(raw, _) => raw,
        }
    }
}

/// A client's request for embeddings.
#[derive(Debug)]
pub struct Embedding {
    raw: RawObject,
    model: String,
    inputs: Vec<Input>,
    format: Format,
    dimensions: Option<u32>,
}

impl Question for Embedding {
    fn operation(&self) -> Operation {
        Operation::EmbeddingCreate
    }

    fn contract(&self) -> &'static str {
        "embeddings"
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn bytes(&self) -> &Bytes {
        self.raw.bytes()
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Embeddings, Transport::CohereEmbed, Transport::EmbedContent]
    }

    fn write(&self, to: &Recipient<'_>) -> Outcome<Posed> {
        write::write(self, to)
    }

    fn read(&self, from: &Recipient<'_>, answers: Vec<Answered>) -> Result<NativeReply, ReplyError> {
        reply::read(self, from, answers)
    }

    fn expects(&self, input: u64, _by_units: bool) -> TokenUsage {
        let counted = self.inputs.iter().try_fold(0_u64, |sum, input| match input {
            Input::Text(_) => None,
            Input::Tokens(_, count) => Some(sum.saturating_add(*count)),
        });
        TokenUsage { input: counted.unwrap_or(input), ..TokenUsage::default() }
    }

    fn echo(&self) -> Bytes {
        reply::echo(self)
    }
}
