//! OpenAI Chat Completions. Source: the public API reference of `POST /v1/chat/completions` and its OpenAPI document.

pub mod fault;
pub mod native;
pub mod read;
pub mod stream;
pub mod wire;
pub mod write;

#[cfg(test)]
mod tests;
