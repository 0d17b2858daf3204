//! The change log of the configuration: what a replica reads to bring its snapshot up to date.

use super::ids::Revision;

/// Which table changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the words say it")]
pub enum ResourceKind {
    Deployment,
    VirtualKey,
    FallbackChain,
    RouterSettings,
}

impl ResourceKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Deployment, Self::VirtualKey, Self::FallbackChain, Self::RouterSettings];

    /// The word in the store, logs and the audit trail.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::VirtualKey => "virtual_key",
            Self::FallbackChain => "fallback_chain",
            Self::RouterSettings => "router_settings",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One changed row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The revision that changed it.
    pub revision: Revision,
    /// Which table.
    pub kind: ResourceKind,
    /// Which row: a UUID, `<primary>\n<reason>` for chains ([`chain_key`]), or empty for the settings.
    pub id: String,
    /// Whether the row is gone.
    pub deleted: bool,
}

/// What happened after a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangesSince {
    /// The changes, oldest first, and the revision they lead to.
    Changes {
        /// Oldest first; the last state of a row wins.
        changes: Vec<ConfigChange>,
        /// The revision after the last of them.
        revision: Revision,
    },
    /// The log does not reach back that far: load everything.
    Gap,
}

/// The change-log id of a fallback chain.
#[must_use]
pub fn chain_key(primary: &str, reason: &str) -> String {
    // A line feed cannot be part of a model name.
    format!("{primary}\n{reason}")
}

/// Takes a [`chain_key`] apart.
#[must_use]
pub fn split_chain_key(key: &str) -> Option<(&str, &str)> {
    key.split_once('\n')
}
