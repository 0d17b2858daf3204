//! Who calls, and what they may.

use std::sync::Arc;

use super::Gateway;
use crate::fault::{Fault, Kind, Outcome};
use crate::routing::{KeyEntry, Snapshot};
use crate::vault::{VIRTUAL_KEY_PREFIX, hash_key, looks_like_virtual_key};

/// Who calls.
#[derive(Debug, Clone)]
pub enum Caller {
    /// The operator: no scope, no limits.
    Master,
    /// An application.
    Key(Arc<KeyEntry>),
}

impl Caller {
    /// Checks the scope.
    ///
    /// # Errors
    /// `ModelNotAllowed`.
    pub fn check_model(&self, public_model: &str) -> Outcome<()> {
        match self {
            Self::Key(key) if !key.allows(public_model) => {
                let shown: String = public_model.chars().take(100).collect();
                let sentence = format!("This API key may not call the model `{shown}`.");
                Err(Fault::new(Kind::ModelNotAllowed).param("model").say(sentence))
            }
            Self::Key(_) | Self::Master => Ok(()),
        }
    }

    /// Whether a model is visible to the caller.
    #[must_use]
    pub fn sees(&self, public_model: &str) -> bool {
        match self {
            Self::Master => true,
            Self::Key(key) => key.allows(public_model),
        }
    }
}

impl Gateway {
    /// Finds out who calls from the credentials of a request, one per header that can carry one.
    ///
    /// Clients with several environment variables send several headers: those that are not ours are ignored.
    ///
    /// # Errors
    /// `Unauthenticated`, the same for a missing, unknown, disabled and expired key; `BadRequest` when two different
    /// credentials of ours are presented.
    pub fn authenticate(&self, snapshot: &Snapshot, presented: &[&str]) -> Outcome<Caller> {
        let is_ours = |text: &&str| text.starts_with(VIRTUAL_KEY_PREFIX) || self.parts.master_key.matches(text);
        let mut ours = presented.iter().copied().filter(is_ours);
        let Some(credential) = ours.next() else { return Err(Kind::Unauthenticated.into()) };
        if ours.any(|other| other != credential) {
            let sentence = "The request carries two different API keys of this gateway; send one.";
            return Err(Fault::new(Kind::BadRequest).say(sentence));
        }
        if self.parts.master_key.matches(credential) {
            return Ok(Caller::Master);
        }
        if !looks_like_virtual_key(credential) {
            return Err(Kind::Unauthenticated.into());
        }
        let key = snapshot.find_live_key(&hash_key(credential), self.parts.clock.now());
        key.map(|key| Caller::Key(Arc::clone(key))).ok_or_else(|| Kind::Unauthenticated.into())
    }
}
