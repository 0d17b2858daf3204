//! OpenAI Chat Completions. Source: the public API reference of `POST /v1/chat/completions` and its OpenAPI document.

mod adapt;
pub mod fault;
mod fit;
pub mod native;
pub mod quirks;
pub mod read;
mod read_reply;
pub mod stream;
mod thoughts;
pub mod wire;
pub mod write;
mod write_reply;

pub use quirks::{Choices, Quirks, ThinkingField, ThoughtField};

use super::native::{ProviderError, ReplyError};
use super::{Addressee, Decode, Transport, Written};
use crate::canonical::Wire;
use crate::canonical::text::{Reply, Request};
use crate::fault::Outcome;

#[cfg(test)]
mod tests;

/// Chat Completions, spoken to providers.
#[derive(Debug)]
pub struct Chat;

impl Transport for Chat {
    fn wire(&self) -> Wire {
        Wire::Chat
    }

    fn write_request(&self, request: &Request, to: &Addressee<'_>) -> Outcome<Written> {
        write::write_request(request, to)
    }

    fn read_reply(&self, body: &[u8]) -> Result<Reply, ReplyError> {
        read::read_reply(body)
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(stream::ChunkReader::default())
    }

    fn read_error(&self, body: &[u8]) -> ProviderError {
        fault::read_error(body)
    }
}
