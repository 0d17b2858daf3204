//! Listeners, shutdown, and what the HTTP surface offers.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use super::problem::Problems;
use super::store::Mode;

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Server")]
pub(super) struct Raw {
    /// Address to listen on, IPv4 or IPv6 [default: 127.0.0.1; 0.0.0.0 when DATABASE_URL is set]
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// Port of the HTTP listener; 0 lets the system choose one
    #[arg(long, value_name = "PORT", default_value = "4000")]
    port: String,
    /// Port of the gRPC administration listener; 0 lets the system choose one
    #[arg(long, value_name = "PORT", default_value = "4001")]
    grpc_port: String,
    /// Whether the HTTP listener serves the administration API under /admin: on or off
    #[arg(long, value_name = "ON|OFF", default_value = "on")]
    admin_http: String,
    /// Port of a listener of its own for the administration API under /admin, which then is gone from PORT; 0 lets the system choose one [default: none]
    #[arg(long, value_name = "PORT")]
    admin_http_port: Option<String>,
    /// Port of a listener of its own for GET /metrics, which then takes no key and is gone from PORT; 0 lets the system choose one [default: none]
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<String>,
    /// Web pages that may call /v1 from a browser: origins separated by commas, or * for all; never /admin [default: none]
    #[arg(long, value_name = "ORIGINS")]
    cors_allowed_origins: Option<String>,
    /// PEM file with the certificate chain of the HTTP listeners, which then speak TLS only; with TLS_KEY [default: none]
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// PEM file with the private key of TLS_CERT [default: none]
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// PEM file with the certificate chain of the gRPC listener, which then speaks TLS only; with GRPC_TLS_KEY [default: none]
    #[arg(long, value_name = "FILE")]
    grpc_tls_cert: Option<String>,
    /// PEM file with the private key of GRPC_TLS_CERT [default: none]
    #[arg(long, value_name = "FILE")]
    grpc_tls_key: Option<String>,
    /// PEM file of authorities: gRPC clients must show a certificate of one of them (mutual TLS) [default: none]
    #[arg(long, value_name = "FILE")]
    grpc_tls_client_ca: Option<String>,
    /// Seconds between looks at the certificate files: renewed ones are taken up without a restart
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    tls_reload_seconds: String,
    /// Whether GET /v1/models answers without a key: true or false
    #[arg(long, value_name = "BOOL", default_value = "true")]
    public_model_list: String,
    /// How many reverse proxies stand in front, whose forwarding headers are believed: 0 to 16
    #[arg(long, value_name = "COUNT", default_value = "0")]
    trusted_proxy_hops: String,
    /// Milliseconds between reporting "not ready" and closing connections, for load balancers to notice
    #[arg(long, value_name = "MS", default_value = "0")]
    drain_delay_ms: String,
    /// Milliseconds that requests in flight may still take at shutdown
    #[arg(long, value_name = "MS", default_value = "30000")]
    shutdown_timeout_ms: String,
}

/// Listeners, shutdown, and what the HTTP surface offers.
#[derive(Debug, Clone)]
pub struct Server {
    /// Address of both listeners.
    pub host: IpAddr,
    /// Port of the HTTP listener; 0: the system chooses.
    pub port: u16,
    /// Port of the gRPC listener; 0: the system chooses.
    pub grpc_port: u16,
    /// Whether `/admin` is served on the HTTP listener.
    pub admin_http: bool,
    /// Port of a listener of its own for `/admin`; 0: the system chooses; `None`: it is on the HTTP listener.
    pub admin_http_port: Option<u16>,
    /// Port of a listener of its own for `/metrics`; 0: the system chooses; `None`: it is on the HTTP listener.
    pub metrics_port: Option<u16>,
    /// Web pages that may call `/v1`.
    pub cors: Cors,
    /// TLS of the HTTP listeners.
    pub tls: Option<TlsFiles>,
    /// TLS of the gRPC listener.
    pub grpc_tls: Option<TlsFiles>,
    /// Between looks at the certificate files.
    pub tls_reload: Duration,
    /// Whether `GET /v1/models` answers without a key.
    pub public_model_list: bool,
    /// How many forwarding hops are believed when the caller's address is looked for.
    pub trusted_proxy_hops: usize,
    /// Between "not ready" and closing connections.
    pub drain_delay: Duration,
    /// How long requests in flight may still take at shutdown.
    pub shutdown_timeout: Duration,
}

/// Web pages that may call the data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// None.
    Off,
    /// All.
    Any,
    /// Those of these origins, such as `https://app.example.com`.
    Origins(Vec<String>),
}

/// Files of a listener that speaks TLS. They can be read; what is in them is looked at by whoever listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The variable of `cert`, for messages.
    pub variable: &'static str,
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Authorities one of which clients must have a certificate of, PEM.
    pub client_ca: Option<PathBuf>,
}

