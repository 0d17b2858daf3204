//! The nouns of the product and the rules that need nothing but themselves. No I/O, no clock, no dice.
//!
//! A value of a type in here has been checked: a [`deployment::Deployment`] that exists is one that may be stored. The
//! wire shapes of the HTTP and gRPC surfaces are elsewhere and are turned into these types explicitly.

pub mod address;
pub mod audit;
pub mod capability;
pub mod change;
pub mod config_batch;
pub mod deployment;
pub mod fallback;
pub mod ids;
pub mod limits;
pub mod money;
pub mod names;
pub mod operation;
pub mod operation_query;
pub mod page;
pub mod patch;
pub mod ports;
pub mod preset;
pub mod price;
pub mod record;
pub mod replica;
pub mod response_state;
pub mod secret;
pub mod settings;
pub mod terms;
pub mod usage;
pub mod virtual_key;
pub mod window;
pub mod wording;
