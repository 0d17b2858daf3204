//! Which URLs in a request a provider reads by itself. The gateway fetches the others and sends what is there.

use super::Provider;
use crate::domain::operation::Transport;

/// What a URL stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// A picture.
    Image,
    /// A document.
    File,
}

/// What hosts read of the URLs that they are sent.
enum Reads {
    /// None: only what is inline.
    Nothing,
    /// Those that begin so: their own stores.
    Own(&'static [&'static str]),
    /// All, in documents, too, where the wire has no place for them.
    Everything,
}

/// Hosts that differ from what their wire documents.
const HOSTS: &[(&str, Reads)] = &[
    // ai.google.dev/gemini-api/docs/file-input-methods: other URLs are read for some models and types only.
    (
        "googleaistudio",
        Reads::Own(&[
            "gs://",
            "https://generativelanguage.googleapis.com/",
            "https://www.youtube.com/",
            "https://youtube.com/",
            "https://youtu.be/",
        ]),
    ),
    // docs.ollama.com/api/openai-compatibility: images in base64, no URLs.
    ("ollama", Reads::Nothing),
    // lmstudio.ai/docs/developer/openai-compat: images in base64.
    ("lmstudio", Reads::Nothing),
    // openrouter.ai/docs/features/multimodal/pdfs: `file_data` takes a URL.
    ("openrouter", Reads::Everything),
];

/// Hosts whose chats have the part `file` (platform.openai.com/docs/guides/pdf-files,
/// openrouter.ai/docs/features/multimodal/pdfs, vercel.com/docs/ai-gateway/openai-compat).
const CHATS_WITH_FILES: &[&str] =
    &["openai", "azureopenai", "azurefoundry", "openrouter", "vercel", "litellm", "requesty"];

/// Whether a provider reads what is at a URL by itself.
#[must_use]
pub fn reads_url(provider: &Provider, transport: Transport, named: Named, url: &str) -> bool {
    match HOSTS.iter().find(|(name, _)| *name == provider.name).map(|(_, reads)| reads) {
        Some(Reads::Nothing) => false,
        Some(Reads::Own(starts)) => starts.iter().any(|start| url.starts_with(start)),
        Some(Reads::Everything) => true,
        // platform.openai.com/docs/api-reference/chat/create: `image_url` takes URLs, `file` does not.
        None => named == Named::Image || transport != Transport::ChatCompletions,
    }
}

/// Whether a provider takes documents in this wire, where nothing is known of the model.
#[must_use]
pub fn takes_files(provider: &Provider, transport: Transport) -> bool {
    // Of the OpenAI-style hosts few document the `file` part of a chat; the others refuse it or read past it.
    transport != Transport::ChatCompletions || CHATS_WITH_FILES.contains(&provider.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_has_files_where_its_host_says_so() {
        for (host, transport, takes) in [
            ("openai", Transport::ChatCompletions, true),
            ("openaicompatible", Transport::ChatCompletions, false),
            ("openaicompatible", Transport::Responses, true),
            ("anthropic", Transport::Messages, true),
        ] {
            assert_eq!(takes_files(find(host).unwrap(), transport), takes, "{host} {transport:?}");
        }
    }
    use crate::providers::find;

    #[test]
    fn each_host_reads_the_urls_that_it_documents() {
        let url = "https://files.example/a";
        for (host, transport, named, url, reads) in [
            ("openai", Transport::ChatCompletions, Named::Image, url, true),
            ("openai", Transport::ChatCompletions, Named::File, url, false),
            ("openai", Transport::Responses, Named::File, url, true),
            ("anthropic", Transport::Messages, Named::File, url, true),
            ("openrouter", Transport::ChatCompletions, Named::File, url, true),
            ("openaicompatible", Transport::ChatCompletions, Named::Image, url, true),
            ("googleaistudio", Transport::GenerateContent, Named::Image, url, false),
            ("googleaistudio", Transport::GenerateContent, Named::File, "https://youtu.be/x", true),
            ("googleaistudio", Transport::GenerateContent, Named::File, "gs://bucket/x", true),
        ] {
            assert_eq!(reads_url(find(host).unwrap(), transport, named, url), reads, "{host} {transport:?} {url}");
        }
    }
}
