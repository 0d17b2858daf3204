//! Who we call: address, authentication, and what a provider's errors mean. No provider knows a JSON field.
//!
//! Most providers are a row of data. [`find`] and [`presets`] are the registry.

mod base;
mod compatible;
mod content;
mod conventional;
pub mod echo;
mod endpoint;
pub mod judge;
mod rows;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

pub use content::{Named, reads_url, takes_files};
pub use conventional::conventional_name;
pub use endpoint::Endpoint;
pub use judge::{FailureClass, Verdict};

use crate::dialects::media::MediaWays;
use crate::dialects::openai_chat::Quirks;
use crate::dialects::question::Ways;
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

/// Where a wire begins at hosts whose wires do not share a base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// The wire.
    pub transport: Transport,
    /// Its path below the host, such as `/openai/v1`.
    pub path: &'static str,
    /// How it is told who we are, where otherwise than the provider's `auth`.
    pub auth: Option<Auth>,
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
    /// Where it is, without a trailing `/`; the deployment's `baseUrl` overrides it. `{name}` stands for the credential
    /// field of that name, which may also be a whole URL.
    pub base_url: Option<&'static str>,
    /// Paths of wires that have one of their own.
    pub roots: &'static [Root],
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
    /// What it makes of the Chat Completions wire.
    pub quirks: Quirks,
    /// What it makes of embeddings and rerankings.
    pub ways: Ways,
    /// What it makes of sound and pictures.
    pub media: MediaWays,
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
    compatible::TABLES.iter().copied().flatten().chain(std::iter::once(&echo::PROVIDER))
}

/// One provider by the word in a deployment's `provider`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Provider> {
    registry().find(|provider| provider.name == name)
}

/// What the presets ask and offer, for the catalog.
#[must_use]
pub fn presets() -> Vec<Preset> {
    registry().map(preset).collect()
}

fn preset(provider: &Provider) -> Preset {
    let transports = provider.transports.iter().map(|(operation, shapes)| (*operation, shapes.to_vec()));
    Preset {
        name: provider.name,
        adapter: provider.adapter,
        title: provider.title,
        default_base_url: provider.base_url,
        credentials: provider.credentials,
        transports: transports.collect::<BTreeMap<_, _>>(),
        by_pin_only: provider.by_pin_only,
        requires_known_model: provider.requires_known_model,
    }
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
    let transport = endpoint.transport;
    let root = provider.roots.iter().find(|root| root.transport == transport);
    let base = base::rooted(base::of(provider, credentials)?, root, provider);
    let url = endpoint.url(&base).ok_or(AddressError::NoEndpoint)?;
    let uri: Uri = format!("{url}{}", base::query(credentials)?).parse().map_err(|_| AddressError::BadUrl)?;
    let mut headers = HeaderMap::with_capacity(8 + credentials.headers.len());
    if transport == Transport::Messages {
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    }
    for (name, value) in provider.headers {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.extend(forwarded.iter().map(|(name, value)| (name.clone(), value.clone())));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    // Compressed event streams arrive in lumps, and a scanner needs the plain bytes.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("unified-gateway/", env!("CARGO_PKG_VERSION"))));
    match (root.and_then(|root| root.auth).unwrap_or(provider.auth), &credentials.api_key) {
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
    Ok(Outgoing { method: Method::POST, uri, headers, body: body.into() })
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

/// The same call to the endpoint beside its own, such as `translations` beside `transcriptions`.
///
/// # Errors
/// [`AddressError::BadUrl`].
pub fn beside(mut outgoing: Outgoing, name: &str) -> Result<Outgoing, AddressError> {
    let uri = outgoing.uri.to_string();
    let (endpoint, query) = uri.split_once('?').map_or((uri.as_str(), None), |(path, query)| (path, Some(query)));
    let (folder, _) = endpoint.rsplit_once('/').ok_or(AddressError::BadUrl)?;
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    outgoing.uri = format!("{folder}/{name}{query}").parse().map_err(|_| AddressError::BadUrl)?;
    Ok(outgoing)
}

fn secret_header(text: &str) -> Result<HeaderValue, AddressError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| AddressError::BadHeader)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod matrix_of_media;
#[cfg(test)]
mod tests;
