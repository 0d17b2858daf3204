//! Fetches what a client's request names by URL. The address is a stranger's, so nothing of it is trusted: `https` only,
//! public addresses only, judged for every answer of the resolver and on every hop, and connected to as judged; no proxy,
//! no credentials; bounded in bytes, time and redirects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tower::Service;
use url::{Host, Url};

use super::body::{ChunkedRequestBody, Pieces, ReadError, Reply};
use super::client::{ClientSettings, tls_config};
use crate::domain::address::{is_forbidden_host, is_public_address};
use crate::fault::Outcome;

/// How long one fetch may take, redirects and waiting for a place included.
const WITHIN: Duration = Duration::from_secs(15);
const MAX_REDIRECTS: usize = 3;
const MAX_URL_BYTES: usize = 8 * 1024;
/// Fetches at a time, over all requests: a bound for memory.
const MAX_FETCHES: usize = 16;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why nothing was fetched. None of them tells a host or an address.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Not an absolute `https` URL without credentials in it.
    #[error("it is not an https URL that can be fetched")]
    BadUrl,
    /// It leads to an address that is not of the public Internet.
    #[error("it does not lead to a public address")]
    NotPublic,
    /// No connection, or it broke.
    #[error("its server cannot be reached")]
    Unreachable(#[source] BoxError),
    /// Another status than 200; redirects that lead nowhere count.
    #[error("its server answered with status {0}")]
    Status(u16),
    /// More redirects than are followed.
    #[error("it redirects more than {MAX_REDIRECTS} times")]
    TooManyRedirects,
    /// More bytes than are read.
    #[error("it is too large")]
    TooLarge,
    /// Not all of it came in time.
    #[error("it took longer than {} seconds", WITHIN.as_secs())]
    TimedOut,
}

/// Names and addresses of tests: who is where, and which addresses may be called though they are not public.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Addresses of names, instead of the resolver's. The port is taken when the URL has none.
    pub names: BTreeMap<String, Vec<SocketAddr>>,
    /// Addresses that may be called.
    pub allowed: BTreeSet<IpAddr>,
    /// Time for one fetch, instead of the usual.
    pub within: Option<Duration>,
}

impl Places {
    fn may_call(&self, address: IpAddr) -> bool {
        is_public_address(address) || self.allowed.contains(&address)
    }
}

/// The marker of a refused address in the chain of a connection's error.
#[derive(Debug, thiserror::Error)]
#[error("an address that is not public")]
struct NotPublicAddress;

/// Resolves names and refuses those that have any address that is not public. The connection goes to what it answers.
#[derive(Clone)]
struct PublicResolver {
    system: GaiResolver,
    places: Arc<Places>,
}

impl Service<Name> for PublicResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.system.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let places = Arc::clone(&self.places);
        let known = places.names.get(name.as_str()).cloned();
        let mut system = self.system.clone();
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = match known {
                Some(known) => known,
                None => system.call(name).await?.collect(),
            };
            if addresses.iter().any(|address| !places.may_call(address.ip())) {
                return Err(NotPublicAddress.into());
            }
            Ok(addresses.into_iter())
        })
    }
}

/// Fetches content. Cloning shares it.
#[derive(Clone)]
pub struct RemoteContent {
    client: Client<HttpsConnector<HttpConnector<PublicResolver>>, ChunkedRequestBody>,
    turns: Arc<Semaphore>,
    places: Arc<Places>,
}

impl fmt::Debug for RemoteContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteContent")
    }
}

