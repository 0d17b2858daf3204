//! Router settings: one row, changed field by field, in force through the snapshot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::Revision;
use super::operation::Operation;
use super::patch::Patch;
use crate::time::Timestamp;

/// How a deployment is picked from its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum RoutingStrategy {
    #[default]
    SimpleShuffle,
    LeastBusy,
    UsageBasedRpm,
    UsageBasedTpm,
    LatencyBased,
    ThroughputBased,
    PriceBased,
    HealthAware,
}

impl RoutingStrategy {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::SimpleShuffle,
        Self::LeastBusy,
        Self::UsageBasedRpm,
        Self::UsageBasedTpm,
        Self::LatencyBased,
        Self::ThroughputBased,
        Self::PriceBased,
        Self::HealthAware,
    ];

    /// The word in APIs and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SimpleShuffle => "simple-shuffle",
            Self::LeastBusy => "least-busy",
            Self::UsageBasedRpm => "usage-based-rpm",
            Self::UsageBasedTpm => "usage-based-tpm",
            Self::LatencyBased => "latency-based",
            Self::ThroughputBased => "throughput-based",
            Self::PriceBased => "price-based",
            Self::HealthAware => "health-aware",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.as_str() == word)
    }
}

/// What to do with a request parameter that a deployment does not support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum ParameterStrategy {
    #[default]
    Drop,
    Error,
    Allow,
}

impl ParameterStrategy {
    /// The word in APIs and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Error => "error",
            Self::Allow => "allow",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Drop, Self::Error, Self::Allow].into_iter().find(|strategy| strategy.as_str() == word)
    }
}

/// Deadlines and attempts of one operation. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionPolicy {
    /// From the last byte of our request to the first semantic output.
    pub first_output_ms: u32,
    /// Longest silence while we are reading.
    pub idle_ms: u32,
    /// Streams: when to commit to 200 and keep-alives though nothing semantic came yet.
    pub commit_by_ms: u32,
    /// The whole request, all attempts.
    pub total_ms: u32,
    /// Upstream calls, all candidates and fallbacks together.
    pub max_attempts: u32,
}

impl ExecutionPolicy {
    /// The policy of an operation that has none of its own.
    #[must_use]
    pub const fn default_for(operation: Operation) -> Self {
        let text =
            Self { first_output_ms: 30_000, idle_ms: 60_000, commit_by_ms: 55_000, total_ms: 600_000, max_attempts: 4 };
        match operation {
            Operation::TextGenerate => text,
            Operation::EmbeddingCreate | Operation::Rerank | Operation::Moderate => {
                Self { first_output_ms: 60_000, total_ms: 60_000, max_attempts: 3, ..text }
            }
            Operation::ImageGenerate | Operation::ImageEdit | Operation::VideoGenerate => {
                Self { first_output_ms: 600_000, idle_ms: 600_000, max_attempts: 1, ..text }
            }
            Operation::AudioTranscribe | Operation::AudioSpeech => {
                Self { first_output_ms: 900_000, idle_ms: 900_000, total_ms: 900_000, max_attempts: 1, ..text }
            }
        }
    }

    /// Checks the values.
    ///
    /// # Errors
    /// The camelCase field and a sentence that says what is allowed.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let times = [
            ("firstOutputMs", self.first_output_ms),
            ("idleMs", self.idle_ms),
            ("commitByMs", self.commit_by_ms),
            ("totalMs", self.total_ms),
        ];
        for (field, ms) in times {
            if !(100..=3_600_000).contains(&ms) {
                return Err((field, format!("must be 100 to 3600000 milliseconds, is {ms}")));
            }
        }
        if !(1..=20).contains(&self.max_attempts) {
            return Err(("maxAttempts", format!("must be 1 to 20, is {}", self.max_attempts)));
        }
        Ok(())
    }
}

/// What differs for one public model. Absent: as for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, from = "StoredOverride")]
pub struct ModelOverride {
    /// How a deployment is picked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_strategy: Option<RoutingStrategy>,
    /// Whether requests of a session go to one deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_pinning: Option<bool>,
    /// Whether a second deployment is asked when the first is late with its first output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedging: Option<bool>,
}

