//! Who we call: address, authentication, and what a provider's errors mean. No provider knows a JSON field.
//!
//! Most providers are a row of data. [`find`] and [`presets`] are the registry.

mod compatible;
pub mod echo;
mod endpoint;
pub mod judge;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

pub use endpoint::Endpoint;
pub use judge::{FailureClass, Verdict};

use crate::domain::operation::{Operation, Transport};
use crate::domain::preset::{CredentialField, Preset};
use crate::domain::secret::{Credentials, ExposeSecret};
use crate::transport::Outgoing;

/// How a provider is told who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `authorization: Bearer <apiKey>`; left out when there is no key.
    Bearer,
    /// The key in a header of this name; left out when there is no key.
    Header(&'static str),
    /// Nothing is sent anywhere.
    None,
}

/// One provider preset.
#[derive(Debug)]
pub struct Provider {
    /// The word in a deployment's `provider`.
    pub name: &'static str,
    /// The adapter behind it.
    pub adapter: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Where it is, without a trailing `/`; the deployment's `baseUrl` overrides it.
    pub base_url: Option<&'static str>,
    /// How it is told who we are.
    pub auth: Auth,
    /// What a deployment states.
    pub credentials: &'static [CredentialField],
    /// What it serves and how; the first transport is the default.
    pub transports: &'static [(Operation, &'static [Transport])],
    /// Wire shapes that not every server behind the preset speaks: used only where a deployment pins them.
    pub by_pin_only: &'static [Transport],
    /// Whether models outside the catalog need a `catalogEntry`.
    pub requires_known_model: bool,
    /// Whether it knows `max_tokens` only, the older name of `max_completion_tokens`.
    pub wants_max_tokens: bool,
    /// Whether it knows `top_k`, which is no field of OpenAI's.
    pub takes_top_k: bool,
    /// Headers of every call, unless the client or the deployment sends its own.
    pub headers: &'static [(&'static str, &'static str)],
    /// What its errors mean, where the common rules are wrong.
    pub rules: &'static [judge::Rule],
}

const API_KEY: CredentialField =
    CredentialField { name: "apiKey", required: true, description: "API key of the provider" };
const API_KEY_IF_NEEDED: CredentialField =
    CredentialField { name: "apiKey", required: false, description: "API key, if the server asks for one" };
const BASE_URL: CredentialField = CredentialField {
    name: "baseUrl",
    required: false,
    description: "Overrides the preset's base URL, up to and without the endpoint path",
};
const BASE_URL_REQUIRED: CredentialField = CredentialField {
    name: "baseUrl",
    required: true,
    description: "Base URL of the server, up to and without the endpoint path, such as http://localhost:8000/v1",
};

/// All providers.
fn registry() -> impl Iterator<Item = &'static Provider> {
    compatible::HOSTS.iter().chain(std::iter::once(&echo::PROVIDER))
}

/// One provider by the word in a deployment's `provider`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Provider> {
    registry().find(|provider| provider.name == name)
}

/// What the presets ask and offer, for the catalog.
#[must_use]
pub fn presets() -> Vec<Preset> {
    let preset = |provider: &Provider| Preset {
        name: provider.name,
        adapter: provider.adapter,
        title: provider.title,
        default_base_url: provider.base_url,
        credentials: provider.credentials,
        transports: provider
            .transports
            .iter()
            .map(|(operation, shapes)| (*operation, shapes.to_vec()))
            .collect::<BTreeMap<_, _>>(),
        by_pin_only: provider.by_pin_only,
        requires_known_model: provider.requires_known_model,
    };
    registry().map(preset).collect()
}

/// Why a request cannot be addressed. A fault of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither the preset nor the deployment has a base URL.
    #[error("there is no base URL")]
    NoBaseUrl,
    /// The base URL is not one.
    #[error("the base URL is not valid")]
    BadUrl,
    /// A credential or header cannot be sent.
    #[error("a credential holds characters that cannot be sent in a header")]
    BadHeader,
    /// This provider has no endpoint for the wire shape.
    #[error("the provider has no endpoint for this wire shape")]
    NoEndpoint,
}

