//! How many tokens a request probably has, where nobody who knows can be asked.
//!
//! An estimate by size: no tokenizer is right for every provider, and a wrong one is no better than a rule that says it is
//! one. [`bpe`] counts text where a rule is not good enough. The rules lean to the high side, for what is planned with them is a window that must not overflow.

pub mod bpe;

use crate::canonical::Json;
use crate::canonical::text::{Media, Part, Request, Source, Tool, ToolResult};

/// Text has a token for every 3.5 bytes: English has about 4, code and other scripts fewer.
const TOKENS_PER_BYTE: (u64, u64) = (2, 7);
/// Marks around a turn.
const TURN: u64 = 4;
/// Marks around the definition of a tool.
const TOOL: u64 = 12;
/// What providers say to a model about tools, once there are any.
const TOOL_PREAMBLE: u64 = 300;
/// An image of 1568 by 1568 pixels costs so much, and larger ones are made smaller.
const IMAGE: u64 = 1_600;
/// An image that is looked at from afar.
const SMALL_IMAGE: u64 = 85;
/// A page of a document.
const PAGE: u64 = 2_000;
/// Bytes that a page of a document has, about.
const PAGE_BYTES: u64 = 64 * 1024;
/// Bytes of sound for one token: a second of plain sound has 32,000 bytes and 10 tokens.
const SOUND_BYTES: u64 = 3_200;
/// So many characters of base64 in a row are data and no text.
const DATA_RUN: usize = 512;

/// The tokens of a request's input, about.
#[must_use]
pub fn estimate(request: &Request) -> u64 {
    sum(request, &mut of_text)
}

/// What counts the tokens of a text.
type Counter<'a> = &'a mut dyn FnMut(&str) -> u64;

fn sum(request: &Request, of_text: Counter<'_>) -> u64 {
    let mut sum = if request.tools.is_empty() { 0 } else { TOOL_PREAMBLE };
    for turn in &request.turns {
        sum += TURN + of_parts(&turn.parts, of_text);
    }
    for tool in &request.tools {
        sum += of_tool(tool, of_text);
    }
    sum
}

fn of_parts(parts: &[Part], of_text: Counter<'_>) -> u64 {
    let mut sum = 0;
    for part in parts {
        sum += of_part(part, of_text);
    }
    sum
}

fn of_part(part: &Part, of_text: Counter<'_>) -> u64 {
    match part {
        Part::Text { text, .. } | Part::Refusal(text) => of_text(text),
        Part::Image { detail, .. } if detail.as_deref() == Some("low") => SMALL_IMAGE,
        Part::Image { .. } => IMAGE,
        Part::Audio { data, .. } => decoded(data) / SOUND_BYTES + 1,
        Part::File(media) => of_file(media, of_text),
        Part::ToolCall(call) => TURN + of_text(&call.name) + of_text(&call.arguments),
        Part::ToolResult(ToolResult { parts, .. }) => TURN + of_parts(parts, of_text),
        Part::Reasoning(reasoning) => of_text(&reasoning.visible()),
        Part::Native { json, .. } => of_text(json.as_str()),
    }
}

fn of_file(media: &Media, of_text: Counter<'_>) -> u64 {
    let name = media.name.as_deref().map_or(0, &mut *of_text);
    name + match &media.source {
        Source::Text(text) => of_text(text),
        Source::Data { media_type, data } if media_type.starts_with("text/") => tokens(decoded(data)),
        Source::Data { data, .. } => decoded(data).div_ceil(PAGE_BYTES).max(1).saturating_mul(PAGE),
        Source::Url(_) | Source::Id(_) => PAGE,
    }
}

fn of_tool(tool: &Tool, of_text: Counter<'_>) -> u64 {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let json = |json: &Option<Json>| json.as_ref().map_or_else(String::new, |json| json.as_str().to_owned());
    let texts = match tool {
        Tool::Function { name, description, parameters, .. } => [name.clone(), text(description), json(parameters)],
        Tool::Custom { name, description, format } => [name.clone(), text(description), json(format)],
        Tool::Native { json, .. } => [json.as_str().to_owned(), String::new(), String::new()],
    };
    TOOL + texts.iter().map(|text| of_text(text)).sum::<u64>()
}