impl ModelOverride {
    /// Only another strategy.
    #[must_use]
    pub const fn strategy(strategy: RoutingStrategy) -> Self {
        Self { routing_strategy: Some(strategy), session_pinning: None, hedging: None }
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// As it is stored: once it was a strategy and nothing else.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredOverride {
    Strategy(RoutingStrategy),
    Fields {
        #[serde(default)]
        routing_strategy: Option<RoutingStrategy>,
        #[serde(default)]
        session_pinning: Option<bool>,
        #[serde(default)]
        hedging: Option<bool>,
    },
}

impl From<StoredOverride> for ModelOverride {
    fn from(stored: StoredOverride) -> Self {
        match stored {
            StoredOverride::Strategy(strategy) => Self::strategy(strategy),
            StoredOverride::Fields { routing_strategy, session_pinning, hedging } => {
                Self { routing_strategy, session_pinning, hedging }
            }
        }
    }
}

/// All router settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouterSettings {
    /// How a deployment is picked.
    pub routing_strategy: RoutingStrategy,
    /// Per public model: what differs.
    pub model_overrides: BTreeMap<String, ModelOverride>,
    /// Whether requests of a session go to one deployment.
    pub session_pinning: bool,
    /// Failures within the window before a circuit opens.
    pub allowed_fails: u32,
    /// First cooldown of an open circuit.
    pub cooldown_seconds: u32,
    /// The failure window.
    pub failure_window_seconds: u32,
    /// Longest cooldown.
    pub max_cooldown_seconds: u32,
    /// How long a half-open probe may take.
    pub half_open_probe_seconds: u32,
    /// Quarantine after configuration faults.
    pub configuration_cooldown_seconds: u32,
    /// Longest capacity circuit after a 429.
    pub throttle_cooldown_seconds: u32,
    /// `retry-after` when nothing better is known.
    pub retry_after_seconds: u32,
    /// What to do with unsupported parameters.
    pub unsupported_parameter_strategy: ParameterStrategy,
    /// Deadlines per operation, where they differ from the defaults.
    pub execution_policies: BTreeMap<Operation, ExecutionPolicy>,
}

impl Default for RouterSettings {
    fn default() -> Self {
        Self {
            routing_strategy: RoutingStrategy::default(),
            model_overrides: BTreeMap::new(),
            session_pinning: false,
            allowed_fails: 3,
            cooldown_seconds: 5,
            failure_window_seconds: 60,
            max_cooldown_seconds: 300,
            half_open_probe_seconds: 30,
            configuration_cooldown_seconds: 300,
            throttle_cooldown_seconds: 60,
            retry_after_seconds: 1,
            unsupported_parameter_strategy: ParameterStrategy::default(),
            execution_policies: BTreeMap::new(),
        }
    }
}

impl RouterSettings {
    /// The strategy in force for a public model.
    #[must_use]
    pub fn strategy(&self, public_model: &str) -> RoutingStrategy {
        self.differs(public_model).routing_strategy.unwrap_or(self.routing_strategy)
    }

    /// Whether requests of a session go to one deployment.
    #[must_use]
    pub fn pins_sessions(&self, public_model: &str) -> bool {
        self.differs(public_model).session_pinning.unwrap_or(self.session_pinning)
    }

    /// Whether a second deployment is asked when the first is late.
    #[must_use]
    pub fn hedges(&self, public_model: &str) -> bool {
        self.differs(public_model).hedging.unwrap_or(false)
    }

    fn differs(&self, public_model: &str) -> ModelOverride {
        self.model_overrides.get(public_model).copied().unwrap_or_default()
    }

    /// The deadlines in force for an operation.
    #[must_use]
    pub fn policy(&self, operation: Operation) -> ExecutionPolicy {
        self.execution_policies.get(&operation).copied().unwrap_or_else(|| ExecutionPolicy::default_for(operation))
    }
}

/// The stored settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSettings {
    /// The settings.
    pub settings: RouterSettings,
    /// The revision that last wrote them; also their etag.
    pub revision: Revision,
    /// When they were last written.
    pub updated_at: Timestamp,
}

/// A partial update of the settings. Clearing a field restores its default.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields are those of RouterSettings")]
pub struct SettingsPatch {
    pub routing_strategy: Patch<RoutingStrategy>,
    pub model_overrides: Patch<BTreeMap<String, ModelOverride>>,
    pub session_pinning: Patch<bool>,
    pub allowed_fails: Patch<u32>,
    pub cooldown_seconds: Patch<u32>,
    pub failure_window_seconds: Patch<u32>,
    pub max_cooldown_seconds: Patch<u32>,
    pub half_open_probe_seconds: Patch<u32>,
    pub configuration_cooldown_seconds: Patch<u32>,
    pub throttle_cooldown_seconds: Patch<u32>,
    pub retry_after_seconds: Patch<u32>,
    pub unsupported_parameter_strategy: Patch<ParameterStrategy>,
    pub execution_policies: Patch<BTreeMap<Operation, ExecutionPolicy>>,
}
