//! What the tests of a running gateway share.
//!
//! - [`gateway`]: a real gateway in this process, and its administration;
//! - [`fleet`]: replicas around one database; [`tunnel`]: a network that can fail;
//! - [`client`]: an HTTP client for JSON and event streams, and a raw one for what no client would send;
//! - [`process`]: real processes, to be killed;
//! - [`wait`]: bounded waiting for what happens elsewhere;
//! - [`stub_provider`]: the provider behind the gateway.

pub(crate) mod client;
pub(crate) mod fleet;
pub(crate) mod gateway;
pub(crate) mod process;
pub(crate) mod stub_provider;
pub(crate) mod tunnel;
pub(crate) mod wait;

pub(crate) use client::{Answer, Client, RawClient, Transcript};
pub(crate) use gateway::{MASTER_KEY, PROVIDER_KEY, TestGateway, chat, chat_stream};
