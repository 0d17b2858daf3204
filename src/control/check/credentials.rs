//! Credentials against what a preset takes.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};

use super::{Problems, address};
use crate::domain::preset::Preset;
use crate::domain::secret::{Credentials, ExposeSecret, SecretString};

const MAX_HEADERS: usize = 32;
const MAX_SECRET_BYTES: usize = 8 * 1024;

/// Headers that describe the connection or the body, or that the preset sets itself.
const RESERVED: [&str; 13] = [
    "accept-encoding",
    "authorization",
    "connection",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks credentials against a preset and answers them normalised: header names in lower case, no trailing slash.
pub(in crate::control) fn check(mut given: Credentials, preset: &Preset, problems: &mut Problems) -> Credentials {
    check_fields(&given, preset, problems);
    if let Some(key) = &given.api_key {
        problems.check("credentials.apiKey", check_secret(key));
    }
    if let Some(written) = given.base_url.take() {
        match address::base_url(&written) {
            Ok(url) => given.base_url = Some(url),
            Err(description) => problems.add("credentials.baseUrl", description),
        }
    }
    given.headers = check_headers(std::mem::take(&mut given.headers), problems);
    for (name, value) in &given.extra {
        let field = format!("credentials.{name}");
        // One sentence per field: a field that is not taken needs no opinion on its value.
        if !problems.concern(&field) {
            problems.check(&field, check_secret(value));
        }
    }
    given
}

/// Whether a deployment of this preset can do without any credentials.
pub(in crate::control) fn none_needed(preset: &Preset) -> bool {
    preset.credentials.iter().all(|field| !field.required)
}

fn check_fields(given: &Credentials, preset: &Preset, problems: &mut Problems) {
    let mut allowed: Vec<&str> = preset.credentials.iter().map(|field| field.name).collect();
    // Whatever is called over the network can be called elsewhere and with more headers.
    if preset.default_base_url.is_some() || allowed.contains(&"baseUrl") {
        allowed.extend(["baseUrl", "headers"].into_iter().filter(|name| !preset_takes(preset, name)));
    }
    allowed.sort_unstable();
    for name in top_level_names(given) {
        if !allowed.contains(&name) {
            let description = match allowed.is_empty() {
                true => format!("is not taken by `{}`, which takes no credentials", preset.name),
                false => format!("is not taken by `{}`; it takes: {}", preset.name, allowed.join(", ")),
            };
            problems.add(format!("credentials.{name}"), description);
        }
    }
    let stated = top_level_names(given);
    // Gaps in the preset's base URL have to be filled where no other one is stated.
    if given.base_url.is_none() {
        for name in gaps(preset).filter(|name| !stated.contains(name)) {
            let what = preset.credentials.iter().find(|field| field.name == name).map_or("", |field| field.description);
            problems.add(format!("credentials.{name}"), format!("is required by `{}`: {what}", preset.name));
        }
    }
    for field in preset.credentials.iter().filter(|field| field.required && !stated.contains(&field.name)) {
        let description = format!("is required by `{}`: {}", preset.name, field.description);
        problems.add(format!("credentials.{}", field.name), description);
    }
}

/// Names of the credential fields in `{…}` of a preset's base URL.
fn gaps(preset: &Preset) -> impl Iterator<Item = &'static str> {
    let parts = preset.default_base_url.unwrap_or_default().split('{').skip(1);
    parts.filter_map(|part| part.split_once('}')).map(|(name, _)| name)
}

fn preset_takes(preset: &Preset, name: &str) -> bool {
    preset.credentials.iter().any(|field| field.name == name)
}

fn top_level_names(given: &Credentials) -> Vec<&str> {
    let mut names: Vec<&str> = given.extra.keys().map(String::as_str).collect();
    names.extend(given.api_key.is_some().then_some("apiKey"));
    names.extend(given.base_url.is_some().then_some("baseUrl"));
    names.extend((!given.headers.is_empty()).then_some("headers"));
    names
}

/// Every secret may end up in a header or a URL.
fn check_secret(value: &SecretString) -> Result<(), String> {
    let text = value.expose_secret();
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if text.len() > MAX_SECRET_BYTES {
        return Err(format!("must be at most {MAX_SECRET_BYTES} bytes"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') || text.trim() != text {
        return Err("must be visible ASCII without spaces or line breaks at its ends".to_owned());
    }
    Ok(())
}

fn check_headers(given: BTreeMap<String, SecretString>, problems: &mut Problems) -> BTreeMap<String, SecretString> {
    if given.len() > MAX_HEADERS {
        problems.add("credentials.headers", format!("must be at most {MAX_HEADERS}, are {}", given.len()));
        return BTreeMap::new();
    }
    let mut kept = BTreeMap::new();
    for (written, value) in given {
        let field = format!("credentials.headers.{written}");
        let name = written.to_ascii_lowercase();
        if let Err(description) = check_header(&name, &value) {
            problems.add(field, description);
        } else if kept.insert(name, value).is_some() {
            problems.add(field, "is stated twice; the case of letters does not matter in a header's name");
        }
    }
    kept
}

fn check_header(name: &str, value: &SecretString) -> Result<(), String> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err("is not a valid header name".to_owned());
    }
    if RESERVED.contains(&name) || name.starts_with("content-") {
        return Err("is set by the gateway itself and cannot be overridden".to_owned());
    }
    let text = value.expose_secret();
    if text.len() > MAX_SECRET_BYTES || HeaderValue::from_str(text).is_err() {
        return Err(format!("must have a value of at most {MAX_SECRET_BYTES} visible ASCII characters"));
    }
    Ok(())
}
