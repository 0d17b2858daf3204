//! Gemini `generateContent` and `streamGenerateContent`. Source: the public API reference of the Gemini API (v1beta) and
//! its guides on function calling, thinking, thought signatures and structured output. It is spoken to providers only;
//! the model and the mode of a request are in its URL, so neither is in the body.
//!
//! `contents` writes the conversation, `schema` fits JSON Schemas to what this wire understands, and `partial` puts
//! arguments together that are streamed value by value.

mod contents;
pub mod fault;
mod partial;
pub mod read;
mod schema;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod wire;
pub mod write;

use super::native::{ProviderError, ReplyError};
use super::{Addressee, Decode, Transport, Written};
use crate::canonical::Wire;
use crate::canonical::text::{Reply, Request};
use crate::fault::Outcome;

/// `generateContent`, spoken to providers.
#[derive(Debug)]
pub struct GenerateContent;

impl Transport for GenerateContent {
    fn wire(&self) -> Wire {
        Wire::GenerateContent
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
