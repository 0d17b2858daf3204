//! What OpenTelemetry's conventions for generative AI call a provider
//! (<https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/>, `gen_ai.provider.name`).

/// The name of a preset; one that the conventions do not know keeps its word.
#[must_use]
pub fn conventional_name(preset: &str) -> &str {
    match preset {
        "azureopenai" => "azure.ai.openai",
        "azurefoundry" => "azure.ai.inference",
        "googleaistudio" => "gcp.gemini",
        "mistral" => "mistral_ai",
        "xai" => "x_ai",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_is_translated_is_that_of_a_preset() {
        for preset in ["azureopenai", "azurefoundry", "googleaistudio", "mistral", "xai"] {
            assert!(crate::providers::find(preset).is_some(), "{preset}");
            assert_ne!(conventional_name(preset), preset);
        }
        assert_eq!(conventional_name("openai"), "openai");
    }
}
