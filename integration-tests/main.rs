//! The one integration-test binary: a module per capability, so that the crate is linked once.
//!
//! Every module is declared as test code, which it is: helpers in it may then unwrap, as tests may.

#[cfg(test)]
mod access;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod count_tokens;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod gemini;
#[cfg(test)]
mod hedging;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod input;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod media;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod observability;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod parameters;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod records;
#[cfg(test)]
mod redis_servers;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod reliability;
#[cfg(test)]
mod reliability_fleet;
#[cfg(test)]
mod remote_content;
#[cfg(test)]
mod rerank;
#[cfg(test)]
mod resilience;
#[cfg(test)]
mod responses_state;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod shared_health;
#[cfg(test)]
mod shared_limits;
#[cfg(test)]
mod source_scan;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod world;
