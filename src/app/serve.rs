//! Listeners and connections.
//!
//! HTTP/1.1 and HTTP/2 (prior knowledge, or ALPN under TLS) on the HTTP ports, HTTP/2 on the gRPC port. Bounded: connections, header block and time, streams per
//! connection, resets, and how long a peer may take nothing.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::io;
use super::tasks::Tasks;
use super::tls::Certificates;
use crate::api::admin_auth::ClientAddress;
use crate::telemetry::metrics::cells::Level;

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

/// The connections of a listener.
#[derive(Debug)]
pub(super) struct ConnectionCount {
    pub name: &'static str,
    pub open: Level,
    pub taken: AtomicU64,
    pub refused: AtomicU64,
}

impl ConnectionCount {
    pub(super) fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, open: Level::default(), taken: AtomicU64::new(0), refused: AtomicU64::new(0) })
    }
}

/// A connection that is open.
struct OpenConnection(Arc<ConnectionCount>);

impl OpenConnection {
    fn new(count: Arc<ConnectionCount>) -> Self {
        count.taken.fetch_add(1, Ordering::Relaxed);
        count.open.rise();
        Self(count)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fall();
    }
}

/// A listener and what is served on it.
pub(super) struct Listener {
    pub listener: TcpListener,
    /// Counts its connections.
    pub count: Arc<ConnectionCount>,
    pub routes: Router,
    /// TLS only, with these; plain without.
    pub certificates: Option<Certificates>,
    pub header_read_timeout: Duration,
    pub write_timeout: Duration,
    pub trusted_proxy_hops: usize,
    pub tasks: Tasks,
    /// Becomes `false` when no more connections are taken.
    pub accepting: watch::Receiver<bool>,
    /// For gRPC: becomes `true` when calls still open have to end. `None`: they end by themselves.
    pub stopping: Option<watch::Receiver<bool>>,
}

impl Listener {
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
                self.count.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("too many connections: one was closed");
                continue;
            };
            let open = OpenConnection::new(Arc::clone(&self.count));
            let connection = Connection {
                builder: builder.clone(),
                routes: self.routes.clone(),
                peer: peer.ip(),
                hops: self.trusted_proxy_hops,
                write_timeout: self.write_timeout,
            };
            let served = self.served(connection, stream, graceful.watcher());
            let last_calls = self.stopping.clone().map(|stopping| last_calls(self.accepting.clone(), stopping));
            self.tasks.start(async move {
                match last_calls {
                    None => served.await,
                    Some(last_calls) => tokio::select! {
                        () = served => {}
                        () = last_calls => {}
                    },
                }
                drop((place, open));
            });
        }
        drop(self.listener);
        graceful.shutdown().await;
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        if self.stopping.is_some() {
            builder = builder.http2_only();
        }
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

    /// Serves one connection to its end, its handshake first.
    fn served(
        &self,
        connection: Connection,
        stream: TcpStream,
        watcher: Watcher,
    ) -> impl Future<Output = ()> + Send + 'static {
        // Small frames must not wait for each other.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let config = self.certificates.as_ref().map(|certificates| Arc::clone(&certificates.borrow()));
        let patience = self.header_read_timeout;
        async move {
            let Some(config) = config else { return connection.serve(stream, watcher).await };
            match tokio::time::timeout(patience, TlsAcceptor::from(config).accept(stream)).await {
                Ok(Ok(stream)) => connection.serve(stream, watcher).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        }
    }
}

/// A connection that was accepted.
struct Connection {
    builder: Builder<TokioExecutor>,
    routes: Router,
    peer: IpAddr,
    hops: usize,
    write_timeout: Duration,
}

impl Connection {
    async fn serve<S>(self, stream: S, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (peer, hops) = (self.peer, self.hops);
        let service = self.routes.map_request(move |mut request: Request<Incoming>| {
            let address = client_address(request.headers(), peer, hops);
            request.extensions_mut().insert(ClientAddress(address));
            request.map(Body::new)
        });
        let stream = TokioIo::new(io::bounded(stream, self.write_timeout));
        let connection = self.builder.serve_connection(stream, TowerToHyperService::new(service)).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%error, "a connection ended with an error");
        }
    }
}

/// Calls take milliseconds; what is still open some time after the last connection was taken are watchers, which never
/// end by themselves.
async fn last_calls(mut accepting: watch::Receiver<bool>, mut stopping: watch::Receiver<bool>) {
    stops(&mut accepting).await;
    tokio::select! {
        () = tokio::time::sleep(LAST_CALLS) => {}
        _ = stopping.wait_for(|must| *must) => {}
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