/// Addresses one call.
///
/// `forwarded` are the client's own headers that may pass up; the deployment's headers override them.
///
/// # Errors
/// [`AddressError`], which blames the configuration.
pub fn address(
    provider: &Provider,
    credentials: &Credentials,
    endpoint: Endpoint<'_>,
    forwarded: &HeaderMap,
    body: Vec<Bytes>,
) -> Result<Outgoing, AddressError> {
    let base = credentials.base_url.as_deref().or(provider.base_url).ok_or(AddressError::NoBaseUrl)?;
    let uri: Uri = endpoint.url(base).ok_or(AddressError::NoEndpoint)?.parse().map_err(|_| AddressError::BadUrl)?;
    let mut headers = HeaderMap::with_capacity(8 + credentials.headers.len());
    for (name, value) in provider.headers {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.extend(forwarded.iter().map(|(name, value)| (name.clone(), value.clone())));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    // Compressed event streams arrive in lumps, and a scanner needs the plain bytes.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("unified-gateway/", env!("CARGO_PKG_VERSION"))));
    match (provider.auth, &credentials.api_key) {
        (Auth::Bearer, Some(key)) => {
            headers.insert(AUTHORIZATION, secret_header(&format!("Bearer {}", key.expose_secret()))?);
        }
        (Auth::Header(name), Some(key)) => {
            headers.insert(HeaderName::from_static(name), secret_header(key.expose_secret())?);
        }
        (Auth::Bearer | Auth::Header(_), None) | (Auth::None, _) => {}
    }
    for (name, value) in &credentials.headers {
        let name: HeaderName = name.parse().map_err(|_| AddressError::BadHeader)?;
        headers.insert(name, secret_header(value.expose_secret())?);
    }
    Ok(Outgoing { method: Method::POST, uri, headers, body })
}

/// The same call to an endpoint below its own, such as `/count_tokens`.
///
/// # Errors
/// [`AddressError::BadUrl`].
pub fn below(mut outgoing: Outgoing, path: &str) -> Result<Outgoing, AddressError> {
    let uri = outgoing.uri.to_string();
    let (endpoint, query) = uri.split_once('?').map_or((uri.as_str(), None), |(path, query)| (path, Some(query)));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    outgoing.uri = format!("{endpoint}{path}{query}").parse().map_err(|_| AddressError::BadUrl)?;
    Ok(outgoing)
}

fn secret_header(text: &str) -> Result<HeaderValue, AddressError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| AddressError::BadHeader)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn to(transport: Transport) -> Endpoint<'static> {
        Endpoint { transport, model: "up/model 1", is_stream: false }
    }

    fn credentials(base_url: Option<&str>) -> Credentials {
        Credentials {
            api_key: Some("sk-1".into()),
            base_url: base_url.map(str::to_owned),
            headers: BTreeMap::from([("x-title".to_owned(), "mine".into())]),
            ..Credentials::default()
        }
    }

    #[test]
    fn every_preset_has_a_name_of_its_own() {
        let names: BTreeSet<_> = registry().map(|provider| provider.name).collect();
        assert_eq!(names.len(), registry().count());
        assert!(registry().all(|provider| !provider.transports.is_empty()));
    }

    #[test]
    fn a_call_is_addressed_with_our_headers_and_the_deployments() {
        let openai = find("openai").unwrap();
        let mut forwarded = HeaderMap::new();
        forwarded.insert("openai-beta", HeaderValue::from_static("x=1"));
        forwarded.insert("x-title", HeaderValue::from_static("theirs"));
        let call = address(openai, &credentials(None), to(Transport::ChatCompletions), &forwarded, Vec::new()).unwrap();
        assert_eq!(call.uri, "https://api.openai.com/v1/chat/completions");
        assert_eq!(call.headers["authorization"], "Bearer sk-1");
        assert!(call.headers["authorization"].is_sensitive());
        assert_eq!(call.headers["x-title"], "mine");
        assert_eq!(call.headers["openai-beta"], "x=1");
        assert_eq!(call.headers["accept-encoding"], "identity");
        let own = credentials(Some("http://127.0.0.1:9/v1"));
        let call = address(openai, &own, to(Transport::ChatCompletions), &HeaderMap::new(), Vec::new()).unwrap();
        assert_eq!(call.uri, "http://127.0.0.1:9/v1/chat/completions");
    }

    #[test]
    fn what_cannot_be_addressed_is_a_fault_of_the_configuration() {
        let generic = find("openaicompatible").unwrap();
        let take = |credentials: &Credentials, transport| {
            address(generic, credentials, to(transport), &HeaderMap::new(), Vec::new()).err()
        };
        assert_eq!(take(&credentials(None), Transport::ChatCompletions), Some(AddressError::NoBaseUrl));
        assert_eq!(take(&credentials(Some("http://h")), Transport::Videos), Some(AddressError::NoEndpoint));
        let mut bad = credentials(Some("http://h"));
        bad.api_key = Some("line\nfeed".into());
        assert_eq!(take(&bad, Transport::ChatCompletions), Some(AddressError::BadHeader));
    }
}
