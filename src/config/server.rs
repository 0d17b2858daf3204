//! Listeners, shutdown, and what the HTTP surface offers.

use std::net::{IpAddr, Ipv4Addr};
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
    /// Whether `GET /v1/models` answers without a key.
    pub public_model_list: bool,
    /// How many forwarding hops are believed when the caller's address is looked for.
    pub trusted_proxy_hops: usize,
    /// Between "not ready" and closing connections.
    pub drain_delay: Duration,
    /// How long requests in flight may still take at shutdown.
    pub shutdown_timeout: Duration,
}

impl Raw {
    pub(super) fn check(&self, mode: Mode, problems: &mut Problems) -> Server {
        let server = Server {
            host: self.host(mode, problems),
            port: problems.port("PORT", &self.port),
            grpc_port: problems.port("GRPC_PORT", &self.grpc_port),
            admin_http: problems.choice("ADMIN_HTTP", &self.admin_http, [("on", true), ("off", false)]),
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
