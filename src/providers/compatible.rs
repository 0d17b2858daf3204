//! What a row of the provider table is made of, and the tables. A host that speaks the OpenAI wire is one row in `rows/`.

use super::rows::{clouds, hosts, labs, local};
use super::{API_KEY, API_KEY_IF_NEEDED, Auth, BASE_URL, BASE_URL_REQUIRED, Provider};
use crate::dialects::media::MediaWays;
use crate::dialects::openai_chat::Quirks;
use crate::dialects::question::Ways;
use crate::domain::operation::{Operation, Transport};
use crate::domain::preset::CredentialField;

/// Every row, in the order in which presets are listed.
pub(super) const TABLES: &[&[Provider]] = &[labs::ROWS, clouds::ROWS, hosts::ROWS, local::ROWS];

const EMBEDDINGS: (Operation, &[Transport]) = (Operation::EmbeddingCreate, &[Transport::Embeddings]);
const RERANK: (Operation, &[Transport]) = (Operation::Rerank, &[Transport::Rerank]);
const MODERATIONS: (Operation, &[Transport]) = (Operation::Moderate, &[Transport::Moderations]);

const IMAGES: (Operation, &[Transport]) = (Operation::ImageGenerate, &[Transport::Images]);
const IMAGE_EDITS: (Operation, &[Transport]) = (Operation::ImageEdit, &[Transport::ImageEdits]);
const TRANSCRIPTIONS: (Operation, &[Transport]) = (Operation::AudioTranscribe, &[Transport::AudioTranscriptions]);
const SPEECH: (Operation, &[Transport]) = (Operation::AudioSpeech, &[Transport::AudioSpeech]);
const TEXT: (Operation, &[Transport]) = (Operation::TextGenerate, &[Transport::ChatCompletions, Transport::Responses]);

/// OpenAI and its models at Azure.
pub(super) const EVERYTHING: &[(Operation, &[Transport])] =
    &[TEXT, EMBEDDINGS, MODERATIONS, IMAGES, IMAGE_EDITS, TRANSCRIPTIONS, SPEECH];
pub(super) const AZURE_EVERYTHING: &[(Operation, &[Transport])] =
    &[TEXT, EMBEDDINGS, IMAGES, IMAGE_EDITS, TRANSCRIPTIONS, SPEECH];
/// Mistral.
pub(super) const WITH_SOUND_AND_MODERATIONS: &[(Operation, &[Transport])] =
    &[TEXT, EMBEDDINGS, MODERATIONS, TRANSCRIPTIONS, SPEECH];
/// Groq.
pub(super) const WITH_SOUND: &[(Operation, &[Transport])] = &[TEXT, EMBEDDINGS, TRANSCRIPTIONS, SPEECH];
/// xAI.
pub(super) const WITH_IMAGES_AND_TRANSCRIPTS: &[(Operation, &[Transport])] =
    &[TEXT, EMBEDDINGS, IMAGES, IMAGE_EDITS, TRANSCRIPTIONS];
pub(super) const CHAT_AND_RESPONSES: &[(Operation, &[Transport])] =
    &[(Operation::TextGenerate, &[Transport::ChatCompletions, Transport::Responses]), EMBEDDINGS];
/// What a server of one's own may serve: vLLM and its like have all of it.
pub(super) const OF_ONES_OWN: &[(Operation, &[Transport])] =
    &[TEXT, EMBEDDINGS, RERANK, IMAGES, IMAGE_EDITS, TRANSCRIPTIONS, SPEECH];
/// A router that answers with pictures in a chat.
pub(super) const ROUTER: &[(Operation, &[Transport])] = &[
    TEXT,
    EMBEDDINGS,
    RERANK,
    (Operation::ImageGenerate, &[Transport::ChatCompletions]),
    (Operation::ImageEdit, &[Transport::ChatCompletions]),
];
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
    IMAGES,
    IMAGE_EDITS,
    TRANSCRIPTIONS,
    SPEECH,
];
pub(super) const ALL_THREE: &[(Operation, &[Transport])] =
    &[(Operation::TextGenerate, &[Transport::ChatCompletions, Transport::Responses, Transport::Messages])];
pub(super) const GENERATE_CONTENT: &[(Operation, &[Transport])] = &[
    (Operation::TextGenerate, &[Transport::GenerateContent]),
    (Operation::EmbeddingCreate, &[Transport::EmbedContent]),
    (Operation::ImageGenerate, &[Transport::GenerateContent, Transport::Predict]),
    (Operation::ImageEdit, &[Transport::GenerateContent]),
    (Operation::AudioTranscribe, &[Transport::GenerateContent]),
    (Operation::AudioSpeech, &[Transport::GenerateContent]),
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
    media: MediaWays::HOST,
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
