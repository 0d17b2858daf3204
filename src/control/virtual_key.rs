//! Virtual keys: issue, change, rotate, revoke.

use std::time::Duration;

use secrecy::SecretString;

use crate::domain::audit::Caller;
use crate::domain::ids::{Revision, VirtualKeyId};
use crate::domain::page::{Page, PageRequest};
use crate::domain::virtual_key::{VirtualKey, VirtualKeyFilter, VirtualKeyPatch, VirtualKeySpec};
use crate::fault::{Kind, Outcome};

use super::{ChangeOptions, CreateOptions, Parts};

/// The use cases of virtual keys.
#[derive(Debug)]
pub struct VirtualKeys {
    _parts: Parts,
}

/// A key and, this once, its secret.
#[derive(Debug)]
pub struct IssuedKey {
    /// The key.
    pub key: VirtualKey,
    /// The secret; `None` on a replay and on a dry run.
    pub plaintext: Option<SecretString>,
    /// Whether an earlier call with the same `request_id` had made it.
    pub replayed: bool,
}

impl VirtualKeys {
    pub(super) fn new(parts: Parts) -> Self {
        Self { _parts: parts }
    }

    /// Makes a key. Its secret is answered once.
    ///
    /// # Errors
    /// `BadRequest` with every violation; `AlreadyExists` when the `request_id` made something else; `Unavailable`.
    pub async fn create(&self, _caller: &Caller, _spec: VirtualKeySpec, _options: CreateOptions) -> Outcome<IssuedKey> {
        Err(Kind::Internal.into())
    }

    /// One key.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable`.
    pub async fn get(&self, _id: VirtualKeyId) -> Outcome<VirtualKey> {
        Err(Kind::Internal.into())
    }

    /// One page of keys, by time of creation.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list(&self, _filter: &VirtualKeyFilter, _page: &PageRequest) -> Outcome<Page<VirtualKey>> {
        Err(Kind::Internal.into())
    }

    /// Changes a key.
    ///
    /// # Errors
    /// `BadRequest` with every violation; `NotFound`; `Stale`; `Unavailable`.
    pub async fn update(
        &self,
        _caller: &Caller,
        _id: VirtualKeyId,
        _patch: VirtualKeyPatch,
        _options: ChangeOptions,
    ) -> Outcome<VirtualKey> {
        Err(Kind::Internal.into())
    }

    /// Revokes a key for good.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Unavailable`.
    pub async fn delete(&self, _caller: &Caller, _id: VirtualKeyId, _expected: Option<Revision>) -> Outcome<()> {
        Err(Kind::Internal.into())
    }

    /// Gives a key a new secret; the old one works for `grace` more (0 to 7 days).
    ///
    /// # Errors
    /// `BadRequest`; `NotFound`; `Stale`; `Unavailable`.
    pub async fn rotate(
        &self,
        _caller: &Caller,
        _id: VirtualKeyId,
        _grace: Duration,
        _expected: Option<Revision>,
    ) -> Outcome<IssuedKey> {
        Err(Kind::Internal.into())
    }
}
