//! The ports of a gateway: bound first, so that a port that is taken stops the start, and served last.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use super::serve::{ConnectionCount, Listener};
use super::switches::Switches;
use super::tls::{self, Protocols};
use crate::config::limits::Limits;
use crate::config::server::{Server, TlsFiles};
use crate::fault::{Fault, Kind, Outcome};

/// A listener and the count of its connections.
struct Door {
    listener: TcpListener,
    count: Arc<ConnectionCount>,
}

/// All ports, bound.
pub(super) struct Doors {
    http: Door,
    grpc: Door,
    admin: Option<Door>,
    metrics: Option<Door>,
}

/// What is served behind them.
pub(super) struct Faces {
    pub http: Router,
    /// The administration, where it has a port of its own.
    pub admin: Option<Router>,
    /// Metrics, where they have a port of their own.
    pub metrics: Option<Router>,
    pub grpc: Router,
}

/// Where the gateway is reached.
pub(super) struct Addresses {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    pub admin: Option<SocketAddr>,
    pub metrics: Option<SocketAddr>,
}

impl Doors {
    /// Binds the ports of the settings.
    ///
    /// # Errors
    /// The setting whose port cannot be had.
    pub(super) async fn open(server: &Server) -> Outcome<Self> {
        let host = server.host;
        Ok(Self {
            http: Door::open(host, server.port, "PORT", "http").await?,
            grpc: Door::open(host, server.grpc_port, "GRPC_PORT", "grpc").await?,
            admin: match server.admin_http_port {
                Some(port) => Some(Door::open(host, port, "ADMIN_HTTP_PORT", "admin").await?),
                None => None,
            },
            metrics: match server.metrics_port {
                Some(port) => Some(Door::open(host, port, "METRICS_PORT", "metrics").await?),
                None => None,
            },
        })
    }

    pub(super) fn has_own_metrics(&self) -> bool {
        self.metrics.is_some()
    }

    pub(super) fn has_own_admin(&self) -> bool {
        self.admin.is_some()
    }

    /// The connections of each port that there can be.
    pub(super) fn counts(&self) -> Vec<Arc<ConnectionCount>> {
        let others = [self.admin.as_ref(), self.metrics.as_ref()];
        let doors = [&self.http, &self.grpc].into_iter().chain(others.into_iter().flatten());
        doors.map(|door| Arc::clone(&door.count)).collect()
    }

    /// Serves, until the switches are turned.
    ///
    /// # Errors
    /// Certificates that cannot be used.
    pub(super) fn serve(
        self,
        faces: Faces,
        server: &Server,
        limits: &Limits,
        switches: &Switches,
    ) -> Outcome<Addresses> {
        let (tasks, accepting) = (&switches.tasks, switches.accepting.subscribe());
        let addresses = Addresses {
            http: self.http.address()?,
            grpc: self.grpc.address()?,
            admin: self.admin.as_ref().map(Door::address).transpose()?,
            metrics: self.metrics.as_ref().map(Door::address).transpose()?,
        };
        let certificates = |files: Option<TlsFiles>, protocols| {
            let read = |files| tls::certificates(files, protocols, server.tls_reload, tasks, accepting.clone());
            files.map(read).transpose()
        };
        let of_http = certificates(server.tls.clone(), Protocols::Http)?;
        let of_grpc = certificates(server.grpc_tls.clone(), Protocols::Grpc)?;
        let serve = |door: Door, routes, certificates, stopping| {
            let listener = Listener {
                listener: door.listener,
                count: door.count,
                routes,
                certificates,
                header_read_timeout: limits.header_read_timeout,
                write_timeout: limits.client_write_timeout,
                trusted_proxy_hops: server.trusted_proxy_hops,
                tasks: tasks.clone(),
                accepting: accepting.clone(),
                stopping,
            };
            tasks.start(listener.serve());
        };
        serve(self.http, faces.http, of_http.clone(), None);
        for (door, routes) in [(self.admin, faces.admin), (self.metrics, faces.metrics)] {
            if let (Some(door), Some(routes)) = (door, routes) {
                serve(door, routes, of_http.clone(), None);
            }
        }
        serve(self.grpc, faces.grpc, of_grpc, Some(switches.stopping.subscribe()));
        Ok(addresses)
    }
}

impl Door {
    async fn open(host: IpAddr, port: u16, variable: &str, name: &'static str) -> Outcome<Self> {
        let listener = TcpListener::bind((host, port)).await.map_err(|error| {
            let sentence = format!("{variable}: cannot listen on {host} port {port}: {error}");
            Fault::new(Kind::Unavailable).say(sentence)
        })?;
        Ok(Self { listener, count: ConnectionCount::new(name) })
    }

    fn address(&self) -> Outcome<SocketAddr> {
        self.listener.local_addr().map_err(|error| Fault::new(Kind::Internal).because(error))
    }
}
