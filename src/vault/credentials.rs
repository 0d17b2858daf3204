//! Credentials of a deployment, into an envelope and out of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{Entropy, Keyring, Purpose, VaultError};
use crate::domain::ids::DeploymentId;
use crate::domain::secret::{Credentials, ExposeSecret, SealedCredentials, SecretString};

/// The JSON inside an envelope. Fields are only ever added.
#[derive(Serialize, Deserialize)]
struct Plain {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, String>,
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.api_key.zeroize();
        self.headers.values_mut().chain(self.extra.values_mut()).for_each(Zeroize::zeroize);
    }
}

/// Seals the credentials of one deployment.
///
/// # Errors
/// [`VaultError`] when they cannot be encrypted.
pub fn seal_credentials(
    keyring: &Keyring,
    id: DeploymentId,
    credentials: &Credentials,
    entropy: &dyn Entropy,
) -> Result<SealedCredentials, VaultError> {
    let expose = |map: &BTreeMap<String, SecretString>| {
        map.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
    };
    let plain = Plain {
        api_key: credentials.api_key.as_ref().map(|key| key.expose_secret().to_owned()),
        base_url: credentials.base_url.clone(),
        headers: expose(&credentials.headers),
        extra: expose(&credentials.extra),
    };
    let json = Zeroizing::new(serde_json::to_vec(&plain).map_err(|_| VaultError::Garbled)?);
    let envelope = keyring.seal(Purpose::DeploymentCredentials, id.as_uuid().as_bytes(), &json, entropy)?;
    Ok(SealedCredentials { envelope, fields: credentials.field_names() })
}

/// Opens the credentials of one deployment.
///
/// # Errors
/// [`VaultError`] when the envelope is not this deployment's, or not readable.
pub fn open_credentials(
    keyring: &Keyring,
    id: DeploymentId,
    sealed: &SealedCredentials,
) -> Result<Credentials, VaultError> {
    let json = keyring.open(Purpose::DeploymentCredentials, id.as_uuid().as_bytes(), &sealed.envelope)?;
    let mut plain: Plain = serde_json::from_slice(&json).map_err(|_| VaultError::Garbled)?;
    let hide = |map: BTreeMap<String, String>| {
        map.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect()
    };
    Ok(Credentials {
        api_key: plain.api_key.take().map(SecretString::from),
        base_url: plain.base_url.take(),
        headers: hide(std::mem::take(&mut plain.headers)),
        extra: hide(std::mem::take(&mut plain.extra)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{KeyId, SystemEntropy};
    use uuid::Uuid;

    #[test]
    fn credentials_survive_the_envelope_and_stay_in_their_row() {
        let keyring = Keyring::single(KeyId::parse("k1").unwrap(), &Zeroizing::new([7; 32]));
        let (here, there) = (DeploymentId::from_uuid(Uuid::from_u128(1)), DeploymentId::from_uuid(Uuid::from_u128(2)));
        let credentials = Credentials {
            api_key: Some("sk-1".into()),
            base_url: Some("https://example.com/v1".to_owned()),
            headers: BTreeMap::from([("x-title".to_owned(), "t".into())]),
            extra: BTreeMap::from([("apiVersion".to_owned(), "v1".into())]),
        };
        let sealed = seal_credentials(&keyring, here, &credentials, &SystemEntropy).unwrap();
        assert_eq!(sealed.fields, ["apiKey", "apiVersion", "baseUrl", "headers.x-title"]);
        let opened = open_credentials(&keyring, here, &sealed).unwrap();
        assert_eq!(opened.api_key.unwrap().expose_secret(), "sk-1");
        assert_eq!(opened.base_url.as_deref(), Some("https://example.com/v1"));
        assert_eq!(opened.headers["x-title"].expose_secret(), "t");
        assert_eq!(opened.extra["apiVersion"].expose_secret(), "v1");
        assert!(open_credentials(&keyring, there, &sealed).is_err());
    }
}
