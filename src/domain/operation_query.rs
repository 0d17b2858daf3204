//! What can be asked of recorded requests: lists, sums, summaries and the tail. Records themselves are in
//! [`record`](super::record).

use uuid::Uuid;

use super::ids::{DeploymentId, VirtualKeyId};
use super::money::NanoCents;
use super::record::OperationRecord;
use crate::time::Timestamp;

/// How a request ended, as records say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationOutcome {
    /// The answer was complete.
    Success,
    /// The answer hit a limit of length.
    Incomplete,
    /// The answer was withheld by a filter or refused by the model.
    Blocked,
    /// The request failed or was refused.
    Error,
    /// The client left.
    Cancelled,
    /// The replica that served it died.
    Abandoned,
}

impl OperationOutcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Success, Self::Incomplete, Self::Blocked, Self::Error, Self::Cancelled, Self::Abandoned];

    /// The word used in records and APIs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Incomplete => "incomplete",
            Self::Blocked => "blocked",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Abandoned => "abandoned",
        }
    }

    /// Reads the word. `None`: it is none of them.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

/// Which recorded requests are meant. Conditions that are set must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationFilter {
    /// The id that the client saw.
    pub request_id: Option<String>,
    /// The key that asked.
    pub key: Option<VirtualKeyId>,
    /// The model that was asked for.
    pub public_model: Option<String>,
    /// The deployment that answered, or failed last.
    pub deployment: Option<DeploymentId>,
    /// Its preset.
    pub provider: Option<String>,
    /// What was asked for, such as `text.generate`.
    pub operation: Option<String>,
    /// How it ended.
    pub outcome: Option<OperationOutcome>,
    /// Whether a fallback served it or fields were left out.
    pub degraded: Option<bool>,
    /// Whether the response cache answered.
    pub cache_hit: Option<bool>,
    /// What the client was answered.
    pub status: Option<u16>,
    /// One of the client's tags.
    pub tag: Option<String>,
    /// It took at least so long.
    pub min_duration_ms: Option<u64>,
    /// It began then or later.
    pub start: Option<Timestamp>,
    /// It began before.
    pub end: Option<Timestamp>,
}

/// A place in the order in which records were stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct TailPosition {
    /// Number of the transaction that stored it; grows in the order in which they become visible to a tail.
    pub stored_in: i64,
    /// The record within the transaction; nil: before all of them.
    pub id: Uuid,
}

/// What was stored since a place in the tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailBatch {
    /// The records, in the order of storage.
    pub records: Vec<OperationRecord>,
    /// Where the next batch begins.
    pub next: TailPosition,
    /// Whether there may be more at once.
    pub has_more: bool,
}

/// What sums are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageDimension {
    /// The public model that was asked for.
    Model,
    /// The virtual key; empty for the master key.
    Key,
    /// The deployment that answered; empty when none was reached.
    Deployment,
    /// The preset of that deployment; empty when none was reached.
    Provider,
    /// Each of the client's tags. A request counts under each of its tags, one without tags under none.
    Tag,
    /// What was asked for.
    Operation,
    /// The day in UTC.
    Day,
    /// The hour in UTC.
    Hour,
}

impl UsageDimension {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Model, Self::Key, Self::Deployment, Self::Provider, Self::Tag, Self::Operation, Self::Day, Self::Hour];

    /// The word used in APIs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Key => "key",
            Self::Deployment => "deployment",
            Self::Provider => "provider",
            Self::Tag => "tag",
            Self::Operation => "operation",
            Self::Day => "day",
            Self::Hour => "hour",
        }
    }

    /// Reads the word. `None`: it is none of them.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

/// What is to be summed up. `filter.start` and `filter.end` are whole hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// Which requests; both ends of the time are set.
    pub filter: OperationFilter,
    /// None, one or two dimensions.
    pub group_by: Vec<UsageDimension>,
    /// Most rows that are wanted.
    pub limit: u32,
}

/// Sums over requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each is the sum of the record's field of that name")]
pub struct UsageTotals {
    /// How many.
    pub requests: u64,
    /// How many of them failed or were refused.
    pub errors: u64,
    pub input_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_write_tokens: u64,
    pub audio_input_tokens: u64,
    pub output_tokens: u64,
    pub reasoning_tokens: u64,
    pub audio_output_tokens: u64,
    pub image_count: u64,
    pub audio_ms: u64,
    pub characters: u64,
    pub search_units: u64,
    /// What they cost the callers.
    pub cost: NanoCents,
    /// What all their attempts are thought to have cost.
    pub upstream_cost: NanoCents,
    /// How many of them have no known price, and so no part in `cost`.
    pub unpriced: u64,
}

/// The sums of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The group's value in each dimension, in their order; days as `2026-11-25`, hours as RFC 3339.
    pub group: Vec<String>,
    /// Its sums.
    pub totals: UsageTotals,
}

/// Percentiles in milliseconds: whole below a second, else to three digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    /// Half took at most so long.
    pub p50: u64,
    /// 95 of 100 took at most so long.
    pub p95: u64,
    /// 99 of 100 took at most so long.
    pub p99: u64,
}

/// Recent requests in short: of one model, or of all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SummaryPart {
    /// The public model; empty for all of them.
    pub public_model: String,
    /// How many requests ended how, in the order of [`OperationOutcome::ALL`].
    pub outcomes: [u64; 6],
    /// How many were degraded.
    pub degraded: u64,
    /// How many the response cache answered.
    pub cache_hits: u64,
    /// How long answers took (outcomes `success`, `incomplete`, `blocked`). `None`: there were none.
    pub duration: Option<Percentiles>,
    /// How long the first output of streams took. `None`: there were none.
    pub first_output: Option<Percentiles>,
    /// Their tokens.
    pub input_tokens: u64,
    /// Their tokens.
    pub output_tokens: u64,
    /// What they cost the callers.
    pub cost: NanoCents,
    /// What all their attempts are thought to have cost.
    pub upstream_cost: NanoCents,
}

impl SummaryPart {
    /// All requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.outcomes.iter().sum()
    }
}

/// Recent requests in short.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// All of them.
    pub all: SummaryPart,
    /// By public model, those with most requests first.
    pub models: Vec<SummaryPart>,
}
