//! The base URL of a call: the deployment's or the preset's, with its gaps filled, and with the path of a wire that has one
//! of its own.

use super::endpoint::is_host_alone;
use super::{AddressError, Provider, Root};
use crate::domain::secret::{Credentials, ExposeSecret};

/// The deployment's base URL, or the preset's with the deployment's fields in its gaps.
pub(super) fn of(provider: &Provider, credentials: &Credentials) -> Result<String, AddressError> {
    if let Some(own) = &credentials.base_url {
        return Ok(own.clone());
    }
    let mut rest = provider.base_url.ok_or(AddressError::NoBaseUrl)?;
    let mut filled = String::with_capacity(rest.len() + 32);
    while let Some((before, gap)) = rest.split_once('{') {
        let (name, after) = gap.split_once('}').ok_or(AddressError::BadUrl)?;
        let value = credentials.extra.get(name).ok_or(AddressError::NoBaseUrl)?.expose_secret();
        if value.contains("://") {
            return Ok(value.trim_end_matches('/').to_owned());
        }
        filled.push_str(before);
        filled.push_str(checked(value)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// A value that becomes part of a URL without changing its shape.
fn checked(value: &str) -> Result<&str, AddressError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !value.is_empty() && value.bytes().all(is_plain) { Ok(value) } else { Err(AddressError::BadUrl) }
}

/// A base URL with the path of a wire that has one of its own. A bare host gets the path, and so does a base that ends
/// where another wire of the provider begins; any other is taken as it is.
pub(super) fn rooted(base: String, root: Option<&Root>, provider: &Provider) -> String {
    let Some(root) = root.filter(|root| !base.ends_with(root.path)) else { return base };
    if is_host_alone(&base) {
        return format!("{base}{}", root.path);
    }
    if base.ends_with("/openai") && root.path.starts_with("/openai/") {
        return format!("{base}/v1");
    }
    let main = provider.transports.first().and_then(|(_, transports)| transports.first());
    let beside = (main != Some(&root.transport)).then_some("/v1");
    let ends = provider.roots.iter().map(|other| other.path).chain(beside);
    match ends.filter_map(|end| base.strip_suffix(end)).min_by_key(|host| host.len()) {
        Some(host) => format!("{host}{}", root.path),
        None => base,
    }
}

/// The query of every call: the version of the API where a deployment states one.
pub(super) fn query(credentials: &Credentials) -> Result<String, AddressError> {
    match credentials.extra.get("apiVersion") {
        Some(version) => Ok(format!("?api-version={}", checked(version.expose_secret())?)),
        None => Ok(String::new()),
    }
}
