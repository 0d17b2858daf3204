//! Files that a request brings, as text, for candidates that take no files: read once for the request, whoever serves it
//! in the end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Mutex;

use crate::canonical::text::{Media, Part, Request, Source};
use crate::documents::{Documents, MAX_CHARS, Unreadable};
use crate::fault::{Fault, Kind};

/// What a request's bytes have in them when it brings a file: the types of such parts in the contracts.
pub(super) const TYPES: [&str; 3] = ["\"file\"", "\"input_file\"", "\"document\""];
/// What is named as left out where a file goes as its text: pictures and layout are lost.
pub(super) const DROPPED: &str = "file";

const MAX_FILES: usize = 100;
/// The magic number of PDF in base64.
const PDF_IN_BASE64: &str = "JVBERi0";
/// Types of text beside `text/…`, `…+json` and `…+xml`.
const TEXT_TYPES: [&str; 8] = [
    "application/json",
    "application/xml",
    "application/yaml",
    "application/x-yaml",
    "application/toml",
    "application/sql",
    "application/javascript",
    "application/x-ndjson",
];

/// The texts of one request's files, by the order in which it brings them; failures too.
#[derive(Debug, Default)]
pub(super) struct Texts {
    known: Mutex<BTreeMap<usize, Result<String, Why>>>,
    /// Whether nothing is read, and a word stands for everything.
    is_pretence: bool,
}

/// A file that cannot go as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    /// Which of the request's files.
    nth: usize,
    why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    Unreadable(Unreadable),
    /// Neither PDF nor text.
    Type,
    NoBase64,
    /// A file that only its provider can see.
    Reference,
    TooMany,
    /// A hard budget holds less than its text may cost.
    Unheld,
}

impl Texts {
    /// Reads nothing: a word stands for what is in a file.
    pub(super) fn pretence() -> Self {
        Self { is_pretence: true, ..Self::default() }
    }

    /// The request with text in the place of its files. `None` when it brings none that is not text.
    ///
    /// # Errors
    /// The first file that cannot go as text.
    pub(super) async fn replace(
        &self,
        request: &Request,
        documents: &Documents,
        most_bytes: Option<u64>,
    ) -> Result<Option<Request>, Unusable> {
        let mut files = Vec::new();
        request.turns.iter().flat_map(|turn| &turn.parts).for_each(|part| collect(part, &mut files));
        if files.len() > MAX_FILES {
            return Err(Unusable { nth: MAX_FILES, why: Why::TooMany });
        }
        let mut known = self.known.lock().await;
        let mut is_changed = false;
        let (mut chars, mut bytes) = (0, 0);
        for (nth, media) in files.into_iter().enumerate() {
            // What is neither here nor was fetched is refused by the wire or the provider.
            if matches!(media.source, Source::Text(_) | Source::Url(_)) {
                continue;
            }
            let text = match known.entry(nth) {
                Entry::Occupied(text) => text.into_mut(),
                Entry::Vacant(place) if self.is_pretence => place.insert(Ok("text".to_owned())),
                Entry::Vacant(place) => place.insert(read(media, documents).await),
            };
            match text {
                Ok(text) => (chars, bytes) = (chars + text.chars().count(), bytes + text.len() as u64),
                Err(why) => return Err(Unusable { nth, why: why.clone() }),
            }
            if chars > MAX_CHARS {
                return Err(Unusable { nth, why: Why::Unreadable(Unreadable::TooMuchText) });
            }
            if most_bytes.is_some_and(|most| bytes > most) {
                return Err(Unusable { nth, why: Why::Unheld });
            }
            is_changed = true;
        }
        if !is_changed {
            return Ok(None);
        }
        let mut request = request.clone();
        let mut nth = 0;
        for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
            put(part, &known, &mut nth);
        }
        Ok(Some(request))
    }
}

fn collect<'a>(part: &'a Part, files: &mut Vec<&'a Media>) {
    match part {
        Part::ToolResult(result) => result.parts.iter().for_each(|part| collect(part, files)),
        Part::File(media) => files.push(media),
        _ => {}
    }
}

fn put(part: &mut Part, known: &BTreeMap<usize, Result<String, Why>>, nth: &mut usize) {
    match part {
        Part::ToolResult(result) => result.parts.iter_mut().for_each(|part| put(part, known, nth)),
        Part::File(media) => {
            if let Some(Ok(text)) = known.get(nth) {
                media.source = Source::Text(text.clone());
            }
            *nth += 1;
        }
        _ => {}
    }
}

async fn read(media: &Media, documents: &Documents) -> Result<String, Why> {
    let (media_type, data) = match &media.source {
        Source::Data { media_type, data } => (media_type.to_ascii_lowercase(), data),
        Source::Id(_) => return Err(Why::Reference),
        Source::Url(_) | Source::Text(_) => return Err(Why::Type),
    };
    let is_pdf = media_type == "application/pdf" || data.starts_with(PDF_IN_BASE64);
    if !is_pdf && !is_text(&media_type) {
        return Err(Why::Type);
    }
    // Refused before it is decoded: four characters hold three bytes.
    if data.len() / 4 * 3 > crate::documents::MAX_BYTES + 3 {
        return Err(Why::Unreadable(Unreadable::TooLarge));
    }
    let bytes = STANDARD.decode(data).map_err(|_| Why::NoBase64)?;
    if is_pdf {
        return documents.text_of(&bytes).await.map_err(Why::Unreadable);
    }
    String::from_utf8(bytes).map_err(|_| Why::Type)
}

