//! Pictures in answers: data of the images contract, whoever made them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};

use crate::canonical::TokenUsage;
use crate::dialects::node::{Members, Node};
use crate::dialects::out;
use crate::dialects::raw::RawObject;

/// A picture of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item {
    /// Base64, as it came.
    pub data: String,
    /// Its media type, where stated.
    pub media_type: String,
    /// The prompt as the provider has rewritten it.
    pub revised_prompt: Option<String>,
}

/// What was asked of pictures, for answers that do not say.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub size: Option<String>,
    pub quality: Option<String>,
    pub background: Option<String>,
    pub output_format: Option<String>,
}

/// Tokens as the images contract states them.
pub(super) fn read_usage(usage: &Members<'_>, images: u64) -> TokenUsage {
    let count = |name: &str| usage.any_count(name).unwrap_or_default();
    let (input, output) = (count("input_tokens"), count("output_tokens"));
    let of = |name: &str, kind: &str| usage.any_object(name).any_count(kind);
    let text = of("output_tokens_details", "text_tokens").unwrap_or_default();
    TokenUsage {
        input,
        output,
        cache_read: of("input_tokens_details", "cached_tokens").unwrap_or_default(),
        image_input: of("input_tokens_details", "image_tokens").unwrap_or_default(),
        image_output: of("output_tokens_details", "image_tokens").unwrap_or(output.saturating_sub(text)),
        images,
        ..TokenUsage::default()
    }
}

/// What several images used together.
pub(super) fn sum(a: TokenUsage, b: TokenUsage) -> TokenUsage {
    TokenUsage {
        input: a.input.saturating_add(b.input),
        output: a.output.saturating_add(b.output),
        cache_read: a.cache_read.saturating_add(b.cache_read),
        image_input: a.image_input.saturating_add(b.image_input),
        image_output: a.image_output.saturating_add(b.image_output),
        images: a.images.saturating_add(b.images),
        ..a
    }
}

/// A whole answer in the images contract.
pub(super) fn write(items: &[Item], asked: &Asked, usage: &TokenUsage, now: i64) -> Bytes {
    Bytes::from(out::object(|out| {
        out.number("created", now);
        out.text_if("background", asked.background.as_deref().filter(|word| *word != "auto"));
        out.list("data", |list| {
            for item in items {
                list.item(|out| {
                    out.text("b64_json", &item.data).text_if("revised_prompt", item.revised_prompt.as_deref());
                });
            }
        });
        out.text_if("output_format", format_of(items, asked).as_deref());
        out.text_if("quality", asked.quality.as_deref().filter(|word| *word != "auto"));
        out.text_if("size", asked.size.as_deref().filter(|word| *word != "auto"));
        write_usage(out, usage);
    }))
}

/// A whole answer told as a stream: an event for each image.
pub(super) fn write_events(items: &[Item], asked: &Asked, usage: &TokenUsage, now: i64, prefix: &str) -> Bytes {
    let mut events = BytesMut::new();
    for (at, item) in items.iter().enumerate() {
        // The last tells what all of them used.
        let is_last = at + 1 == items.len();
        let used = if is_last { *usage } else { TokenUsage::default() };
        write_completed(&mut events, item, asked, &used, now, prefix);
    }
    events.freeze()
}

/// The event of an image that is complete.
pub(super) fn write_completed(
    events: &mut BytesMut,
    item: &Item,
    asked: &Asked,
    usage: &TokenUsage,
    now: i64,
    prefix: &str,
) {
    write_event(events, &format!("{prefix}.completed"), item, asked, now, |out| write_usage(out, usage));
}

/// The event of an image on the way; with its number among those of the answer, and the time.
pub(super) fn write_partial(events: &mut BytesMut, item: &Item, asked: &Asked, (index, now): (u64, i64), prefix: &str) {
    write_event(events, &format!("{prefix}.partial_image"), item, asked, now, |out| {
        out.number("partial_image_index", index);
    });
}

fn write_event(
    events: &mut BytesMut,
    kind: &str,
    item: &Item,
    asked: &Asked,
    now: i64,
    last: impl FnOnce(&mut out::Out<'_>),
) {
    let json = out::object(|out| {
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "auto".to_owned());
        out.text("type", kind).text("b64_json", &item.data).number("created_at", now);
        out.text("size", &word(&asked.size)).text("quality", &word(&asked.quality));
        out.text("background", &word(&asked.background));
        let format = format_of(std::slice::from_ref(item), asked);
        out.text("output_format", &format.unwrap_or_else(|| "png".to_owned()));
        last(out);
    });
    events.extend_from_slice(format!("event: {kind}\ndata: ").as_bytes());
    events.extend_from_slice(json.as_bytes());
    events.extend_from_slice(b"\n\n");
}

fn format_of(items: &[Item], asked: &Asked) -> Option<String> {
    let stated = items.first().and_then(|item| item.media_type.strip_prefix("image/")).filter(|kind| !kind.is_empty());
    stated.map(str::to_owned).or_else(|| asked.output_format.clone())
}

fn write_usage(out: &mut out::Out<'_>, usage: &TokenUsage) {
    out.object("usage", |out| {
        out.number("input_tokens", usage.input);
        out.object("input_tokens_details", |out| {
            out.number("image_tokens", usage.image_input);
            out.number("text_tokens", usage.input.saturating_sub(usage.image_input));
        });
        out.number("output_tokens", usage.output);
        out.number("total_tokens", usage.input.saturating_add(usage.output));
    });
}

/// Reads `data` of the images contract: pictures in base64. `None` when an item has none.
pub(super) fn read_items(root: &Members<'_>) -> Option<Vec<Item>> {
    root.any_list("data")
        .iter()
        .map(|item| {
            let item = item.object().ok()?;
            Some(Item {
                data: item.any_text("b64_json")?,
                media_type: item.any_text("media_type").or_else(|| item.any_text("mime_type")).unwrap_or_default(),
                revised_prompt: item.any_text("revised_prompt"),
            })
        })
        .collect()
}

/// URLs of pictures in a whole answer, which the client is not to get: they are the provider's, and pass soon.
#[must_use]
pub fn urls(body: &[u8]) -> Vec<String> {
    let Ok(text) = std::str::from_utf8(body) else { return Vec::new() };
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return Vec::new();
    }
    let Ok(root) = Node::root(text).object() else { return Vec::new() };
    let items = root.any_list("data");
    let url = |item: &Node<'_>| {
        let item = item.object().ok()?;
        if item.any_text("b64_json").is_some() { None } else { item.any_text("url") }
    };
    items.iter().filter_map(url).collect()
}

/// The answer with the pictures that were at those URLs, in their order.
#[must_use]
pub fn replace_urls(body: Bytes, pictures: &[Bytes]) -> Option<Bytes> {
    let raw = RawObject::scan(body).ok()?;
    let mut pictures = pictures.iter();
    let list = Node::root(std::str::from_utf8(raw.get("data")?).ok()?).list().ok()?;
    let mut items = Vec::with_capacity(list.len());
    for item in &list {
        let members = item.object().ok()?;
        if members.any_text("b64_json").is_some() || members.any_text("url").is_none() {
            items.push(item.raw().to_owned());
            continue;
        }
        let picture = STANDARD.encode(pictures.next()?);
        items.push(out::object(|out| {
            out.text("b64_json", &picture);
            for (name, value) in members.iter().filter(|(name, _)| !matches!(*name, "url" | "b64_json")) {
                out.raw(name, value.raw());
            }
        }));
    }
    let mut splice = raw.splice();
    splice.replace("data", Bytes::from(format!("[{}]", items.join(","))));
    Some(splice.finish().concat().into())
}
