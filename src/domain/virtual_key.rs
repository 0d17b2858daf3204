//! A virtual key: the credential of an application, with its scope, limits and life time. The secret itself is never kept.

use super::ids::{Revision, VirtualKeyId};
use super::limits::Limits;
use super::money::NanoCents;
use super::names::PublicModel;
use super::patch::Patch;
use crate::time::Timestamp;

/// Longest `name` of a key.
pub const MAX_KEY_NAME_BYTES: usize = 200;
/// Most models in one key's scope.
pub const MAX_ALLOWED_MODELS: usize = 1000;

/// How long a request waits for money that others hold, unless its key says otherwise.
pub const DEFAULT_BUDGET_WAIT_MS: u32 = 2_000;
/// Longest `budgetWaitMs`.
pub const MAX_BUDGET_WAIT_MS: u32 = 60_000;

/// SHA-256 of a key's plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// A stored virtual key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualKey {
    /// Its id.
    pub id: VirtualKeyId,
    /// The revision that last wrote it; also its etag.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// Hash of the plaintext.
    pub hash: KeyHash,
    /// First 12 characters of the plaintext, for people.
    pub prefix: String,
    /// The secret before the last rotation, while it is still valid.
    pub previous: Option<PreviousSecret>,
    /// Everything an operator states about it.
    pub spec: VirtualKeySpec,
}

/// A rotated-out secret that works until its grace period ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousSecret {
    /// Hash of its plaintext.
    pub hash: KeyHash,
    /// It stops working at this moment.
    pub valid_until: Timestamp,
}

/// What an operator states about a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VirtualKeySpec {
    /// For people.
    pub name: String,
    /// Public models it may call; empty: all.
    pub allowed_models: Vec<PublicModel>,
    /// Spending cap per window.
    pub max_budget: Option<NanoCents>,
    /// When spending starts again from zero; `None`: never.
    pub budget_reset: Option<BudgetReset>,
    /// How strictly the cap is kept.
    pub budget_mode: Option<BudgetMode>,
    /// How long a request waits for money that other requests hold, in milliseconds.
    pub budget_wait_ms: Option<u32>,
    /// Requests per minute.
    pub rpm: Option<u32>,
    /// Tokens per minute.
    pub tpm: Option<u32>,
    /// Requests at the same time.
    pub max_parallel_requests: Option<u32>,
    /// It stops working at this moment.
    pub expires_at: Option<Timestamp>,
    /// Whether it works.
    pub enabled: bool,
    /// JSON object text, for people. At most 16 KiB.
    pub metadata: Option<String>,
}

/// Calendar windows of a budget, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words say it")]
pub enum BudgetReset {
    Hourly,
    Daily,
    Weekly,
    Monthly,
}

impl BudgetReset {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hourly, Self::Daily, Self::Weekly, Self::Monthly];

    /// The word in APIs and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reset| reset.as_str() == word)
    }
}

/// How strictly a budget is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetMode {
    /// Holds are what a request is expected to cost.
    Expected,
    /// Holds are the most a request can cost.
    Hard,
}

impl BudgetMode {
    /// The word in APIs and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Hard => "hard",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Expected, Self::Hard].into_iter().find(|mode| mode.as_str() == word)
    }
}

/// A partial update of a key.
#[derive(Debug, Clone, Default)]
pub struct VirtualKeyPatch {
    /// Cannot be cleared.
    pub name: Patch<String>,
    /// Clearing allows all models.
    pub allowed_models: Patch<Vec<PublicModel>>,
    /// Spending cap.
    pub max_budget: Patch<NanoCents>,
    /// Budget window.
    pub budget_reset: Patch<BudgetReset>,
    /// Budget mode.
    pub budget_mode: Patch<BudgetMode>,
    /// Budget wait.
    pub budget_wait_ms: Patch<u32>,
    /// RPM.
    pub rpm: Patch<u32>,
    /// TPM.
    pub tpm: Patch<u32>,
    /// Parallel requests.
    pub max_parallel_requests: Patch<u32>,
    /// Expiry.
    pub expires_at: Patch<Timestamp>,
    /// Clearing restores `true`.
    pub enabled: Patch<bool>,
    /// Metadata.
    pub metadata: Patch<String>,
}

/// Which keys a list shows. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VirtualKeyFilter {
    /// Only enabled, or only disabled, ones.
    pub enabled: Option<bool>,
    /// Only those whose name or prefix contains this text (ASCII case ignored).
    pub text: Option<String>,
}

impl VirtualKeySpec {
    /// Its limits, as they are counted.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            rpm: self.rpm,
            tpm: self.tpm,
            parallel: self.max_parallel_requests,
            budget: self.max_budget,
            reset: self.budget_reset,
        }
    }
}

impl VirtualKey {
    /// Whether the key works at `now`, by its switch and expiry.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.spec.enabled && self.spec.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}
