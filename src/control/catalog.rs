//! What the catalog knows, for the faces.

use std::sync::Arc;

use crate::catalog::{self, Catalog};
use crate::domain::capability::ModelProfile;
use crate::domain::operation::Operation;
use crate::domain::page::{Page, PageRequest};
use crate::domain::preset::Preset;

/// The use cases of the catalog.
#[derive(Debug)]
pub struct CatalogView {
    catalog: Arc<Catalog>,
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
        Self { catalog }
    }

    /// All presets.
    #[must_use]
    pub fn presets(&self) -> &[Preset] {
        self.catalog.presets()
    }

    /// One page of known models, by preset and name. `limit` is 1 to 500.
    #[must_use]
    pub fn list_models(&self, filter: &ModelFilter, limit: u32, offset: u32) -> Page<KnownModel> {
        let filter = catalog::ModelFilter {
            preset: filter.provider.clone(),
            operation: filter.operation,
            text: filter.text.clone(),
        };
        let limit = limit.clamp(1, PageRequest::MAX_LIMIT);
        let found = self.catalog.list(&filter, &PageRequest { limit, offset, after: None });
        let items = found.items.into_iter().map(|listed| {
            let mut profile = listed.model.profile.clone();
            // What the model can do elsewhere is of no use here.
            profile.operations.retain(|operation, _| listed.operations.contains(operation));
            KnownModel { provider: listed.preset.to_owned(), model: listed.model.id.clone(), profile }
        });
        Page { items: items.collect(), total: found.total, has_more: found.has_more }
    }
}