fn is_text(media_type: &str) -> bool {
    let ends = ["+json", "+xml"];
    media_type.starts_with("text/")
        || TEXT_TYPES.contains(&media_type)
        || ends.iter().any(|end| media_type.ends_with(end))
}

impl Unusable {
    /// What the caller is told, with the place of the file in the request.
    pub(super) fn to_fault(&self, body: &[u8]) -> Fault {
        let mut left = self.nth;
        let place = serde_json::from_slice(body).ok().and_then(|body| place_of(&body, "", &mut left));
        let place = place.unwrap_or_else(|| "file".to_owned());
        let (code, why) = match &self.why {
            Why::Unreadable(reason) => (reason.code(), reason.sentence()),
            Why::Type => ("unsupported_file_type", "only PDF and text in UTF-8 can be sent to it as text"),
            Why::NoBase64 => ("invalid_file_data", "it is not valid base64"),
            Why::Reference => ("unsupported_file_reference", "only the provider that keeps it can read it by its id"),
            Why::Unheld => ("file_too_large", "its text is longer than what a hard budget holds for it"),
            Why::TooMany => ("file_too_large", "a request may bring 100 files at most"),
        };
        let sentence = format!("{place}: this model takes no files, and this one cannot go as text: {why}");
        let is_ours = matches!(&self.why, Why::Unreadable(reason) if reason.is_ours());
        let fault = if is_ours {
            Fault::new(Kind::Unavailable).say(sentence)
        } else {
            Fault::new(Kind::BadRequest).say(sentence)
        };
        fault.param(place).code(code)
    }
}

/// Where the n-th file is, such as `messages[0].content[1]`. The body's depth is bounded.
fn place_of(value: &serde_json::Value, at: &str, left: &mut usize) -> Option<String> {
    match value {
        serde_json::Value::Object(members) => {
            let kind = members.get("type").and_then(serde_json::Value::as_str);
            if kind.is_some_and(|kind| matches!(kind, "file" | "input_file" | "document")) {
                if *left == 0 {
                    return Some(at.to_owned());
                }
                *left -= 1;
                return None;
            }
            members.iter().find_map(|(key, value)| {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                place_of(value, &at, left)
            })
        }
        serde_json::Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, value)| place_of(value, &format!("{at}[{index}]"), left))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::text::{Role, Turn};

    fn file(source: Source) -> Part {
        Part::File(Media { source, name: None, cache: None, extra: Vec::new() })
    }

    fn data(media_type: &str, bytes: &[u8]) -> Source {
        Source::Data { media_type: media_type.to_owned(), data: STANDARD.encode(bytes) }
    }

    fn request(parts: Vec<Part>) -> Request {
        Request { turns: vec![Turn { role: Role::User, name: None, parts }], ..Request::default() }
    }

    #[tokio::test]
    async fn files_of_text_go_as_text_and_others_are_refused_by_name() {
        let documents = Documents::new(None);
        for (source, expected) in [
            (data("text/csv", b"a,b"), Ok(Some("a,b"))),
            (data("application/ld+json", b"{}"), Ok(Some("{}"))),
            (Source::Text("is text".to_owned()), Ok(None)),
            (Source::Url("https://files.example/a".to_owned()), Ok(None)),
            (data("application/zip", b"PK"), Err(Why::Type)),
            (data("text/plain", b"\xff\xfe"), Err(Why::Type)),
            (Source::Data { media_type: "text/plain".to_owned(), data: "%".to_owned() }, Err(Why::NoBase64)),
            (Source::Id("file-1".to_owned()), Err(Why::Reference)),
        ] {
            let replaced = Texts::default().replace(&request(vec![file(source.clone())]), &documents, None).await;
            let text = replaced.map(|request| {
                request.map(|request| match &request.turns[0].parts[0] {
                    Part::File(Media { source: Source::Text(text), .. }) => text.clone(),
                    other => panic!("{other:?}"),
                })
            });
            let expected = expected.map(|text| text.map(str::to_owned)).map_err(|why| Unusable { nth: 0, why });
            assert_eq!(text, expected, "{source:?}");
        }
    }

    #[test]
    fn the_place_of_a_file_is_found_in_every_contract() {
        let body = br#"{"messages":[{"content":[{"type":"text","text":"file"},{"type":"file","file":{}}]},
            {"content":[{"type":"tool_result","content":[{"type":"document","source":{}}]}]}]}"#;
        for (nth, place) in [(0, "messages[0].content[1]"), (1, "messages[1].content[0].content[0]"), (2, "file")] {
            assert_eq!(Unusable { nth, why: Why::Type }.to_fault(body).at(), Some(place));
        }
    }
}
