//! What can be stated but is not enforced by this version. Accepting it would promise something that does not happen,
//! so it is refused by name. Whoever makes a field work deletes its line here.
//!
//! A value that is stored already (by a later version, say) does not stand in the way of changing other fields.

use super::check::Problems;
use crate::domain::deployment::DeploymentSpec;
use crate::domain::operation::Operation;
use crate::domain::settings::RouterSettings;
use crate::domain::virtual_key::VirtualKeySpec;

const REFUSED: &str = "is not enforced by this version yet, so it is refused rather than ignored";

/// Operations that the data plane serves.
const OPERATIONS: [Operation; 1] = [Operation::TextGenerate];

/// Limits of a deployment, where the ledger does not keep them. `before`: the stored state, if there is one.
pub(super) fn deployment(before: Option<&DeploymentSpec>, after: &DeploymentSpec, problems: &mut Problems) {
    let stored = |field: fn(&DeploymentSpec) -> Option<u32>| before.and_then(field);
    limit("rpmLimit", &stored(|spec| spec.rpm_limit), &after.rpm_limit, problems);
    limit("tpmLimit", &stored(|spec| spec.tpm_limit), &after.tpm_limit, problems);
}

/// Limits of a key, where the ledger does not keep them.
pub(super) fn virtual_key(before: Option<&VirtualKeySpec>, after: &VirtualKeySpec, problems: &mut Problems) {
    let none = VirtualKeySpec::default();
    let before = before.unwrap_or(&none);
    limit("maxBudgetCents", &before.max_budget, &after.max_budget, problems);
    limit("budgetReset", &before.budget_reset, &after.budget_reset, problems);
    limit("budgetMode", &before.budget_mode, &after.budget_mode, problems);
    limit("budgetWaitMs", &before.budget_wait_ms, &after.budget_wait_ms, problems);
    limit("rpm", &before.rpm, &after.rpm, problems);
    limit("tpm", &before.tpm, &after.tpm, problems);
    limit("maxParallelRequests", &before.max_parallel_requests, &after.max_parallel_requests, problems);
}

/// Settings that nothing follows yet. Their defaults describe what happens now and are accepted.
pub(super) fn settings(before: &RouterSettings, after: &RouterSettings, problems: &mut Problems) {
    for (operation, policy) in &after.execution_policies {
        // Sent back as it was read: that changes nothing.
        if !OPERATIONS.contains(operation) && before.policy(*operation) != *policy {
            problems.add(format!("executionPolicies.{operation}"), REFUSED);
        }
    }
}

fn limit<T: PartialEq>(field: &str, before: &Option<T>, after: &Option<T>, problems: &mut Problems) {
    if after.is_some() && after != before {
        problems.add(field, REFUSED);
    }
}
