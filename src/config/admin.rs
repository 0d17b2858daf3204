//! The command line of the administration: what is called, where, and with which credential.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use secrecy::SecretString;

use super::problem::{Problem, Problems};
use super::surroundings::Surroundings;

const FIELDS: &str = "Fields are `name=value` with the names of the REST API, nested ones with dots (credentials.apiKey=env:NAME). \
                      A value is JSON or else text; null clears a field. A credential can be env:NAME, or - for a line of standard input.";

/// Where the gateway is, and who asks.
#[derive(Debug, Clone, Args)]
pub(super) struct Where {
    /// Address of the gateway's gRPC port [env: UNIFIED_GATEWAY_SERVER] [default: http://localhost:4001]
    #[arg(long, value_name = "URL", global = true)]
    server: Option<String>,
    /// File with the master key; else MASTER_KEY, else `master_key` in DATA_DIR
    #[arg(long, value_name = "FILE", global = true)]
    master_key_file: Option<PathBuf>,
    /// PEM file of authorities to trust besides the system's
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// PEM file with a certificate to show, for mutual TLS
    #[arg(long, value_name = "FILE", global = true, requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// PEM file with its private key
    #[arg(long, value_name = "FILE", global = true, requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS", global = true, default_value = "30")]
    timeout: u64,
    /// Print JSON, with the names of the REST API
    #[arg(long, global = true)]
    json: bool,
}

/// A connection to make.
#[derive(Debug)]
pub struct Connection {
    /// URL of the gRPC port.
    pub server: String,
    /// The operator's key.
    pub master_key: SecretString,
    /// PEM of authorities to trust besides the system's.
    pub ca: Option<String>,
    /// PEM of a certificate to show, and of its key.
    pub identity: Option<(String, SecretString)>,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Whether JSON is printed.
    pub json: bool,
}

/// Calls of the administration.
#[derive(Debug, Clone, Subcommand)]
pub enum AdminVerb {
    /// Version, mode, configuration in force
    Info,
    /// Replicas and the revision each has in force
    Replicas {
        /// Wait until a revision is in force: revision=N replicas=N timeoutMs=N, each optional
        #[arg(long, value_name = "FIELDS", num_args = 0..)]
        wait: Option<Vec<String>>,
    },
    /// Deployments: what serves a public model
    #[command(subcommand)]
    Deployments(DeploymentVerb),
    /// Virtual keys: the credentials of applications
    #[command(subcommand)]
    Keys(KeyVerb),
    /// Fallback chains
    #[command(subcommand)]
    Fallbacks(FallbackVerb),
    /// Router settings
    #[command(subcommand)]
    Settings(SettingsVerb),
    /// Finished requests
    #[command(subcommand)]
    Logs(LogVerb),
    /// Sums of requests, tokens and cost
    Usage {
        /// groupBy=model,day (two of model, key, deployment, provider, tag, operation, day, hour at most) start=TIME end=TIME,
        /// and conditions as of `admin logs list`; a time is 2030-01-31 or 2030-01-31T12:00:00Z
        fields: Vec<String>,
        /// Print a table for spreadsheets
        #[arg(long, conflicts_with = "json")]
        csv: bool,
    },
    /// Recent requests in short: outcomes, times, cost
    Summary {
        /// 5m, 1h or 24h
        #[arg(default_value = "1h")]
        window: String,
    },
    /// The response cache
    #[command(subcommand)]
    Cache(CacheVerb),
    /// What would become of a request
    #[command(subcommand)]
    Route(RouteVerb),
    /// Provider presets
    Providers,
    /// Known models
    Models {
        /// provider=NAME operation=NAME query=TEXT
        filters: Vec<String>,
    },
}

/// Fields of a resource.
#[derive(Debug, Clone, Args)]
#[command(after_help = FIELDS)]
pub struct Body {
    /// Fields: name=value
    pub fields: Vec<String>,
    /// YAML or JSON file with fields, which those on the command line override; - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Check everything and save nothing
    #[arg(long)]
    pub validate_only: bool,
}

