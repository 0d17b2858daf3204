//! How a connection is made: resolver with the egress guard, optional proxy, TLS, one deadline over all of it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use super::line::{Connects, Line};
use crate::domain::address::{is_forbidden_address, is_forbidden_host};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;
type Tcp = TokioIo<TcpStream>;

/// Resolves names and drops the addresses that may never be called.
#[derive(Clone, Debug)]
pub(super) struct GuardedResolver(GaiResolver);

impl Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.call(name);
        Box::pin(async move {
            let allowed: Vec<SocketAddr> =
                resolving.await?.filter(|address| !is_forbidden_address(address.ip())).collect();
            if allowed.is_empty() {
                return Err("the name resolves to no address that may be called".into());
            }
            Ok(allowed.into_iter())
        })
    }
}

/// TCP to the host itself, or through the proxy that the environment names for it.
#[derive(Clone, Debug)]
pub(super) struct MaybeProxied {
    direct: HttpConnector<GuardedResolver>,
    proxies: Arc<Matcher>,
}

impl Service<Uri> for MaybeProxied {
    type Response = Tcp;
    type Error = BoxError;
    type Future = BoxFuture<Tcp>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let is_https = uri.scheme_str() == Some("https");
        let proxy = if is_https { self.proxies.intercept(&uri) } else { None };
        let mut direct = self.direct.clone();
        Box::pin(async move {
            let Some(proxy) = proxy else { return Ok(direct.call(uri).await?) };
            let mut tunnel = Tunnel::new(proxy.uri().clone(), direct);
            if let Some(auth) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(auth.clone());
            }
            tunnel.call(uri).await.map_err(|error| -> BoxError { error.to_string().into() })
        })
    }
}

/// The connector of the pool.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<MaybeProxied>,
    within: Duration,
    connects: Arc<Connects>,
}

impl Connector {
    /// What became of its connections.
    pub(super) fn connects(&self) -> Arc<Connects> {
        Arc::clone(&self.connects)
    }

    pub(super) fn new(tls: rustls::ClientConfig, within: Duration) -> Self {
        let mut direct = HttpConnector::new_with_resolver(GuardedResolver(GaiResolver::new()));
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_keepalive(Some(Duration::from_secs(60)));
        let inner = MaybeProxied { direct, proxies: Arc::new(Matcher::from_env()) };
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(inner);
        Self { https, within, connects: Arc::default() }
    }
}

impl Service<Uri> for Connector {
    type Response = Line<MaybeHttpsStream<Tcp>>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // An address literal never reaches the resolver.
        if uri.host().is_none_or(is_forbidden_host) {
            return Box::pin(async { Err("this host may not be called".into()) });
        }
        let connecting = self.https.call(uri);
        let (within, connects) = (self.within, Arc::clone(&self.connects));
        Box::pin(async move {
            let late = |_| -> BoxError { io::Error::from(io::ErrorKind::TimedOut).into() };
            let connecting = async { tokio::time::timeout(within, connecting).await.map_err(late)? };
            let connected = connects.count(connecting).await?;
            Ok(Line::open(connected, connects))
        })
    }
}
