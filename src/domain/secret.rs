//! Secrets and the credentials of a deployment. `Debug` prints nothing of them; memory is wiped on drop.

use std::collections::BTreeMap;
use std::fmt;

pub use secrecy::{ExposeSecret, SecretString};

/// What a deployment needs to call its provider, decrypted. Lives in the snapshot and nowhere else.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The provider API key.
    pub api_key: Option<SecretString>,
    /// Overrides the preset's base URL. Checked: absolute `http`/`https`, no user info, query or fragment, no trailing `/`.
    pub base_url: Option<String>,
    /// Extra headers for every call to the provider. Names are lower case.
    pub headers: BTreeMap<String, SecretString>,
    /// Preset-specific fields by their camelCase name, such as `apiVersion`.
    pub extra: BTreeMap<String, SecretString>,
}

impl Credentials {
    /// Names of the fields that are set, sorted: `apiKey`, `baseUrl`, `headers.x-title`, `apiVersion`.
    #[must_use]
    pub fn field_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        if self.api_key.is_some() {
            names.push("apiKey".to_owned());
        }
        if self.base_url.is_some() {
            names.push("baseUrl".to_owned());
        }
        names.extend(self.headers.keys().map(|name| format!("headers.{name}")));
        names.extend(self.extra.keys().cloned());
        names.sort();
        names
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

/// Credentials as they are stored: an encrypted envelope, and the names of the fields inside.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCredentials {
    /// The envelope, see [`crate::vault`]. Bound to the deployment's id.
    pub envelope: Vec<u8>,
    /// [`Credentials::field_names`] of what is inside.
    pub fields: Vec<String>,
}

impl fmt::Debug for SealedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedCredentials").field("fields", &self.fields).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_and_names_are_listed() {
        let credentials = Credentials {
            api_key: Some("sk-very-secret".into()),
            headers: BTreeMap::from([("x-org".to_owned(), "hidden".into())]),
            ..Credentials::default()
        };
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("secret") && !shown.contains("hidden"));
        assert_eq!(credentials.field_names(), ["apiKey", "headers.x-org"]);
    }
}