/// What can be done with deployments.
#[derive(Debug, Clone, Subcommand)]
pub enum DeploymentVerb {
    /// List them: publicModel=NAME provider=NAME enabled=true query=TEXT
    List {
        /// Filters: name=value
        filters: Vec<String>,
    },
    /// Show one
    Get {
        /// Its id
        id: String,
    },
    /// Create one
    Create {
        #[command(flatten)]
        #[expect(missing_docs, reason = "a flattened field's words would be the command's help")]
        body: Body,
        /// The same id twice creates one deployment
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
    },
    /// Change fields of one
    Update {
        /// Its id
        id: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "a flattened field's words would be the command's help")]
        body: Body,
        /// Only in this state
        #[arg(long)]
        etag: Option<String>,
    },
    /// Delete one
    Delete {
        /// Its id
        id: String,
        /// Only in this state
        #[arg(long)]
        etag: Option<String>,
    },
    /// Make one tiny real call
    Test {
        /// Its id
        id: String,
    },
    /// Say what a deployment would be able to do
    Resolve(Body),
}

/// What can be asked of routing.
#[derive(Debug, Clone, Subcommand)]
pub enum RouteVerb {
    /// Say where a request would go and why, without making it: publicModel=NAME keyId=ID tools=true …
    Explain(Body),
}

/// What can be done with virtual keys.
#[derive(Debug, Clone, Subcommand)]
pub enum KeyVerb {
    /// List them: enabled=true query=TEXT
    List {
        /// Filters: name=value
        filters: Vec<String>,
    },
    /// Show one
    Get {
        /// Its id
        id: String,
    },
    /// Issue one; its secret is printed this once
    Create {
        #[command(flatten)]
        #[expect(missing_docs, reason = "a flattened field's words would be the command's help")]
        body: Body,
        /// The same id twice issues one key
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
    },
    /// Change fields of one
    Update {
        /// Its id
        id: String,
        #[command(flatten)]
        #[expect(missing_docs, reason = "a flattened field's words would be the command's help")]
        body: Body,
        /// Only in this state
        #[arg(long)]
        etag: Option<String>,
    },
    /// Revoke one for good
    Delete {
        /// Its id
        id: String,
        /// Only in this state
        #[arg(long)]
        etag: Option<String>,
    },
    /// Make a new secret, printed this once
    Rotate {
        /// Its id
        id: String,
        /// Seconds that the old secret still works
        #[arg(long, value_name = "SECONDS", default_value = "0")]
        grace: u64,
    },
}

/// What can be done with fallback chains.
#[derive(Debug, Clone, Subcommand)]
pub enum FallbackVerb {
    /// List them: primaryModel=NAME
    List {
        /// Filters: name=value
        filters: Vec<String>,
    },
    /// Create or replace one: primaryModel=NAME reason=general fallbackModels='["other"]'
    Set(Body),
    /// Delete one
    Delete {
        /// The model whose chain it is
        primary_model: String,
        /// general, context_window or content_policy
        #[arg(default_value = "general")]
        reason: String,
    },
}

/// What can be done with finished requests.
#[derive(Debug, Clone, Subcommand)]
pub enum LogVerb {
    /// List them, newest first: requestId=ID virtualKeyId=ID publicModel=NAME deploymentId=ID provider=NAME operation=NAME
    /// outcome=WORD degraded=true cacheHit=true status=N tag=TEXT minDurationMs=N start=TIME end=TIME
    List {
        /// Conditions: name=value
        filters: Vec<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "50")]
        limit: usize,
    },
    /// Show one with its attempts
    Show {
        /// Its id, or the request id that the client saw
        id: String,
    },
    /// Print each as soon as it is recorded, whichever replica served it, until interrupted
    Tail {
        /// Conditions as of `list`, without times
        filters: Vec<String>,
        /// Begin after this one instead of now
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
}

