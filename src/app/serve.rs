//! Listeners and connections.
//!
//! HTTP/1.1 and HTTP/2 (prior knowledge) on one port. Bounded: connections, header block and time, streams per
//! connection, resets, and how long a peer may take nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::ServiceExt;

use super::io;
use super::tasks::Tasks;
use crate::api::admin_auth::ClientAddress;

const MAX_CONNECTIONS: usize = 16_384;
const MAX_HEADER_BYTES: usize = 64 * 1024;
const MAX_STREAMS: u32 = 256;
/// Resets of a peer that we have not seen yet; more of them end the connection (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
/// Resets that a peer makes us send; more of them end the connection (CVE-2025-8671).
const MAX_LOCAL_RESETS: usize = 256;
/// How long calls under way on the gRPC port may take once no new ones are taken.
const LAST_CALLS: Duration = Duration::from_secs(2);
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// A listener that fails (too many open files) is tried again after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The HTTP listener.
pub(super) struct HttpListener {
    pub listener: TcpListener,
    pub routes: Router,
    pub header_read_timeout: Duration,
    pub write_timeout: Duration,
    pub trusted_proxy_hops: usize,
    pub tasks: Tasks,
    /// Becomes `false` when no more connections are taken.
    pub accepting: watch::Receiver<bool>,
}

impl HttpListener {
    /// Serves until told to stop accepting, then until the last connection has ended.
    pub(super) async fn serve(mut self) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let builder = self.builder();
        loop {
            let (stream, peer) = tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                () = stops(&mut self.accepting) => break,
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                // The peer sees a closed connection; whoever is in front of us tries another replica.
                tracing::warn!("too many connections: one was closed");
                continue;
            };
            let connection = self.connection(&builder, stream, peer);
            let connection = graceful.watch(connection);
            self.tasks.start(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended with an error");
                }
                drop(place);
            });
        }
        drop(self.listener);
        graceful.shutdown().await;
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_read_timeout)
            .max_buf_size(MAX_HEADER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_LOCAL_RESETS)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        builder
    }

    fn connection(
        &self,
        builder: &Builder<TokioExecutor>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> impl hyper_util::server::graceful::GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>>
    + Send
    + 'static {
        // Small frames must not wait for each other.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let hops = self.trusted_proxy_hops;
        let routes = self.routes.clone();
        let service = routes.map_request(move |mut request: Request<Incoming>| {
            let address = client_address(request.headers(), peer.ip(), hops);
            request.extensions_mut().insert(ClientAddress(address));
            request.map(Body::new)
        });
        let stream = TokioIo::new(io::bounded(stream, self.write_timeout));
        builder.serve_connection(stream, TowerToHyperService::new(service)).into_owned()
    }
}

/// The gRPC listener.
pub(super) struct GrpcListener {
    pub listener: TcpListener,
    pub services: Routes,
    /// Becomes `false` when no more connections are taken.
    pub accepting: watch::Receiver<bool>,
    /// Becomes `true` when calls still open have to end.
    pub stopping: watch::Receiver<bool>,
}

impl GrpcListener {
    /// Serves until told to stop accepting, then until the last call has ended or must.
    pub(super) async fn serve(mut self) {
        let mut accepting = self.accepting.clone();
        let mut closing = self.accepting;
        let server = Server::builder()
            .max_concurrent_streams(MAX_STREAMS)
            .http2_max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
            .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
            .http2_keepalive_interval(Some(KEEP_ALIVE))
            .http2_keepalive_timeout(Some(KEEP_ALIVE))
            .add_routes(self.services)
            .serve_with_incoming_shutdown(TcpIncoming::from(self.listener).with_nodelay(Some(true)), async move {
                stops(&mut accepting).await;
            });
        let last_calls = async {
            stops(&mut closing).await;
            // Calls take milliseconds; what is still open then are watchers, which never end by themselves.
            tokio::select! {
                () = tokio::time::sleep(LAST_CALLS) => {}
                _ = self.stopping.wait_for(|must| *must) => {}
            }
        };
        tokio::select! {
            served = server => if let Err(error) = served {
                tracing::error!(%error, "the gRPC listener failed");
            },
            () = last_calls => {}
        }
    }
}

async fn stops(accepting: &mut watch::Receiver<bool>) {
    // A sender that is gone has nothing left to serve for.
    _ = accepting.wait_for(|accepting| !*accepting).await;
}

/// Who the request comes from: the peer, or, behind `hops` proxies of ours, what the outermost of them saw.
fn client_address(headers: &http::HeaderMap, peer: IpAddr, hops: usize) -> IpAddr {
    let Some(back) = hops.checked_sub(1) else { return peer };
    let values = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let chain: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    // Each proxy appends the address it saw; only the entries of our own proxies can be believed.
    let entry = chain.len().checked_sub(back + 1).and_then(|index| chain.get(index));
    entry.and_then(|address| address.parse().ok()).unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_proxies_are_believed() {
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let mut headers = http::HeaderMap::new();
        headers.insert("x-forwarded-for", "6.6.6.6, 1.2.3.4".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.9".parse().unwrap());
        let seen = |hops| client_address(&headers, peer, hops).to_string();
        assert_eq!(seen(0), "10.0.0.1");
        assert_eq!(seen(1), "10.0.0.9");
        assert_eq!(seen(2), "1.2.3.4");
        assert_eq!(seen(9), "10.0.0.1");
    }
}
