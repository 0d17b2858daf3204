//! Stored responses.

use std::time::Duration;

use super::problem::Problems;

const DAY: Duration = Duration::from_secs(86_400);

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Stored responses")]
pub(super) struct Raw {
    /// Whether a response is stored when its request does not say (`store`): true or false
    #[arg(long, value_name = "BOOL", default_value = "true")]
    responses_store_default: String,
    /// Days a stored response is kept: 1 to 3650
    #[arg(long, value_name = "DAYS", default_value = "14")]
    responses_state_retention_days: String,
}

/// Stored responses.
#[derive(Debug, Clone, Copy)]
pub struct Responses {
    /// Whether a response is stored when its request does not say.
    pub store_default: bool,
    /// How long it is kept.
    pub retention: Duration,
}

impl Raw {
    pub(super) fn check(&self, problems: &mut Problems) -> Responses {
        let days = problems.number("RESPONSES_STATE_RETENTION_DAYS", &self.responses_state_retention_days, 1..=3650);
        Responses {
            store_default: problems.choice(
                "RESPONSES_STORE_DEFAULT",
                &self.responses_store_default,
                [("true", true), ("false", false)],
            ),
            retention: DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX)),
        }
    }
}