/// What can be done with router settings.
#[derive(Debug, Clone, Subcommand)]
pub enum SettingsVerb {
    /// Show them
    Get,
    /// Change some
    Set(Body),
}

/// What can be done with the response cache.
#[derive(Debug, Clone, Subcommand)]
pub enum CacheVerb {
    /// Remove answers on all replicas, and say how many: operation=NAME virtualKeyId=ID, each optional
    Invalidate {
        /// Which ones: name=value
        filters: Vec<String>,
    },
}

/// The configuration as a file.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigVerb {
    /// Print the configuration as YAML, without secrets
    Export {
        /// Virtual keys, too
        #[arg(long)]
        include_keys: bool,
        /// Write to this file
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show what applying a file would change; exit code 1 when something would
    Diff(Document),
    /// Bring the configuration to what a file says, all of it or nothing
    Apply {
        #[command(flatten)]
        #[expect(missing_docs, reason = "a flattened field's words would be the command's help")]
        document: Document,
        /// Only if the configuration is at this revision; with --prune, the one that this command's own dry run sees
        #[arg(long, value_name = "N")]
        revision: Option<i64>,
        /// Do not ask before deleting
        #[arg(short, long)]
        yes: bool,
    },
}

/// A configuration file.
#[derive(Debug, Clone, Args)]
pub struct Document {
    /// YAML or JSON file in the shape of GET /admin/config; - for standard input. Credentials can be env:NAME
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// Delete what the file does not have, of the kinds of which it has any
    #[arg(long)]
    pub prune: bool,
    /// Apply virtual keys, too
    #[arg(long)]
    pub include_keys: bool,
}

impl Where {
    /// Finds the credential and reads the files.
    pub(super) fn connection(&self, surroundings: &Surroundings) -> Result<Connection, Vec<Problem>> {
        let mut problems = Problems::default();
        let server = self.server.clone().or_else(|| surroundings.find("UNIFIED_GATEWAY_SERVER", &mut problems));
        let port = surroundings.find("GRPC_PORT", &mut problems).unwrap_or_else(|| "4001".to_owned());
        let master_key = self.master_key(surroundings, &mut problems);
        let mut read = |path: &PathBuf| read(path, &mut problems);
        let connection = Connection {
            server: server.unwrap_or_else(|| format!("http://localhost:{port}")),
            master_key: master_key.unwrap_or_default().into(),
            ca: self.ca.as_ref().and_then(&mut read),
            identity: match (&self.client_cert, &self.client_key) {
                (Some(cert), Some(key)) => read(cert).zip(read(key)).map(|(cert, key)| (cert, key.into())),
                _ => None,
            },
            timeout: Duration::from_secs(self.timeout.clamp(1, 3_600)),
            json: self.json,
        };
        problems.into_result(connection)
    }

    fn master_key(&self, surroundings: &Surroundings, problems: &mut Problems) -> Option<String> {
        if let Some(path) = &self.master_key_file {
            return read(path, problems).map(|key| key.trim().to_owned());
        }
        if let Some(key) = surroundings.find("MASTER_KEY", problems) {
            return Some(key);
        }
        let folder = surroundings.find("DATA_DIR", problems).unwrap_or_else(|| "./data".to_owned());
        match std::fs::read_to_string(Path::new(&folder).join("master_key")) {
            Ok(key) => Some(key.trim().to_owned()),
            Err(_) => {
                problems.refuse(
                    "MASTER_KEY",
                    format!("is needed: set it, or give --master-key-file, or run where {folder}/master_key is"),
                );
                None
            }
        }
    }
}

fn read(path: &PathBuf, problems: &mut Problems) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) => {
            problems.note(Problem::about(path.display().to_string(), format!("cannot be read: {error}")));
            None
        }
    }
}
