//! The limits of one subject, as they are counted.

use super::money::NanoCents;
use super::virtual_key::BudgetReset;

/// Limits in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Requests in any 60 seconds.
    pub rpm: Option<u32>,
    /// Tokens in any 60 seconds.
    pub tpm: Option<u32>,
    /// Requests at the same time.
    pub parallel: Option<u32>,
    /// Spending in one window.
    pub budget: Option<NanoCents>,
    /// When spending starts again from zero.
    pub reset: Option<BudgetReset>,
}

impl Limits {
    /// Whether anything is limited.
    #[must_use]
    pub fn any(&self) -> bool {
        self.rpm.is_some() || self.tpm.is_some() || self.parallel.is_some() || self.budget.is_some()
    }
}
