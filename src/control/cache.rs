//! The response cache, for its operator.

use serde::Serialize;

use super::Parts;
use super::write::Entry;
use crate::cache::Scope;
use crate::domain::audit::Caller;
use crate::fault::Outcome;

/// What the audit trail calls it.
const RESOURCE: &str = "response_cache";

/// The use cases of the response cache.
#[derive(Debug)]
pub struct CachedAnswers {
    parts: Parts,
}

/// An invalidation, as the audit trail shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    operation: Option<&'static str>,
    virtual_key_id: Option<String>,
    removed: u64,
}

impl CachedAnswers {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Removes answers, and answers how many.
    ///
    /// # Errors
    /// `Unavailable`: some of them may be left, or the audit trail does not have it. It may be repeated.
    pub async fn invalidate(&self, caller: &Caller, scope: Scope) -> Outcome<u64> {
        let removed = self.parts.cache.invalidate(scope).await?;
        let view = View {
            operation: scope.operation.map(|operation| operation.as_str()),
            virtual_key_id: scope.key.map(|key| key.to_string()),
            removed,
        };
        let entry = Entry {
            action: "response_cache.invalidate",
            resource: RESOURCE.to_owned(),
            before: None,
            after: Some(&view),
        };
        let write = self.parts.write(caller, self.parts.clock.now(), entry)?;
        self.parts.stores.audit.note(&write.audit).await?;
        Ok(removed)
    }
}
