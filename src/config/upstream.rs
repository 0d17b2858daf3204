//! Calls to providers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::Problems;

/// A bundle of certificates is text of this order; anything larger is another file.
const MAX_CA_BYTES: u64 = 4 << 20;

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Providers")]
pub(super) struct Raw {
    /// Milliseconds to connect to a provider, TLS included
    #[arg(long, value_name = "MS", default_value = "10000")]
    upstream_connect_timeout_ms: String,
    /// PEM file of certificate authorities to trust besides the system's [default: none]
    #[arg(long, value_name = "FILE")]
    upstream_ca_file: Option<String>,
    /// What callers see of a provider's refusal: its own words without ids, hosts and keys (sanitized), or a fixed sentence (generic)
    #[arg(long, value_name = "SANITIZED|GENERIC", default_value = "sanitized")]
    upstream_error_detail: String,
    /// Whether EXIF is taken out of images that providers answer with: true or false; those with C2PA provenance pass untouched
    #[arg(long, value_name = "BOOL", default_value = "false")]
    images_strip_exif: String,
}

/// Calls to providers.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// To connect, TLS included.
    pub connect_timeout: Duration,
    /// Certificate authorities to trust besides the system's.
    pub extra_authorities: Option<CaBundle>,
    /// What callers see of a provider's refusal.
    pub error_detail: ErrorDetail,
    /// Whether EXIF is taken out of images that providers answer with.
    pub strips_exif: bool,
}

/// A PEM file, read at start.
#[derive(Clone)]
pub struct CaBundle {
    /// Where it was read from, for messages.
    pub path: PathBuf,
    /// Its text; holds at least one certificate block, not decoded yet.
    pub pem: String,
}

impl fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaBundle").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What callers see of a provider's refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorDetail {
    /// Its own words without ids, hosts and keys.
    Sanitized,
    /// A fixed sentence per kind.
    Generic,
}

impl Raw {
    pub(super) fn check(&self, problems: &mut Problems) -> Upstream {
        Upstream {
            connect_timeout: problems.milliseconds(
                "UPSTREAM_CONNECT_TIMEOUT_MS",
                &self.upstream_connect_timeout_ms,
                1..=300_000,
            ),
            extra_authorities: self.upstream_ca_file.as_deref().and_then(|path| bundle(path, problems)),
            error_detail: problems.choice(
                "UPSTREAM_ERROR_DETAIL",
                &self.upstream_error_detail,
                [("sanitized", ErrorDetail::Sanitized), ("generic", ErrorDetail::Generic)],
            ),
            strips_exif: problems.choice(
                "IMAGES_STRIP_EXIF",
                &self.images_strip_exif,
                [("true", true), ("false", false)],
            ),
        }
    }
}

fn bundle(given: &str, problems: &mut Problems) -> Option<CaBundle> {
    match read_bundle(Path::new(given)) {
        Ok(pem) => Some(CaBundle { path: given.into(), pem }),
        Err(reason) => {
            let allowed = format!("a readable PEM file with at least one certificate ({reason})");
            problems.refuse_given("UPSTREAM_CA_FILE", given, allowed);
            None
        }
    }
}

fn read_bundle(path: &Path) -> Result<String, String> {
    let size_bytes = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size_bytes > MAX_CA_BYTES {
        return Err("it is larger than 4 MiB".to_owned());
    }
    let pem = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    if pem.contains("-----BEGIN CERTIFICATE-----") { Ok(pem) } else { Err("it has no certificate".to_owned()) }
}
