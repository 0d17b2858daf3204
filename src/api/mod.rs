//! The faces of the gateway. They translate; rules live behind them.

pub mod admin_auth;
pub mod envelope;
pub mod grpc;
pub mod http;
pub mod openapi;
pub mod ops;
pub mod rest;

mod draft;
mod metadata;
mod page_token;
mod problems;
mod usage;

#[cfg(test)]
mod parity;
