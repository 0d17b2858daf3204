//! Content that a request names by URL, for candidates that take it inline only: fetched once for the request, whoever
//! serves it in the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use tokio::sync::Mutex;

use super::sniff::{Kind, sniff};
use crate::canonical::text::{Part, Request, Source};
use crate::fault::Fault;
use crate::providers::Named;
use crate::transport::{RemoteContent, RemoteError};

const MAX_BYTES: usize = 20 * 1024 * 1024;
const MAX_REQUEST_BYTES: usize = 50 * 1024 * 1024;
const MAX_URLS: usize = 100;
const AT_A_TIME: usize = 4;
/// Fields in which contracts name content by URL.
const URL_FIELDS: [&str; 4] = ["url", "image_url", "file_url", "file_data"];

/// What was fetched for one request, failures too.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    known: Mutex<BTreeMap<String, Found>>,
    /// Whether nothing is fetched, and a picture stands for everything.
    is_pretence: bool,
}

type Found = Result<Arc<Content>, String>;

#[derive(Debug)]
struct Content {
    kind: Kind,
    /// Text as it is, all else in base64.
    data: String,
    bytes: usize,
}

impl Content {
    fn stand_in() -> Self {
        Self { kind: Kind::Image("image/png"), data: "iVBORw0KGgo=".to_owned(), bytes: 8 }
    }
}

/// A URL that could not be made content, and why, in words for the caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    pub url: String,
    pub why: String,
}

impl Gathered {
    /// Fetches nothing: a picture stands for what a URL leads to.
    pub(super) fn pretence() -> Self {
        Self { is_pretence: true, ..Self::default() }
    }

    /// The request with the content of those URLs that `reads` says no to. `None` when there are none.
    ///
    /// # Errors
    /// The first URL that is of no use.
    pub(super) async fn inline(
        &self,
        request: &Request,
        remote: &RemoteContent,
        reads: impl Fn(Named, &str) -> bool,
    ) -> Result<Option<Request>, Unusable> {
        let mut urls: Vec<String> = Vec::new();
        for part in request.turns.iter().flat_map(|turn| &turn.parts) {
            collect(part, &reads, &mut urls);
        }
        if urls.is_empty() {
            return Ok(None);
        }
        if urls.len() > MAX_URLS {
            let url = urls.swap_remove(MAX_URLS);
            return Err(Unusable { url, why: format!("more than {MAX_URLS} URLs of content in a request") });
        }
        let mut known = self.known.lock().await;
        if self.is_pretence {
            known.extend(urls.iter().map(|url| (url.clone(), Ok(Arc::new(Content::stand_in())))));
        } else {
            fetch_unknown(&urls, remote, &mut known).await;
        }
        let mut request = request.clone();
        for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
            replace(part, &reads, &known)?;
        }
        Ok(Some(request))
    }
}

fn url_of(part: &Part) -> Option<(Named, &str)> {
    match part {
        Part::Image { source: Source::Url(url), .. } => Some((Named::Image, url)),
        Part::File(media) => match &media.source {
            Source::Url(url) => Some((Named::File, url)),
            Source::Data { .. } | Source::Id(_) | Source::Text(_) => None,
        },
        _ => None,
    }
}

fn is_wanted(named: Named, url: &str, reads: &impl Fn(Named, &str) -> bool) -> bool {
    // Only these are fetched; whatever else it is, the wire or the provider refuses it in its own words.
    url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) && !reads(named, url)
}

fn collect(part: &Part, reads: &impl Fn(Named, &str) -> bool, urls: &mut Vec<String>) {
    if let Part::ToolResult(result) = part {
        return result.parts.iter().for_each(|part| collect(part, reads, urls));
    }
    if let Some((named, url)) = url_of(part)
        && is_wanted(named, url, reads)
        && !urls.iter().any(|known| known == url)
    {
        urls.push(url.to_owned());
    }
}

