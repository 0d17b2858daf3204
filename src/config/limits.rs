//! Sizes and times that bound a request.

use std::path::PathBuf;
use std::time::Duration;

use super::problem::Problems;

const MIB: u64 = 1 << 20;
const HOUR_MS: u64 = 3_600_000;

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Limits")]
pub(super) struct Raw {
    /// Largest JSON request body, in bytes after decompression
    #[arg(long, value_name = "BYTES", default_value = "52428800")]
    max_json_body_bytes: String,
    /// Bytes of all request bodies held at one time; above it requests are refused with 503
    #[arg(long, value_name = "BYTES", default_value = "536870912")]
    max_inflight_body_bytes: String,
    /// Largest form with sound, in bytes of its file
    #[arg(long, value_name = "BYTES", default_value = "31457280")]
    max_audio_upload_bytes: String,
    /// Largest form with pictures, in bytes of its files
    #[arg(long, value_name = "BYTES", default_value = "209715200")]
    max_image_upload_bytes: String,
    /// Bytes of all uploaded files on disk at one time; above it forms are refused with 503
    #[arg(long, value_name = "BYTES", default_value = "4294967296")]
    max_inflight_upload_bytes: String,
    /// Folder for uploaded files, which have no names in it and are gone when their request ends [default: the system's folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    upload_dir: Option<String>,
    /// Milliseconds a request's headers may take to arrive
    #[arg(long, value_name = "MS", default_value = "10000")]
    header_read_timeout_ms: String,
    /// Milliseconds a request body may stand still before it is refused
    #[arg(long, value_name = "MS", default_value = "60000")]
    body_read_timeout_ms: String,
    /// Milliseconds of silence on a stream after which a keep-alive is sent
    #[arg(long, value_name = "MS", default_value = "15000")]
    stream_keepalive_ms: String,
    /// Milliseconds a client may read nothing before it is cut off
    #[arg(long, value_name = "MS", default_value = "60000")]
    client_write_timeout_ms: String,
}

/// Sizes and times that bound a request.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest JSON body, in bytes after decompression.
    pub max_json_body_bytes: usize,
    /// Bytes of all request bodies held at one time. At least `max_json_body_bytes`.
    pub max_inflight_body_bytes: usize,
    /// Largest form with sound, in bytes of its file.
    pub max_audio_upload_bytes: usize,
    /// Largest form with pictures, in bytes of its files.
    pub max_image_upload_bytes: usize,
    /// Bytes of all uploaded files on disk at one time. At least those of the largest form.
    pub max_inflight_upload_bytes: usize,
    /// Folder for uploaded files.
    pub upload_dir: PathBuf,
    /// For a request's headers to arrive.
    pub header_read_timeout: Duration,
    /// Without progress of a request's body.
    pub body_read_timeout: Duration,
    /// Silence on a stream before a keep-alive.
    pub stream_keepalive: Duration,
    /// Without progress of a client's reading.
    pub client_write_timeout: Duration,
}

impl Raw {
    pub(super) fn check(&self, problems: &mut Problems) -> Limits {
        let limits = Limits {
            max_json_body_bytes: problems.count("MAX_JSON_BODY_BYTES", &self.max_json_body_bytes, 1024..=1024 * MIB),
            max_inflight_body_bytes: problems.count(
                "MAX_INFLIGHT_BODY_BYTES",
                &self.max_inflight_body_bytes,
                1024..=1024 * 1024 * MIB,
            ),
            max_audio_upload_bytes: problems.count(
                "MAX_AUDIO_UPLOAD_BYTES",
                &self.max_audio_upload_bytes,
                1024..=4096 * MIB,
            ),
            max_image_upload_bytes: problems.count(
                "MAX_IMAGE_UPLOAD_BYTES",
                &self.max_image_upload_bytes,
                1024..=4096 * MIB,
            ),
            max_inflight_upload_bytes: problems.count(
                "MAX_INFLIGHT_UPLOAD_BYTES",
                &self.max_inflight_upload_bytes,
                1024..=1024 * 1024 * MIB,
            ),
            upload_dir: self.upload_dir.as_ref().map_or_else(std::env::temp_dir, PathBuf::from),
            header_read_timeout: problems.milliseconds(
                "HEADER_READ_TIMEOUT_MS",
                &self.header_read_timeout_ms,
                1..=HOUR_MS,
            ),
            body_read_timeout: problems.milliseconds("BODY_READ_TIMEOUT_MS", &self.body_read_timeout_ms, 1..=HOUR_MS),
            stream_keepalive: problems.milliseconds("STREAM_KEEPALIVE_MS", &self.stream_keepalive_ms, 1..=HOUR_MS),
            client_write_timeout: problems.milliseconds(
                "CLIENT_WRITE_TIMEOUT_MS",
                &self.client_write_timeout_ms,
                1..=HOUR_MS,
            ),
        };
        if limits.max_inflight_body_bytes < limits.max_json_body_bytes {
            problems.refuse_given(
                "MAX_INFLIGHT_BODY_BYTES",
                &self.max_inflight_body_bytes,
                "at least MAX_JSON_BODY_BYTES, or the largest body could never be taken",
            );
        }
        if !limits.upload_dir.is_dir() {
            let given = self.upload_dir.as_deref().unwrap_or_default();
            problems.refuse_given("UPLOAD_DIR", given, "a folder that is there");
        }
        let largest = limits.max_audio_upload_bytes.max(limits.max_image_upload_bytes);
        if limits.max_inflight_upload_bytes < largest {
            problems.refuse_given(
                "MAX_INFLIGHT_UPLOAD_BYTES",
                &self.max_inflight_upload_bytes,
                "at least MAX_AUDIO_UPLOAD_BYTES and MAX_IMAGE_UPLOAD_BYTES, or the largest form could never be taken",
            );
        }
        limits
    }
}
