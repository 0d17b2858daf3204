//! OpenAI Responses. Source: the public API reference of `POST /v1/responses`, its streaming events and OpenAPI document.

pub mod fault;
pub mod native;
pub mod read;
pub mod stored;
pub mod stream;
pub mod wire;
pub mod write;

use super::native::{ProviderError, ReplyError};
use super::{Addressee, Decode, Transport, Written};
use crate::canonical::Wire;
use crate::canonical::text::{Reply, Request};
use crate::fault::Outcome;

/// Responses, spoken to providers.
#[derive(Debug)]
pub struct Responses;

impl Transport for Responses {
    fn wire(&self) -> Wire {
        Wire::Responses
    }

    fn write_request(&self, request: &Request, to: &Addressee<'_>) -> Outcome<Written> {
        write::write_request(request, to)
    }

    fn read_reply(&self, body: &[u8]) -> Result<Reply, ReplyError> {
        read::read_reply(body)
    }

    fn decoder(&self) -> Box<dyn Decode> {
        Box::new(stream::EventReader::default())
    }

    fn read_error(&self, body: &[u8]) -> ProviderError {
        crate::dialects::openai_chat::fault::read_error(body)
    }
}
