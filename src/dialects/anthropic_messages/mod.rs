//! Anthropic Messages. Source: the public API reference of `POST /v1/messages` (version 2023-06-01) and its streaming guide.

pub mod count;
pub mod fault;
pub mod native;
pub mod read;
pub mod stream;
pub mod wire;
pub mod write;

use super::native::{ProviderError, ReplyError};
use super::{Addressee, Decode, Transport, Written};
use crate::canonical::Wire;
use crate::canonical::text::{Reply, Request};
use crate::fault::Outcome;

/// Messages, spoken to providers.
#[derive(Debug)]
pub struct Messages;

impl Transport for Messages {
    fn wire(&self) -> Wire {
        Wire::Messages
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
        // The envelope is `{"type":"error","error":{…}}`; the reader of loose envelopes takes it.
        crate::dialects::openai_chat::fault::read_error(body)
    }
}