impl RemoteContent {
    /// Trusts the certificate authorities that providers are called with. `places` is empty but in tests: no setting
    /// leads to it.
    ///
    /// # Errors
    /// `Internal`, saying what is wrong with the CA file.
    pub fn new(settings: &ClientSettings, places: Places) -> Outcome<Self> {
        let places = Arc::new(places);
        let resolver = PublicResolver { system: GaiResolver::new(), places: Arc::clone(&places) };
        let mut direct = HttpConnector::new_with_resolver(resolver);
        direct.enforce_http(false);
        direct.set_connect_timeout(Some(settings.connect_timeout));
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(settings)?)
            .https_only()
            .enable_http1()
            .wrap_connector(direct);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(64 * 1024)
            .build(https);
        Ok(Self { client, turns: Arc::new(Semaphore::new(MAX_FETCHES)), places })
    }

    /// All of what is at `url`, if it has at most `cap` bytes.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn fetch(&self, url: &str, cap: usize) -> Result<Bytes, RemoteError> {
        let within = self.places.within.unwrap_or(WITHIN);
        let fetching = async {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await.map_err(|error| RemoteError::Unreachable(error.into()))?;
            self.follow(url, cap, within).await
        };
        tokio::time::timeout(within, fetching).await.unwrap_or(Err(RemoteError::TimedOut))
    }

    async fn follow(&self, url: &str, cap: usize, within: Duration) -> Result<Bytes, RemoteError> {
        let mut url = self.judge(url, None)?;
        for _ in 0..=MAX_REDIRECTS {
            let mut reply = self.get(&url).await?;
            match reply.status.as_u16() {
                200 => {}
                status @ (301 | 302 | 303 | 307 | 308) => {
                    let location = reply.headers.get(LOCATION).and_then(|location| location.to_str().ok());
                    url = self.judge(location.ok_or(RemoteError::Status(status))?, Some(&url))?;
                    continue;
                }
                status => return Err(RemoteError::Status(status)),
            }
            if reply.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
                return Err(RemoteError::Unreachable("compressed though identity was asked for".into()));
            }
            let length = reply.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
            if length.is_some_and(|length| length > cap as u64) {
                return Err(RemoteError::TooLarge);
            }
            return reply.read_capped(cap, within).await.map_err(|error| match error {
                ReadError::TooLarge(_) => RemoteError::TooLarge,
                ReadError::Stalled => RemoteError::TimedOut,
                ReadError::Cut(cause) => RemoteError::Unreachable(cause),
            });
        }
        Err(RemoteError::TooManyRedirects)
    }

    /// Reads a URL and judges what can be judged before the resolver is asked. An address literal never reaches it.
    fn judge(&self, url: &str, base: Option<&Url>) -> Result<Url, RemoteError> {
        if url.len() > MAX_URL_BYTES {
            return Err(RemoteError::BadUrl);
        }
        let url = base.map_or_else(|| Url::parse(url), |base| base.join(url)).map_err(|_| RemoteError::BadUrl)?;
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return Err(RemoteError::BadUrl);
        }
        let may_call = match url.host() {
            None => return Err(RemoteError::BadUrl),
            Some(Host::Domain(name)) => !is_forbidden_host(name),
            Some(Host::Ipv4(v4)) => self.places.may_call(v4.into()),
            Some(Host::Ipv6(v6)) => self.places.may_call(v6.into()),
        };
        if may_call { Ok(url) } else { Err(RemoteError::NotPublic) }
    }

    async fn get(&self, url: &Url) -> Result<Reply, RemoteError> {
        let mut target = url.clone();
        target.set_fragment(None);
        let uri: Uri = target.as_str().parse().map_err(|_| RemoteError::BadUrl)?;
        let mut request = Request::new(ChunkedRequestBody::new(Pieces::default(), Arc::new(AtomicBool::new(false))));
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers();
        self.client.request(request).await.map(Reply::new).map_err(|error| {
            if is_not_public(&error) { RemoteError::NotPublic } else { RemoteError::Unreachable(error.into()) }
        })
    }
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("unified-gateway/", env!("CARGO_PKG_VERSION"))));
    headers
}

fn is_not_public(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if cause.is::<NotPublicAddress>() {
            return true;
        }
        next = cause.source();
    }
    false
}

#[cfg(test)]
mod tests;
