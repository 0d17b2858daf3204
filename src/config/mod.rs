//! The settings: read once at start, checked all together, typed from here on.
//!
//! A setting is a variable and a flag of the same name (`GRPC_PORT`, `--grpc-port`). The flag wins over the environment,
//! the environment over the `.env` file of the working directory, that over the default; an empty value counts as unset.
//! Each section is one file: what is read (a raw struct of texts whose doc comments are the help), and `check`, which
//! turns it into the typed section and notes every problem, so that all of them are reported at once. Nothing else in the
//! gateway reads the environment. Secrets are in no message and in no `Debug` output.

mod cli;
mod key_hex;
mod problem;
mod surroundings;
mod table;

pub mod admin;
pub mod cache;
pub mod limits;
pub mod logging;
pub mod responses;
pub mod secrets;
pub mod security;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod upstream;

#[cfg(test)]
mod tests;

pub use cli::{Command, Stop, parse, parse_with};
pub use problem::Problem;
pub use surroundings::Surroundings;
pub use table::settings_table;

use problem::Problems;

/// A variable of this process's surroundings that is no setting: what a configuration file refers to.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    Surroundings::of_process().find(name, &mut Problems::default())
}

/// All settings, checked.
#[derive(Debug)]
pub struct Config {
    /// Listeners, shutdown and what the HTTP surface offers.
    pub server: server::Server,
    /// Environment, master key and encryption keys.
    pub security: security::Security,
    /// Where state lives.
    pub store: store::Store,
    /// Sizes and times that bound a request.
    pub limits: limits::Limits,
    /// Stored responses.
    pub responses: responses::Responses,
    /// The response cache.
    pub cache: cache::Cache,
    /// What is logged, and how.
    pub logging: logging::Logging,
    /// Calls to providers.
    pub upstream: upstream::Upstream,
    /// Traces and metrics to a collector.
    pub telemetry: telemetry::Telemetry,
    /// What is allowed but unwise, in sentences for the log. Never holds a secret.
    pub warnings: Vec<String>,
}

/// All settings as texts. The doc comments of its fields are the help.
#[derive(clap::Args)]
#[group(skip)]
struct Raw {
    #[command(flatten)]
    server: server::Raw,
    #[command(flatten)]
    security: security::Raw,
    #[command(flatten)]
    store: store::Raw,
    #[command(flatten)]
    limits: limits::Raw,
    #[command(flatten)]
    responses: responses::Raw,
    #[command(flatten)]
    cache: cache::Raw,
    #[command(flatten)]
    logging: logging::Raw,
    #[command(flatten)]
    upstream: upstream::Raw,
    #[command(flatten)]
    telemetry: telemetry::Raw,
}

impl Raw {
    /// Checks every section, so that all problems are found in one go.
    fn check(&self, surroundings: &Surroundings, mut problems: Problems) -> Result<Config, Vec<Problem>> {
        let mut warnings = Vec::new();
        let (store, mode) = self.store.check(&mut problems);
        let config = Config {
            server: self.server.check(mode, &mut problems),
            security: self.security.check(mode, &mut problems, &mut warnings),
            store,
            limits: self.limits.check(&mut problems),
            responses: self.responses.check(&mut problems),
            cache: self.cache.check(&mut problems),
            logging: self.logging.check(surroundings.stderr_is_terminal(), &mut problems),
            upstream: self.upstream.check(&mut problems),
            telemetry: self.telemetry.check(&mut problems),
            warnings,
        };
        problems.into_result(config)
    }
}
