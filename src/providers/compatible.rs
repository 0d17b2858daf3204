//! What a row of the provider table is made of, and the tables. A host that speaks the OpenAI wire is one row in `rows/`.

use super::rows::{clouds, hosts, labs, local};
use super::{API_KEY, API_KEY_IF_NEEDED, Auth, BASE_URL, BASE_URL_REQUIRED, Provider};
use crate::dialects::openai_chat::Quirks;
use crate::dialects::question::Ways;
use crate::domain::operation::{Operation, Transport};
use crate::domain::preset::CredentialField;

/// Every row, in the order in which presets are listed.
pub(super) const TABLES: &[&[Provider]] = &[labs::ROWS, clouds::ROWS, hosts::ROWS, local::ROWS];

const EMBEDDINGS: (Operation, &[Transport]) = (Operation::EmbeddingCreate, &[Transport::Embeddings]);
const RERANK: (Operation, &[Transport]) = (Operation::Rerank, &[Transport::Rerank]);
const MODERATIONS: (Operation, &[Transport]) = (Operation::Moderate, &[Transport::Moderations]);

pub(super) const CHAT_AND_RESPONSES: &[(Operation, &[Transport])] =
    &[(Operation::TextGenerate, &[Transport::ChatCompletions, Transport::Responses]), EMBEDDINGS];
/// What a server of one's own may serve: vLLM and its like have all of it.
pub(super) const OF_ONES_OWN: &[(Operation, &[Transport])] =
    &[(Operation::TextGenerate, &[Transport::ChatCompletions, Transport::Responses]), EMBEDDINGS, RERANK];
/// OpenAI and Mistral.
pub(super) const WITH_MODERATIONS: &[(Operation, &[Transport])] =
    &[(Operation::TextGenerate, &[Transport::ChatCompletions, Transport::Responses]), EMBEDDINGS, MODERATIONS];
pub(super) const VECTORS_AND_RANKS: &[(Operation, &[Transport])] = &[EMBEDDINGS, RERANK];
pub(super) const COHERE: &[(Operation, &[Transport])] = &[
    (Operation::TextGenerate, &[Transport::ChatCompletions]),
    (Operation::EmbeddingCreate, &[Transport::CohereEmbed]),
    RERANK,
];
pub(super) const FOUNDRY: &[(Operation, &[Transport])] = &[
    (Operation::TextGenerate, &[Transport::ChatCompletions, Transport::Responses, Transport::Messages]),
    EMBEDDINGS,
    RERANK,
];
pub(super) const ALL_THREE: &[(Operation, &[Transport])] =
    &[(Operation::TextGenerate, &[Transport::ChatCompletions, Transport::Responses, Transport::Messages])];
pub(super) const GENERATE_CONTENT: &[(Operation, &[Transport])] = &[
    (Operation::TextGenerate, &[Transport::GenerateContent]),
    (Operation::EmbeddingCreate, &[Transport::EmbedContent]),
];
pub(super) const MESSAGES: &[(Operation, &[Transport])] = &[(Operation::TextGenerate, &[Transport::Messages])];

/// Wires that hosts have beside Chat Completions, used where an operator knows that a model is served on them.
pub(super) const PINNED: &[Transport] = &[Transport::Responses, Transport::Messages];

/// A host with a key and a base URL of its own. Rows say what differs: `name`, `title`, `base_url`, quirks, rules.
pub(super) const HOST: Provider = Provider {
    name: "",
    adapter: "openaicompatible",
    title: "",
    base_url: None,
    roots: &[],
    auth: Auth::Bearer,
    credentials: &[API_KEY, BASE_URL],
    transports: CHAT_AND_RESPONSES,
    by_pin_only: &[Transport::Responses],
    requires_known_model: false,
    quirks: Quirks::HOST,
    ways: Ways::HOST,
    headers: &[],
    rules: &[],
};

/// A server of one's own: where it is has to be said, a key only if it asks for one.
pub(super) const SERVER: Provider =
    Provider { credentials: &[API_KEY_IF_NEEDED, BASE_URL_REQUIRED], transports: OF_ONES_OWN, ..HOST };

/// A server of one's own with a port that everybody uses.
pub(super) const DESKTOP: Provider =
    Provider { credentials: &[API_KEY_IF_NEEDED, BASE_URL], transports: OF_ONES_OWN, ..HOST };

/// A credential that fills a gap of the base URL.
pub(super) const fn part_of_url(name: &'static str, description: &'static str) -> CredentialField {
    CredentialField { name, required: false, description }
}
