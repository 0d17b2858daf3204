//! What is logged, and how.

use super::problem::Problems;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Logging")]
pub(super) struct Raw {
    /// A level (off, error, warn, info, debug, trace), or levels by module: info,unified_gateway::routing=debug
    #[arg(long, value_name = "LEVELS", default_value = "info")]
    log_level: String,
    /// One JSON object a line (json) or lines for people (pretty) [default: pretty when standard error is a terminal, else json]
    #[arg(long, value_name = "JSON|PRETTY")]
    log_format: Option<String>,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Logging {
    /// `level` or `module=level`, separated by commas; checked.
    pub levels: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl Raw {
    pub(super) fn check(&self, stderr_is_terminal: bool, problems: &mut Problems) -> Logging {
        if !self.log_level.split(',').all(is_directive) {
            problems.refuse_given(
                "LOG_LEVEL",
                &self.log_level,
                "off, error, warn, info, debug or trace, or module=level, separated by commas",
            );
        }
        let format = match &self.log_format {
            Some(given) => {
                problems.choice("LOG_FORMAT", given, [("json", LogFormat::Json), ("pretty", LogFormat::Pretty)])
            }
            None if stderr_is_terminal => LogFormat::Pretty,
            None => LogFormat::Json,
        };
        Logging { levels: self.log_level.clone(), format }
    }
}

/// A bare word must be a level: taken for a module, a misspelt level would silence everything.
fn is_directive(text: &str) -> bool {
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    match text.split_once('=') {
        None => is_level(text),
        Some((module, level)) => {
            let names = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            module.split("::").all(names) && is_level(level)
        }
    }
}
