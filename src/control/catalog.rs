//! What the catalog knows, for the faces.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::domain::capability::ModelProfile;
use crate::domain::operation::Operation;
use crate::domain::page::Page;
use crate::domain::preset::Preset;

/// The use cases of the catalog.
#[derive(Debug)]
pub struct CatalogView {
    _catalog: Arc<Catalog>,
}

/// A model that the catalog knows, as one preset serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownModel {
    /// The preset.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// What it can do and costs.
    pub profile: ModelProfile,
}

/// Which known models a list shows. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFilter {
    /// Only of this preset.
    pub provider: Option<String>,
    /// Only those that can do this.
    pub operation: Option<Operation>,
    /// Only those whose name contains this text (ASCII case ignored).
    pub text: Option<String>,
}

impl CatalogView {
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        Self { _catalog: catalog }
    }

    /// All presets.
    #[must_use]
    pub fn presets(&self) -> &[Preset] {
        &[]
    }

    /// One page of known models, by preset and name.
    #[must_use]
    pub fn list_models(&self, _filter: &ModelFilter, _limit: u32, _offset: u32) -> Page<KnownModel> {
        Page { items: Vec::new(), total: 0, has_more: false }
    }
}
