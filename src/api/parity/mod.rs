//! Both faces against real use cases on SQLite in memory: the same request has the same outcome through either.

mod cases;
mod grpc;
mod rest;
mod support;
mod usage;
