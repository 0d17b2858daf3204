//! Router settings and fallback chains.

use crate::domain::audit::Caller;
use crate::domain::fallback::{FallbackChain, FallbackReason};
use crate::domain::ids::Revision;
use crate::domain::names::PublicModel;
use crate::domain::page::{Page, PageRequest};
use crate::domain::settings::{SettingsPatch, StoredSettings};
use crate::fault::{Kind, Outcome};

use super::{ChangeOptions, Parts};

/// The use cases of routing.
#[derive(Debug)]
pub struct Routing {
    _parts: Parts,
}

impl Routing {
    pub(super) fn new(parts: Parts) -> Self {
        Self { _parts: parts }
    }

    /// The settings.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn settings(&self) -> Outcome<StoredSettings> {
        Err(Kind::Internal.into())
    }

    /// Changes the settings.
    ///
    /// # Errors
    /// `BadRequest` with every violation; `Stale`; `Unavailable`.
    pub async fn update_settings(
        &self,
        _caller: &Caller,
        _patch: SettingsPatch,
        _options: ChangeOptions,
    ) -> Outcome<StoredSettings> {
        Err(Kind::Internal.into())
    }

    /// One page of chains by primary model and reason, optionally of one primary model.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list_fallbacks(&self, _primary: Option<&str>, _page: &PageRequest) -> Outcome<Page<FallbackChain>> {
        Err(Kind::Internal.into())
    }

    /// Makes or replaces a chain.
    ///
    /// # Errors
    /// `BadRequest` (targets, or a model without a deployment); `Stale`; `Unavailable`.
    pub async fn set_fallback(
        &self,
        _caller: &Caller,
        _primary: PublicModel,
        _reason: FallbackReason,
        _targets: Vec<PublicModel>,
        _options: ChangeOptions,
    ) -> Outcome<FallbackChain> {
        Err(Kind::Internal.into())
    }

    /// Deletes a chain.
    ///
    /// # Errors
    /// `NotFound`; `Stale`; `Unavailable`.
    pub async fn delete_fallback(
        &self,
        _caller: &Caller,
        _primary: &str,
        _reason: FallbackReason,
        _expected: Option<Revision>,
    ) -> Outcome<()> {
        Err(Kind::Internal.into())
    }
}
