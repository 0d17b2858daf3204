//! Environment, master key and encryption keys.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::key_hex::read_key;
use super::problem::Problems;
use super::store::Mode;
use crate::vault::{KeyId, Keyring};

/// The ring's name for the one key of `CREDENTIALS_ENCRYPTION_KEY`, and for the one generated in embedded mode.
pub(super) const SINGLE_KEY_ID: &str = "default";
/// A master key shorter than this is refused in production.
const STRONG_CHARS: usize = 32;
/// What documents and examples put in the place of a secret.
const SAMPLES: [&str; 5] = ["replace-with", "replace-me", "change-me", "changeme", "your-master-key"];
const SIXTY_FOUR_HEX: &str = "64 hexadecimal digits, such as `openssl rand -hex 32` prints";
const RING: &str = "a JSON object of key ids (1 to 32 of A-Z a-z 0-9 _ -) and keys of 64 hexadecimal digits each, \
                    without repeated ids";

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Security")]
pub(super) struct Raw {
    /// How strict start-up is about weak secrets: development warns, production refuses; NODE_ENV is read when it is unset
    #[arg(long, value_name = "DEVELOPMENT|PRODUCTION", default_value = "development")]
    gateway_env: String,
    /// The operator's key: visible ASCII, in production 32 characters at least; as a flag, other users of the machine can read it [default: generated into DATA_DIR]
    #[arg(long, value_name = "SECRET")]
    master_key: Option<String>,
    /// Key that provider credentials are encrypted with: 64 hexadecimal digits [default: generated into DATA_DIR]
    #[arg(long, value_name = "SECRET")]
    credentials_encryption_key: Option<String>,
    /// Several encryption keys instead of one, for rotation: a JSON object of key id to 64 hexadecimal digits; CREDENTIALS_ENCRYPTION_KEY and a generated key have the id "default" [default: none]
    #[arg(long, value_name = "SECRETS")]
    encryption_keyring: Option<String>,
    /// Id of the key of ENCRYPTION_KEYRING that encrypts from now on; the others only decrypt [default: none]
    #[arg(long, value_name = "KEY ID")]
    active_encryption_key_id: Option<String>,
}

/// Environment, master key and encryption keys.
#[derive(Debug)]
pub struct Security {
    /// How strict start-up is about weak secrets.
    pub environment: Environment,
    /// `None`: generated, see [`super::secrets`].
    pub master_key: Option<SecretString>,
    /// `None`: generated, see [`super::secrets`].
    pub keyring: Option<Keyring>,
}

/// How strict start-up is about weak secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Weak secrets are warned of.
    Development,
    /// Weak secrets are refused.
    Production,
}

impl Raw {
    pub(super) fn check(&self, mode: Mode, problems: &mut Problems, warnings: &mut Vec<String>) -> Security {
        let environments = [("development", Environment::Development), ("production", Environment::Production)];
        let environment = problems.choice("GATEWAY_ENV", &self.gateway_env, environments);
        let security = Security {
            environment,
            master_key: self.master_key(environment, problems, warnings),
            keyring: self.keyring(problems),
        };
        // Replicas share their secrets; each generating its own would lock them out of each other's data.
        if mode == Mode::Clustered && self.master_key.is_none() {
            problems.refuse("MASTER_KEY", "is required when DATABASE_URL is set");
        }
        if mode == Mode::Clustered && self.credentials_encryption_key.is_none() && self.encryption_keyring.is_none() {
            problems.refuse("CREDENTIALS_ENCRYPTION_KEY", "is required when DATABASE_URL is set");
        }
        security
    }

