//! What turns and answers are made of.

use crate::canonical::{Json, Wire};

/// One piece of a turn or of an answer, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text. Annotations (citations) are in the shape of Responses: `{"type":"url_citation", …}`.
    Text {
        /// The text.
        text: String,
        /// Annotations of it.
        annotations: Vec<Json>,
        /// A cache breakpoint behind this part: `{"type":"ephemeral", …}`.
        cache: Option<Json>,
    },
    /// An image.
    Image {
        /// Where it is.
        source: Source,
        /// How closely it is looked at: `auto`, `low`, `high`, `original`.
        detail: Option<String>,
        /// A cache breakpoint behind this part.
        cache: Option<Json>,
    },
    /// Sound: base64 data and its format (`wav`, `mp3`).
    Audio {
        /// Base64.
        data: String,
        /// Its format.
        format: String,
    },
    /// A document.
    File(Media),
    /// A call of a tool.
    ToolCall(ToolCall),
    /// What a tool answered.
    ToolResult(ToolResult),
    /// What the model thought.
    Reasoning(Reasoning),
    /// The model's words why it does not answer.
    Refusal(String),
    /// Something that only one wire knows, carried as it is on that wire and left out on others.
    Native {
        /// The wire it belongs to.
        wire: Wire,
        /// Its `type`.
        kind: String,
        /// All of it.
        json: Json,
    },
}

impl Part {
    /// Plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), annotations: Vec::new(), cache: None }
    }

    /// The text of a text part.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            _ => None,
        }
    }
}

/// Where the bytes of an image or a document are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// At a URL.
    Url(String),
    /// Here, in base64.
    Data {
        /// Such as `image/png`.
        media_type: String,
        /// Base64.
        data: String,
    },
    /// With the provider, by its id.
    Id(String),
    /// Plain text, here.
    Text(String),
}

impl Source {
    /// Reads a URL; `data:` URLs in base64 become data.
    #[must_use]
    pub fn from_url(url: &str) -> Self {
        let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(','));
        match data.and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data))) {
            Some((media_type, data)) => {
                // Parameters such as `;charset=utf-8` are no part of the type.
                let media_type = media_type.split(';').next().unwrap_or(media_type);
                Self::Data { media_type: media_type.to_owned(), data: data.to_owned() }
            }
            None => Self::Url(url.to_owned()),
        }
    }

    /// As a URL, `data:` for data; `None` for what has none.
    #[must_use]
    pub fn to_url(&self) -> Option<String> {
        match self {
            Self::Url(url) => Some(url.clone()),
            Self::Data { media_type, data } => Some(format!("data:{media_type};base64,{data}")),
            Self::Id(_) | Self::Text(_) => None,
        }
    }
}

/// A document.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// Where it is.
    pub source: Source,
    /// File name or title.
    pub name: Option<String>,
    /// A cache breakpoint behind this part.
    pub cache: Option<Json>,
    /// Other fields of the Messages document block (`context`, `citations`).
    pub extra: Vec<(&'static str, Json)>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ToolCall {
    /// The call's id.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as text: JSON as it was written, or free text for a custom tool.
    pub arguments: String,
    /// Whether the tool takes free text instead of JSON.
    pub is_custom: bool,
    /// The provider's id of the item that carries it (Responses).
    pub item_id: Option<String>,
    /// A cache breakpoint behind this part.
    pub cache: Option<Json>,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The call it answers.
    pub call_id: String,
    /// Text, images, documents.
    pub parts: Vec<Part>,
    /// Whether the tool failed, when stated.
    pub is_error: Option<bool>,
    /// Whether the tool takes free text instead of JSON.
    pub is_custom: bool,
    /// A cache breakpoint behind this part.
    pub cache: Option<Json>,
}

/// What the model thought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reasoning {
    /// The provider's id of it (Responses).
    pub id: Option<String>,
    /// Its own words.
    pub text: String,
    /// What it says about them.
    pub summary: Vec<String>,
    /// What its maker needs to go on from it; unreadable to everyone else.
    pub state: Option<State>,
}

impl Reasoning {
    /// What people may read of it: its words, else the summaries, a blank line between them.
    #[must_use]
    pub fn visible(&self) -> String {
        if self.text.is_empty() { self.summary.join("\n\n") } else { self.text.clone() }
    }
}

/// Opaque reasoning state. Only the account and model that made it can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The wire it was made on.
    pub wire: Wire,
    /// Whether the words themselves are hidden in it (`redacted_thinking`).
    pub is_redacted: bool,
    /// Signature or encrypted content, as it came.
    pub data: String,
    /// Who made it; `None` when the client did not get it from us.
    pub origin: Option<String>,
}