impl Raw {
    pub(super) fn check(&self, mode: Mode, problems: &mut Problems) -> Server {
        let server = Server {
            host: self.host(mode, problems),
            port: problems.port("PORT", &self.port),
            grpc_port: problems.port("GRPC_PORT", &self.grpc_port),
            admin_http: problems.choice("ADMIN_HTTP", &self.admin_http, [("on", true), ("off", false)]),
            admin_http_port: self.admin_http_port.as_ref().map(|port| problems.port("ADMIN_HTTP_PORT", port)),
            metrics_port: self.metrics_port.as_ref().map(|port| problems.port("METRICS_PORT", port)),
            cors: self.cors_allowed_origins.as_deref().map_or(Cors::Off, |given| origins(given, problems)),
            tls: tls(["TLS_CERT", "TLS_KEY"], [&self.tls_cert, &self.tls_key], problems),
            grpc_tls: tls(["GRPC_TLS_CERT", "GRPC_TLS_KEY"], [&self.grpc_tls_cert, &self.grpc_tls_key], problems)
                .map(|files| TlsFiles { client_ca: self.grpc_tls_client_ca.as_ref().map(PathBuf::from), ..files }),
            tls_reload: problems.seconds("TLS_RELOAD_SECONDS", &self.tls_reload_seconds, 1..=86_400),
            public_model_list: problems.choice(
                "PUBLIC_MODEL_LIST",
                &self.public_model_list,
                [("true", true), ("false", false)],
            ),
            trusted_proxy_hops: problems.count("TRUSTED_PROXY_HOPS", &self.trusted_proxy_hops, 0..=16),
            drain_delay: problems.milliseconds("DRAIN_DELAY_MS", &self.drain_delay_ms, 0..=600_000),
            shutdown_timeout: problems.milliseconds("SHUTDOWN_TIMEOUT_MS", &self.shutdown_timeout_ms, 0..=3_600_000),
        };
        if server.port == server.grpc_port && server.port != 0 {
            problems.refuse_given("GRPC_PORT", &self.grpc_port, "a port other than PORT");
        }
        if let (Some(port), Some(given)) = (server.admin_http_port, &self.admin_http_port) {
            if port != 0 && (port == server.port || port == server.grpc_port) {
                problems.refuse_given("ADMIN_HTTP_PORT", given, "a port other than PORT and GRPC_PORT");
            }
            if !server.admin_http {
                problems.refuse("ADMIN_HTTP_PORT", "is given together with ADMIN_HTTP=off; allowed: one of the two");
            }
        }
        let taken = [Some(server.port), Some(server.grpc_port), server.admin_http_port];
        if let (Some(port), Some(given)) = (server.metrics_port, &self.metrics_port)
            && port != 0
            && taken.contains(&Some(port))
        {
            problems.refuse_given("METRICS_PORT", given, "a port other than PORT, GRPC_PORT and ADMIN_HTTP_PORT");
        }
        if let Some(path) = &self.grpc_tls_client_ca {
            readable("GRPC_TLS_CLIENT_CA", path, problems);
            if server.grpc_tls.is_none() && self.grpc_tls_cert.is_none() {
                problems.refuse("GRPC_TLS_CLIENT_CA", "is allowed only together with GRPC_TLS_CERT and GRPC_TLS_KEY");
            }
        }
        server
    }

    fn host(&self, mode: Mode, problems: &mut Problems) -> IpAddr {
        let default = match mode {
            Mode::Embedded => Ipv4Addr::LOCALHOST,
            Mode::Clustered => Ipv4Addr::UNSPECIFIED,
        };
        let Some(given) = &self.host else { return default.into() };
        given.parse().unwrap_or_else(|_| {
            problems.refuse_given("HOST", given, "an IPv4 or IPv6 address, such as 127.0.0.1, 0.0.0.0 or ::");
            default.into()
        })
    }
}

fn tls(variables: [&'static str; 2], given: [&Option<String>; 2], problems: &mut Problems) -> Option<TlsFiles> {
    let [cert_variable, key_variable] = variables;
    match given {
        [Some(cert), Some(key)] => {
            readable(cert_variable, cert, problems);
            readable(key_variable, key, problems);
            Some(TlsFiles { variable: cert_variable, cert: cert.into(), key: key.into(), client_ca: None })
        }
        [None, None] => None,
        [Some(_), None] => {
            problems.refuse(key_variable, format!("is required when {cert_variable} is set"));
            None
        }
        [None, Some(_)] => {
            problems.refuse(cert_variable, format!("is required when {key_variable} is set"));
            None
        }
    }
}

fn readable(variable: &str, path: &str, problems: &mut Problems) {
    if let Err(error) = std::fs::read(path) {
        problems.refuse_given(variable, path, format!("a readable PEM file ({error})"));
    }
}

fn origins(given: &str, problems: &mut Problems) -> Cors {
    if given.trim() == "*" {
        return Cors::Any;
    }
    let origins: Vec<String> = given.split(',').map(|origin| origin.trim().to_owned()).collect();
    for origin in &origins {
        let is_origin = url::Url::parse(origin)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == *origin);
        if !is_origin {
            let allowed = "origins such as https://app.example.com (scheme, host, port, nothing behind), separated by commas, or *";
            problems.refuse_given("CORS_ALLOWED_ORIGINS", origin, allowed);
        }
    }
    Cors::Origins(origins)
}
