//! The response cache.

use super::problem::Problems;

const MIB: u64 = 1 << 20;

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Response cache")]
pub(super) struct Raw {
    /// Bytes of all cached answers together, in this process or, with REDIS_URL, in Redis: 1048576 to 1099511627776
    #[arg(long, value_name = "BYTES", default_value = "67108864")]
    cache_max_bytes: String,
    /// How many answers are cached: 1 to 1000000
    #[arg(long, value_name = "COUNT", default_value = "10000")]
    cache_max_entries: String,
}

/// The response cache.
#[derive(Debug, Clone, Copy)]
pub struct Cache {
    /// Bytes of all cached answers together.
    pub max_bytes: u64,
    /// How many answers are cached.
    pub max_entries: u64,
}

impl Raw {
    pub(super) fn check(&self, problems: &mut Problems) -> Cache {
        Cache {
            max_bytes: problems.number("CACHE_MAX_BYTES", &self.cache_max_bytes, MIB..=MIB * MIB),
            max_entries: problems.number("CACHE_MAX_ENTRIES", &self.cache_max_entries, 1..=1_000_000),
        }
    }
}
