//! What is known before any provider is called: models, provider presets, and what a deployment of one on the other
//! can do.
//!
//! The facts about models are data files (`data/<adapter>.jsonl`, one model per line; `docs/catalog.md` tells how to
//! renew them). They are part of the binary, are read once when the server starts and never change while it runs.
//! Presets come from the provider registry, as values: nothing here knows how a provider is called.
//!
//! Absent facts stay absent: an unknown price is `None`, never zero, and an unknown flag is `false`.

mod data;
mod index;
mod read;
mod resolve;
mod snapshot;
mod validate;

#[cfg(test)]
mod tests;

pub use index::{Catalog, KnownModel, ListedModel, ModelCount, ModelFilter};
pub use resolve::{ProfileSource, Resolved, ResolvedOperation};
