//! Where a call goes: the path of each wire shape below a provider's base URL.

use std::borrow::Cow;

use crate::domain::operation::Transport;

/// Where at a provider a call goes.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// The wire shape.
    pub transport: Transport,
    /// The provider's name of the model: some wires have it in the path.
    pub model: &'a str,
    /// Whether a stream is asked for: some wires have that in the path, too.
    pub is_stream: bool,
}

impl Endpoint<'_> {
    /// The whole URL below a base without a trailing `/`; `None` for a wire shape that has no endpoint.
    pub(super) fn url(self, base: &str) -> Option<String> {
        let path = path(self)?;
        // The providers' own libraries take the host alone as the base.
        let version = match self.transport {
            Transport::Messages if !base.ends_with("/v1") => "/v1",
            Transport::GenerateContent | Transport::EmbedContent | Transport::Predict if is_host_alone(base) => {
                "/v1beta"
            }
            _ => "",
        };
        Some(format!("{base}{version}{path}"))
    }
}

/// Whether a base URL has no path.
pub(super) fn is_host_alone(base: &str) -> bool {
    base.split_once("://").is_some_and(|(_, rest)| !rest.trim_end_matches('/').contains('/'))
}

/// The path of an endpoint below the base URL.
fn path(endpoint: Endpoint<'_>) -> Option<Cow<'static, str>> {
    match endpoint.transport {
        Transport::ChatCompletions => Some("/chat/completions".into()),
        Transport::Responses => Some("/responses".into()),
        Transport::Messages => Some("/messages".into()),
        Transport::GenerateContent => {
            let verb = if endpoint.is_stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            let model = path_of_model(endpoint.model);
            Some(format!("/{model}:{verb}").into())
        }
        Transport::Predict => Some(format!("/{}:predict", path_of_model(endpoint.model)).into()),
        Transport::Embeddings => Some("/embeddings".into()),
        Transport::CohereEmbed => Some("/embed".into()),
        Transport::EmbedContent => Some(format!("/{}:batchEmbedContents", path_of_model(endpoint.model)).into()),
        Transport::Rerank => Some("/rerank".into()),
        Transport::Moderations => Some("/moderations".into()),
        Transport::Images => Some("/images/generations".into()),
        Transport::ImageEdits => Some("/images/edits".into()),
        Transport::AudioTranscriptions => Some("/audio/transcriptions".into()),
        Transport::AudioSpeech => Some("/audio/speech".into()),
        Transport::Videos => None,
    }
}

/// A model as Google names resources: `models/<id>`, or another collection where the name says so. What has a meaning in
/// a path is escaped.
fn path_of_model(model: &str) -> String {
    let mut path = String::with_capacity(model.len() + 8);
    if !model.contains('/') {
        path.push_str("models/");
    }
    for byte in model.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => path.push(char::from(byte)),
            byte => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_and_the_mode_are_in_the_path_of_gemini() {
        for (base, model, is_stream, url) in [
            ("https://h/v1beta", "gemini-9", false, "https://h/v1beta/models/gemini-9:generateContent"),
            ("http://h/v1", "models/g", true, "http://h/v1/models/g:streamGenerateContent?alt=sse"),
            ("http://h:1", "tunedModels/g?x#y", false, "http://h:1/v1beta/tunedModels/g%3Fx%23y:generateContent"),
        ] {
            let endpoint = Endpoint { transport: Transport::GenerateContent, model, is_stream };
            assert_eq!(endpoint.url(base).as_deref(), Some(url));
        }
    }
}
