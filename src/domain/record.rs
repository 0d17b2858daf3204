//! The record of one finished request, as it is stored. Prompts and answers are never part of it.
//!
//! Its JSON form is what crosses between the ledger and the stores; `version` says how to read it.

use serde::{Deserialize, Serialize};

/// The form that this version writes and understands.
pub const RECORD_VERSION: u32 = 1;

/// One request of a client, finished.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OperationRecord {
    /// Form of the record.
    pub version: u32,
    /// UUIDv7, hyphenated.
    pub id: String,
    /// The id that the client saw.
    pub request_id: String,
    /// The virtual key's UUID; `None`: the master key.
    pub key_id: Option<String>,
    /// The model the client named.
    pub public_model: String,
    /// The public model of the deployment that answered; another one after a fallback.
    pub served_model: Option<String>,
    /// The deployment that answered, or the last that failed.
    pub deployment_id: Option<String>,
    /// Its preset.
    pub provider: Option<String>,
    /// What was asked for, such as `text.generate`.
    pub operation: String,
    /// The client's contract.
    pub contract: String,
    /// The client's tags, from `x-unified-tags`.
    pub tags: Vec<String>,
    /// `native`: sent as it came but for the model's name; `translated`; `None`: sent to nobody.
    pub lane: Option<String>,
    /// Whether the answer was streamed.
    pub stream: bool,
    /// Whether the answer came from the response cache.
    pub cache_hit: bool,
    /// The tier or speed that the provider says it served with, where it says so.
    pub service_tier: Option<String>,
    /// `success`, `incomplete`, `blocked`, `error`, `cancelled` or `abandoned`.
    pub outcome: String,
    /// Whether a fallback served it, or request fields were left out.
    pub degraded: bool,
    /// Whether tokens were counted by us because the provider did not say.
    pub estimated: bool,
    /// What the client was answered.
    pub http_status: u16,
    /// All input tokens.
    pub input_tokens: u64,
    /// Part of the input read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Part of the input written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Those of them that are kept for an hour.
    pub cache_write_1h_tokens: u64,
    /// Part of the input that is sound.
    pub audio_input_tokens: u64,
    /// All output tokens.
    pub output_tokens: u64,
    /// Part of the output spent on reasoning.
    pub reasoning_tokens: u64,
    /// Part of the output that is sound.
    pub audio_output_tokens: u64,
    /// Images made.
    pub image_count: u64,
    /// Length of the sound that was heard or made, in milliseconds.
    pub audio_ms: u64,
    /// Characters, where a provider counts those.
    pub characters: u64,
    /// Search units of a reranking.
    pub search_units: u64,
    /// Calls of tools that the provider runs by itself and bills apart.
    pub hosted_calls: u64,
    /// What it costs the caller, in nano-cents; `None`: the price is unknown.
    pub cost: Option<i64>,
    /// What all attempts together are thought to have cost, in nano-cents.
    pub upstream_cost: Option<i64>,
    /// When it began, milliseconds since the Unix epoch.
    pub started_at: i64,
    /// How long it took.
    pub duration_ms: u64,
    /// Until the first byte of the provider that answered.
    pub first_byte_ms: Option<u64>,
    /// Until the first reasoning that was streamed.
    pub first_reasoning_ms: Option<u64>,
    /// Until the first output.
    pub first_output_ms: Option<u64>,
    /// Longest silence of the provider between two pieces of a stream.
    pub longest_gap_ms: Option<u64>,
    /// How long a slow client held the answer up.
    pub blocked_ms: u64,
    /// Size of the request's body.
    pub request_bytes: u64,
    /// Size of the answer's body, as it was written for the client; 0 where the request failed before.
    pub response_bytes: u64,
    /// How much thinking was asked for: a word of the ladder.
    pub reasoning_requested: Option<String>,
    /// How much the model was told to do.
    pub reasoning_effective: Option<String>,
    /// Whether those differ.
    pub reasoning_clamped: bool,
    /// Names of request fields that did not reach the provider as sent.
    pub dropped: Vec<String>,
    /// The finish reason, as stated.
    pub finish_reason: Option<String>,
    /// The fault's name.
    pub error: Option<String>,
    /// What the failure of the last attempt was, where the request failed with it.
    pub error_class: Option<String>,
    /// What happened, without secrets, capped.
    pub error_detail: Option<String>,
    /// The configuration it was served under.
    pub config_revision: i64,
    /// Every call of a provider, in order.
    pub attempts: Vec<AttemptRecord>,
    /// What is added to the key's spending.
    pub charge: Option<Charge>,
}

/// One call of one deployment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptRecord {
    /// 1 for the first.
    pub number: u32,
    /// The deployment's UUID.
    pub deployment_id: String,
    /// Its preset.
    pub provider: String,
    /// The provider's name of the model.
    pub upstream_model: String,
    /// Whether it led to the answer.
    pub ok: bool,
    /// What its failure was.
    pub class: Option<String>,
    /// The provider's status.
    pub http_status: Option<u16>,
    /// What happened, without secrets, capped.
    pub detail: Option<String>,
    /// How long it took until it failed or committed.
    pub duration_ms: u64,
    /// The provider's own id of the call, where it names one; capped.
    pub provider_request_id: Option<String>,
}

/// What an operation adds to its key's spending.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Charge {
    /// The key's UUID.
    pub key_id: String,
    /// The window's word: `never`, `hourly`, `daily`, `weekly`, `monthly`.
    pub window: String,
    /// The window's first moment, milliseconds since the Unix epoch.
    pub window_start: i64,
    /// The epoch it was admitted in; `None`: the one in force.
    pub epoch: Option<i64>,
    /// Nano-cents.
    pub amount: i64,
}
