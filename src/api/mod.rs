//! The faces of the gateway. They translate; rules live behind them.

pub mod envelope;
pub mod http;
pub mod ops;
