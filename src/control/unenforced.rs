//! What can be stated but is not enforced by this version. Accepting it would promise something that does not happen,
//! so it is refused by name. Whoever makes a field work deletes its line here.
//!
//! A value that is stored already (by a later version, say) does not stand in the way of changing other fields.

use super::check::Problems;
use crate::domain::operation::Operation;
use crate::domain::settings::RouterSettings;

const REFUSED: &str = "is not enforced by this version yet, so it is refused rather than ignored";

/// Operations that the data plane serves.
const OPERATIONS: [Operation; 8] = [
    Operation::TextGenerate,
    Operation::EmbeddingCreate,
    Operation::ImageGenerate,
    Operation::ImageEdit,
    Operation::AudioTranscribe,
    Operation::AudioSpeech,
    Operation::Rerank,
    Operation::Moderate,
];

/// Settings that nothing follows yet. Their defaults describe what happens now and are accepted.
pub(super) fn settings(before: &RouterSettings, after: &RouterSettings, problems: &mut Problems) {
    for (operation, policy) in &after.execution_policies {
        // Sent back as it was read: that changes nothing.
        if !OPERATIONS.contains(operation) && before.policy(*operation) != *policy {
            problems.add(format!("executionPolicies.{operation}"), REFUSED);
        }
    }
}