    fn master_key(
        &self,
        environment: Environment,
        problems: &mut Problems,
        warnings: &mut Vec<String>,
    ) -> Option<SecretString> {
        let given = self.master_key.as_deref()?;
        if !given.bytes().all(|byte| byte.is_ascii_graphic()) {
            problems.refuse("MASTER_KEY", "has a character that is not allowed; allowed: visible ASCII without spaces");
        }
        if given.starts_with("unified-") {
            problems.refuse("MASTER_KEY", "must not start with `unified-`: that is how virtual keys start");
        }
        if let Some(weakness) = weakness_of(given) {
            match environment {
                Environment::Production => problems.refuse("MASTER_KEY", format!("{weakness}; allowed in production: at least {STRONG_CHARS} characters of your own, such as `openssl rand -hex 32` prints")),
                Environment::Development => warnings.push(format!("MASTER_KEY {weakness}: accepted in development, refused in production")),
            }
        }
        Some(given.into())
    }

    fn keyring(&self, problems: &mut Problems) -> Option<Keyring> {
        match (&self.credentials_encryption_key, &self.encryption_keyring) {
            (Some(_), Some(_)) => {
                problems.refuse(
                    "ENCRYPTION_KEYRING",
                    "is given together with CREDENTIALS_ENCRYPTION_KEY; allowed: one of the two (put that key into the \
                     ring as \"default\")",
                );
                None
            }
            (None, Some(ring)) => self.ring(ring, problems),
            (single, None) => {
                if self.active_encryption_key_id.is_some() {
                    problems.refuse("ACTIVE_ENCRYPTION_KEY_ID", "is allowed only together with ENCRYPTION_KEYRING");
                }
                let key = single.as_deref().map(read_key)?;
                if key.is_none() {
                    problems.refuse("CREDENTIALS_ENCRYPTION_KEY", format!("allowed: {SIXTY_FOUR_HEX}"));
                }
                Some(Keyring::single(KeyId::parse(SINGLE_KEY_ID)?, &key?))
            }
        }
    }

    fn ring(&self, text: &str, problems: &mut Problems) -> Option<Keyring> {
        let active = match self.active_encryption_key_id.as_deref() {
            Some(given) => KeyId::parse(given),
            None => None,
        };
        let keys = read_ring(text);
        if keys.is_none() {
            problems.refuse("ENCRYPTION_KEYRING", format!("allowed: {RING}"));
        }
        let known = active.filter(|id| keys.as_ref().is_none_or(|keys| keys.contains_key(id)));
        if known.is_none() {
            let ids: Vec<&str> = keys.iter().flat_map(BTreeMap::keys).map(KeyId::as_str).collect();
            let allowed = format!("the id of one key of ENCRYPTION_KEYRING ({})", ids.join(", "));
            match &self.active_encryption_key_id {
                Some(given) => problems.refuse_given("ACTIVE_ENCRYPTION_KEY_ID", given, allowed),
                None => problems.refuse("ACTIVE_ENCRYPTION_KEY_ID", format!("is required; allowed: {allowed}")),
            }
        }
        Keyring::new(keys?, known?)
    }
}

fn weakness_of(key: &str) -> Option<String> {
    let lower = key.to_ascii_lowercase();
    if SAMPLES.iter().any(|sample| lower.contains(sample)) {
        return Some("is a sample value that everyone knows".to_owned());
    }
    (key.len() < STRONG_CHARS).then(|| format!("is shorter than {STRONG_CHARS} characters"))
}

/// `None` for whatever is wrong: the parser's own words could quote a key.
fn read_ring(text: &str) -> Option<BTreeMap<KeyId, Zeroizing<[u8; 32]>>> {
    let entries: Entries = serde_json::from_str(text).ok()?;
    let mut keys = BTreeMap::new();
    for (id, key) in &entries.0 {
        if keys.insert(KeyId::parse(id)?, read_key(key)?).is_some() {
            return None;
        }
    }
    (!keys.is_empty()).then_some(keys)
}

/// The members of a JSON object in order, repeated names included.
struct Entries(Vec<(String, Zeroizing<String>)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some((id, key)) = map.next_entry::<String, String>()? {
                    entries.push((id, Zeroizing::new(key)));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Members)
    }
}
