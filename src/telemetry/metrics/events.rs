//! What happens, as those say it who see it, and the rows that count it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::cells::{Histogram, SECONDS, TOKENS};

/// How often something ended, and how long it took.
#[derive(Debug)]
pub(super) struct Ends {
    pub count: AtomicU64,
    pub seconds: Histogram,
}

impl Default for Ends {
    fn default() -> Self {
        Self { count: AtomicU64::new(0), seconds: Histogram::new(&SECONDS) }
    }
}

/// What requests used.
#[derive(Debug)]
pub(super) struct Use {
    pub first_output: Histogram,
    pub input: Histogram,
    pub output: Histogram,
    pub kinds: [AtomicU64; TokenCounts::KINDS.len()],
    pub nano_cents: AtomicU64,
    pub estimated: AtomicU64,
}

impl Default for Use {
    fn default() -> Self {
        Self {
            first_output: Histogram::new(&SECONDS),
            input: Histogram::new(&TOKENS),
            output: Histogram::new(&TOKENS),
            kinds: std::array::from_fn(|_| AtomicU64::new(0)),
            nano_cents: AtomicU64::new(0),
            estimated: AtomicU64::new(0),
        }
    }
}

/// Tokens of one request. `input` and `output` have all of them, the others are parts of those.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct TokenCounts {
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    pub reasoning: u64,
}

impl TokenCounts {
    /// Kinds that add up to all tokens.
    pub(super) const KINDS: [&'static str; 5] = ["input", "cache_read", "cache_write", "output", "reasoning"];

    fn by_kind(self) -> [u64; 5] {
        let Self { input, output, cache_read, cache_write, reasoning } = self;
        let fresh = input.saturating_sub(cache_read).saturating_sub(cache_write);
        [fresh, cache_read, cache_write, output.saturating_sub(reasoning), reasoning]
    }
}

/// A request that ended. Names that a client made up have to be `none` by now.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// The public model that was asked for.
    pub model: &'a str,
    /// The provider that served, or was tried last.
    pub provider: &'a str,
    /// What was asked for.
    pub operation: &'a str,
    /// In which contract.
    pub contract: &'a str,
    /// How it ended.
    pub outcome: &'a str,
    /// The error, if it ended with one.
    pub fault: Option<&'a str>,
    /// All of it.
    pub duration: Duration,
    /// To the first output of a stream.
    pub first_output: Option<Duration>,
    /// What it used.
    pub tokens: TokenCounts,
    /// Whether that is an estimate.
    pub is_estimated: bool,
    /// What it cost, in nano-cents.
    pub cost: i64,
    /// Calls of providers.
    pub attempts: usize,
    /// Whether the answer came out of the response cache.
    pub is_cached: bool,
}

/// A call of a provider that ended.
#[derive(Debug, Clone, Copy)]
pub struct AttemptEnded<'a> {
    /// The public model of the deployment.
    pub model: &'a str,
    /// Its provider.
    pub provider: &'a str,
    /// The provider's name of the model.
    pub upstream_model: &'a str,
    /// What was asked for.
    pub operation: &'a str,
    /// `success`, `cancelled`, or what the failure was judged to be.
    pub outcome: &'a str,
    /// To the end of the answer or the failure.
    pub duration: Duration,
}

impl Use {
    pub(super) fn count(&self, ended: &Ended<'_>) {
        if let Some(first_output) = ended.first_output {
            self.first_output.observe_time(first_output);
        }
        if ended.tokens.input > 0 || ended.tokens.output > 0 {
            self.input.observe(ended.tokens.input);
            self.output.observe(ended.tokens.output);
        }
        for (total, count) in self.kinds.iter().zip(ended.tokens.by_kind()) {
            total.fetch_add(count, Ordering::Relaxed);
        }
        self.nano_cents.fetch_add(u64::try_from(ended.cost).unwrap_or_default(), Ordering::Relaxed);
        self.estimated.fetch_add(u64::from(ended.is_estimated), Ordering::Relaxed);
    }
}
