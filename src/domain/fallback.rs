//! Fallback chains: where a request goes when every deployment of its public model failed for a reason.

use std::fmt;
use std::str::FromStr;

use super::ids::Revision;
use super::names::PublicModel;
use super::operation::UnknownWord;
use crate::time::Timestamp;

/// Most targets in one chain.
pub const MAX_TARGETS: usize = 5;

/// Why a chain is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FallbackReason {
    /// Anything that is not one of the others.
    General,
    /// All failures said that the input is too long.
    ContextWindow,
    /// All failures were refusals of the content.
    ContentPolicy,
}

impl FallbackReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::General, Self::ContextWindow, Self::ContentPolicy];

    /// The word in APIs and the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
        }
    }
}

impl fmt::Display for FallbackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for FallbackReason {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(UnknownWord)
    }
}

/// A stored chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackChain {
    /// Whose failures it catches.
    pub primary: PublicModel,
    /// Which failures.
    pub reason: FallbackReason,
    /// Where to go, in order: 1..=[`MAX_TARGETS`], no duplicates, not the primary.
    pub targets: Vec<PublicModel>,
    /// The revision that last wrote it; also its etag.
    pub revision: Revision,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// Checks the targets of a chain.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn check_targets(primary: &PublicModel, targets: &[PublicModel]) -> Result<(), String> {
    if targets.is_empty() || targets.len() > MAX_TARGETS {
        return Err(format!("must have 1 to {MAX_TARGETS} models, has {}", targets.len()));
    }
    if targets.contains(primary) {
        return Err(format!("must not contain the primary model `{primary}`"));
    }
    for (position, target) in targets.iter().enumerate() {
        if targets.iter().take(position).any(|earlier| earlier == target) {
            return Err(format!("names `{target}` twice"));
        }
    }
    Ok(())
}

/// What becomes of a chain when a public model ceases to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pruned {
    /// It does not mention the model.
    Untouched,
    /// It goes on with these targets.
    Shortened(Vec<PublicModel>),
    /// It is to be deleted.
    Deleted,
}

/// What becomes of `chain` when `gone` has no deployment any more.
#[must_use]
pub fn prune(chain: &FallbackChain, gone: &str) -> Pruned {
    if chain.primary.as_str() == gone {
        return Pruned::Deleted;
    }
    let left: Vec<PublicModel> = chain.targets.iter().filter(|target| target.as_str() != gone).cloned().collect();
    match left.len() {
        n if n == chain.targets.len() => Pruned::Untouched,
        0 => Pruned::Deleted,
        _ => Pruned::Shortened(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> PublicModel {
        PublicModel::parse(name).unwrap()
    }

    fn chain(primary: &str, targets: &[&str]) -> FallbackChain {
        FallbackChain {
            primary: model(primary),
            reason: FallbackReason::General,
            targets: targets.iter().map(|name| model(name)).collect(),
            revision: Revision(1),
            updated_at: Timestamp::from_unix_ms(0),
        }
    }

    #[test]
    fn a_chain_loses_a_dead_target_and_dies_with_its_primary_or_its_last_target() {
        assert_eq!(prune(&chain("a", &["b", "c"]), "b"), Pruned::Shortened(vec![model("c")]));
        assert_eq!(prune(&chain("a", &["b"]), "b"), Pruned::Deleted);
        assert_eq!(prune(&chain("a", &["b"]), "a"), Pruned::Deleted);
        assert_eq!(prune(&chain("a", &["b"]), "z"), Pruned::Untouched);
    }

    #[test]
    fn targets_are_few_distinct_and_not_the_primary() {
        let check = |primary: &str, targets: &[&str]| {
            let targets: Vec<_> = targets.iter().map(|name| model(name)).collect();
            check_targets(&model(primary), &targets)
        };
        assert!(check("a", &["b", "c"]).is_ok());
        assert!(check("a", &[]).is_err());
        assert!(check("a", &["a"]).is_err());
        assert!(check("a", &["b", "b"]).is_err());
        assert!(check("a", &["b", "c", "d", "e", "f", "g"]).is_err());
    }
}