async fn fetch_unknown(urls: &[String], remote: &RemoteContent, known: &mut BTreeMap<String, Found>) {
    let unknown: Vec<String> = urls.iter().filter(|url| !known.contains_key(*url)).cloned().collect();
    let fetches = unknown.into_iter().map(|url| {
        let remote = remote.clone();
        async move {
            let found = fetch(&remote, &url).await;
            (url, found)
        }
    });
    let mut fetched = futures_util::stream::iter(fetches).buffer_unordered(AT_A_TIME);
    let mut total: usize = known.values().flatten().map(|content| content.bytes).sum();
    while let Some((url, found)) = fetched.next().await {
        let found = found.and_then(|content| {
            total += content.bytes;
            let fits = total <= MAX_REQUEST_BYTES;
            fits.then_some(content).ok_or_else(|| "all content of a request may have 50 MB together".to_owned())
        });
        known.insert(url, found.map(Arc::new));
    }
}

async fn fetch(remote: &RemoteContent, url: &str) -> Result<Content, String> {
    let bytes = remote.fetch(url, MAX_BYTES).await.map_err(|error| match error {
        RemoteError::TooLarge => "it is larger than 20 MB".to_owned(),
        error => error.to_string(),
    })?;
    let kind = sniff(&bytes).ok_or_else(|| "its type is none that is known".to_owned())?;
    let data = match kind {
        Kind::Text => String::from_utf8_lossy(&bytes).into_owned(),
        Kind::Image(_) | Kind::Pdf | Kind::Audio(_) => STANDARD.encode(&bytes),
    };
    Ok(Content { kind, data, bytes: bytes.len() })
}

fn replace(
    part: &mut Part,
    reads: &impl Fn(Named, &str) -> bool,
    known: &BTreeMap<String, Found>,
) -> Result<(), Unusable> {
    if let Part::ToolResult(result) = part {
        return result.parts.iter_mut().try_for_each(|part| replace(part, reads, known));
    }
    let Some((named, url)) = url_of(part).filter(|(named, url)| is_wanted(*named, url, reads)) else { return Ok(()) };
    let unusable = |why: &str| Unusable { url: url.to_owned(), why: why.to_owned() };
    let content = match known.get(url) {
        Some(Ok(content)) => content,
        Some(Err(why)) => return Err(unusable(why)),
        None => return Err(unusable("it was not fetched")),
    };
    let data = content.data.clone();
    let (source, audio) = match (named, content.kind) {
        (_, Kind::Image(media_type)) => (Source::Data { media_type: media_type.to_owned(), data }, None),
        (Named::Image, _) => return Err(unusable("it is no picture in PNG, JPEG, GIF or WebP")),
        (Named::File, Kind::Pdf) => (Source::Data { media_type: "application/pdf".to_owned(), data }, None),
        (Named::File, Kind::Text) => (Source::Text(data), None),
        (Named::File, Kind::Audio(format)) => (Source::Text(data), Some(format)),
    };
    let is_image = matches!(content.kind, Kind::Image(_));
    match part {
        Part::Image { source: own, .. } => *own = source,
        Part::File(media) if is_image => *part = Part::Image { source, detail: None, cache: media.cache.take() },
        Part::File(media) => match (source, audio) {
            (Source::Text(data), Some(format)) => *part = Part::Audio { data, format: format.to_owned() },
            (source, _) => media.source = source,
        },
        _ => {}
    }
    Ok(())
}

impl Unusable {
    /// What the caller is told, with the place of the URL in the request.
    pub(super) fn to_fault(&self, body: &[u8]) -> Fault {
        let place = serde_json::from_slice(body).ok().and_then(|body| place_of(&body, "", &self.url));
        let place = place.unwrap_or_else(|| "url".to_owned());
        Fault::invalid(place, format!("the content at this URL cannot be sent to the model: {}", self.why))
    }
}

/// Where a URL of content is, such as `messages[0].content[1].image_url.url`. The body's depth is bounded.
fn place_of(value: &serde_json::Value, at: &str, url: &str) -> Option<String> {
    match value {
        serde_json::Value::Object(members) => members.iter().find_map(|(key, value)| {
            let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            if URL_FIELDS.contains(&key.as_str()) && value.as_str() == Some(url) {
                return Some(at);
            }
            place_of(value, &at, url)
        }),
        serde_json::Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, value)| place_of(value, &format!("{at}[{index}]"), url))
        }
        _ => None,
    }
}
