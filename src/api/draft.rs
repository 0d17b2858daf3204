//! A creation is a patch of the defaults that names what is required. So both faces read one shape of each noun, and
//! what is missing is missing on both alike.

use crate::domain::deployment::{DeploymentDraft, DeploymentPatch, DeploymentSpec};
use crate::domain::patch::Patch;
use crate::domain::virtual_key::{VirtualKeyPatch, VirtualKeySpec};
use crate::fault::{Fault, Outcome, Violation};

/// A deployment to be created.
///
/// # Errors
/// `BadRequest` with every required field that is missing.
pub(super) fn deployment(patch: DeploymentPatch) -> Outcome<DeploymentDraft> {
    let mut missing = Vec::new();
    let public_model = required(patch.public_model, "publicModel", &mut missing);
    let provider = required(patch.provider, "provider", &mut missing);
    let upstream_model = required(patch.upstream_model, "upstreamModel", &mut missing);
    let (Some(public_model), Some(provider), Some(upstream_model)) = (public_model, provider, upstream_model) else {
        return Err(refused(missing));
    };
    let mut spec = DeploymentSpec::new(public_model, provider, upstream_model);
    patch.catalog_model.apply(&mut spec.catalog_model);
    patch.catalog_entry.apply(&mut spec.catalog_entry);
    patch.pricing.apply(&mut spec.pricing);
    patch.transport_overrides.apply_or(&mut spec.transport_overrides, Default::default());
    patch.label.apply(&mut spec.label);
    patch.metadata.apply(&mut spec.metadata);
    patch.enabled.apply_or(&mut spec.enabled, true);
    patch.weight.apply_or(&mut spec.weight, 1);
    patch.priority.apply_or(&mut spec.priority, 0);
    patch.rpm_limit.apply(&mut spec.rpm_limit);
    patch.tpm_limit.apply(&mut spec.tpm_limit);
    patch.failure_domain.apply(&mut spec.failure_domain);
    let mut credentials = Default::default();
    patch.credentials.apply_or(&mut credentials, Default::default());
    Ok(DeploymentDraft { spec, credentials })
}

/// A virtual key to be created.
///
/// # Errors
/// `BadRequest` when the name is missing.
pub(super) fn virtual_key(patch: VirtualKeyPatch) -> Outcome<VirtualKeySpec> {
    let mut missing = Vec::new();
    let Some(name) = required(patch.name, "name", &mut missing) else { return Err(refused(missing)) };
    let mut spec = VirtualKeySpec { name, enabled: true, ..VirtualKeySpec::default() };
    patch.allowed_models.apply_or(&mut spec.allowed_models, Vec::new());
    patch.max_budget.apply(&mut spec.max_budget);
    patch.budget_reset.apply(&mut spec.budget_reset);
    patch.budget_mode.apply(&mut spec.budget_mode);
    patch.budget_wait_ms.apply(&mut spec.budget_wait_ms);
    patch.rpm.apply(&mut spec.rpm);
    patch.tpm.apply(&mut spec.tpm);
    patch.max_parallel_requests.apply(&mut spec.max_parallel_requests);
    patch.expires_at.apply(&mut spec.expires_at);
    patch.enabled.apply_or(&mut spec.enabled, true);
    patch.metadata.apply(&mut spec.metadata);
    Ok(spec)
}

fn required<T>(patch: Patch<T>, field: &str, missing: &mut Vec<Violation>) -> Option<T> {
    match patch {
        Patch::Set(value) => Some(value),
        Patch::Keep | Patch::Clear => {
            missing.push(Violation { field: field.to_owned(), description: "is required".to_owned() });
            None
        }
    }
}

fn refused(missing: Vec<Violation>) -> Fault {
    Fault::from_violations(missing).unwrap_or_else(|| crate::fault::Kind::Internal.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let patch = DeploymentPatch { provider: Patch::Set("openai".to_owned()), ..DeploymentPatch::default() };
        let fault = deployment(patch).unwrap_err();
        assert_eq!(fault.message(), "publicModel: is required; upstreamModel: is required");
    }

    #[test]
    fn null_is_the_default_in_a_creation() {
        let patch = VirtualKeyPatch {
            name: Patch::Set("app".to_owned()),
            enabled: Patch::Clear,
            rpm: Patch::Clear,
            ..VirtualKeyPatch::default()
        };
        let spec = virtual_key(patch).unwrap();
        assert!(spec.enabled && spec.rpm.is_none() && spec.allowed_models.is_empty());
    }
}
