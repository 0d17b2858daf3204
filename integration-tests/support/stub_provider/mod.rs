//! A provider that speaks OpenAI Chat Completions and misbehaves on request. Other wires are answered from fixtures.
//!
//! The request's `model` chooses the behaviour, so a test registers one deployment per behaviour and talks to the
//! gateway as any client would. Everything that arrives is kept and can be read back.
//!
//! - [`behaviour`]: model name to answer, as a table;
//! - `chat`: answers in the provider's wire format, from fixtures;
//! - `fixtures`: answers of the other wires, by name;
//! - `script`: an answer as a list of steps, and the body that plays them, wire faults included;
//! - `vectors`: embeddings, rankings and judgements, made from what is asked;
//! - [`server`]: sockets, and the record of what arrived.

pub(crate) mod behaviour;
mod chat;
mod fixtures;
pub(crate) mod media;
mod script;
pub(crate) mod server;
#[cfg(test)]
mod tests;
mod vectors;

pub(crate) use server::StubProvider;
