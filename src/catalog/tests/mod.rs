//! Presets made by hand, and what is asked of a catalog that has them.

mod golden;
mod looking;
mod reading;
mod resolving;

use std::collections::BTreeMap;

use super::Catalog;
use crate::domain::operation::{Operation, Transport};
use crate::domain::preset::Preset;

fn preset(
    name: &'static str,
    adapter: &'static str,
    requires_known_model: bool,
    transports: &[(Operation, &[Transport])],
) -> Preset {
    Preset {
        name,
        adapter,
        title: name,
        default_base_url: None,
        credentials: &[],
        transports: transports.iter().map(|(operation, wires)| (*operation, wires.to_vec())).collect(),
        by_pin_only: &[],
        requires_known_model,
    }
}

const CHAT: &[Transport] = &[Transport::ChatCompletions];
const CHAT_AND_RESPONSES: &[Transport] = &[Transport::ChatCompletions, Transport::Responses];

fn presets() -> Vec<Preset> {
    use Operation::{EmbeddingCreate, ImageEdit, ImageGenerate, TextGenerate};
    let embeddings: &[Transport] = &[Transport::Embeddings];
    vec![
        preset(
            "openai",
            "openai",
            true,
            &[
                (TextGenerate, CHAT_AND_RESPONSES),
                (EmbeddingCreate, embeddings),
                (ImageGenerate, &[Transport::Images]),
                (ImageEdit, &[Transport::ImageEdits]),
            ],
        ),
        preset("anthropic", "anthropic", true, &[(TextGenerate, &[Transport::Messages])]),
        preset("groq", "openaicompatible", true, &[(TextGenerate, CHAT)]),
        preset("openai-eu", "openai", true, &[(TextGenerate, CHAT)]),
        preset(
            "openaicompatible",
            "openaicompatible",
            false,
            &[(TextGenerate, CHAT_AND_RESPONSES), (EmbeddingCreate, embeddings)],
        ),
        preset("echo", "echo", false, &[(TextGenerate, CHAT)]),
    ]
}

fn catalog() -> Catalog {
    Catalog::load(presets()).unwrap_or_else(|fault| panic!("{}", fault.cause().unwrap_or_default()))
}

fn pins(pins: &[(Operation, Transport)]) -> BTreeMap<Operation, Transport> {
    pins.iter().copied().collect()
}