/// The tokens of a text, data inside it (such as that of a `data:` URL) left out.
fn of_text(text: &str) -> u64 {
    let (mut counted, mut run) = (0_usize, 0_usize);
    let mut end_run = |run: &mut usize| {
        let length = std::mem::take(run);
        counted += if length < DATA_RUN { length } else { 0 };
    };
    let mut others = 0_usize;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_') {
            run += 1;
        } else {
            others += 1;
            end_run(&mut run);
        }
    }
    end_run(&mut run);
    tokens(u64::try_from(counted + others).unwrap_or(u64::MAX))
}

fn tokens(bytes: u64) -> u64 {
    bytes.saturating_mul(TOKENS_PER_BYTE.0).div_ceil(TOKENS_PER_BYTE.1)
}

/// Bytes that base64 stands for.
fn decoded(base64: &str) -> u64 {
    u64::try_from(base64.len()).unwrap_or(u64::MAX) / 4 * 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::text::{Role, ToolCall, Turn};

    fn of(parts: Vec<Part>) -> u64 {
        let request = Request { turns: vec![Turn::new(Role::User, parts)], ..Request::default() };
        estimate(&request) - TURN
    }

    fn file(source: Source) -> Part {
        Part::File(Media { source, name: None, cache: None, extra: Vec::new() })
    }

    #[test]
    fn text_counts_by_its_size_and_data_in_it_does_not() {
        assert_eq!(of(vec![]), 0);
        assert_eq!(of(vec![Part::text("a")]), 1);
        assert_eq!(of(vec![Part::text("The quick brown fox jumps over it.")]), 10);
        assert_eq!(of(vec![Part::text("日本語")]), 3);
        let with_data = format!("see data:image/png;base64,{} here", "iVBORw0KGgo".repeat(1000));
        assert!(of(vec![Part::text(with_data)]) < 20);
        assert!(of(vec![Part::text("word ".repeat(1000))]) > 1_400);
    }

    #[test]
    fn images_documents_and_sound_have_rules_of_their_own() {
        let data = |media_type: &str, bytes: usize| Source::Data {
            media_type: media_type.to_owned(),
            data: "A".repeat(bytes / 3 * 4),
        };
        let image = |detail: Option<&str>| Part::Image {
            source: data("image/png", 3_000_000),
            detail: detail.map(str::to_owned),
            cache: None,
        };
        assert_eq!((of(vec![image(None)]), of(vec![image(Some("low"))])), (IMAGE, SMALL_IMAGE));
        assert_eq!(of(vec![file(data("application/pdf", 3_000))]), PAGE);
        assert_eq!(of(vec![file(data("application/pdf", 600_000))]), 10 * PAGE);
        assert_eq!(of(vec![file(data("text/plain", 3_500))]), tokens(3_498));
        assert_eq!(of(vec![file(Source::Url("https://example.com/a.pdf".to_owned()))]), PAGE);
        assert_eq!(of(vec![Part::Audio { data: "A".repeat(128_000), format: "wav".to_owned() }]), 31);
    }

    #[test]
    fn tools_and_their_calls_count() {
        let tool = Tool::Function {
            name: "f".to_owned(),
            description: Some("does".to_owned()),
            parameters: Json::parse(r#"{"type":"object"}"#.to_owned()),
            strict: None,
            cache: None,
        };
        let request = Request { tools: vec![tool], ..Request::default() };
        assert_eq!(estimate(&request), TOOL_PREAMBLE + TOOL + 1 + 2 + 5);
        let call = ToolCall { name: "f".to_owned(), arguments: "{\"a\":1}".to_owned(), ..ToolCall::default() };
        assert_eq!(of(vec![Part::ToolCall(call)]), TURN + 1 + 2);
    }
}
