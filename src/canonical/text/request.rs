//! A request for text.

use std::collections::BTreeMap;

use super::content::Part;
use super::parameter::Parameter;
use super::reasoning::Thinking;
use super::tool::{Tool, ToolChoice};
use crate::canonical::Json;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// The conversation, in order.
    pub turns: Vec<Turn>,
    /// Tools that may be called.
    pub tools: Vec<Tool>,
    /// Whether they must be.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// Most tokens to write, reasoning included.
    pub max_output_tokens: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// What the text of the answer must look like.
    pub format: Option<Format>,
    /// How much the model thinks.
    pub thinking: Thinking,
    /// Everything that is one value and means the same wherever it is known.
    pub parameters: BTreeMap<Parameter, Json>,
    /// Names of fields that the contract does not know and nothing is known of.
    pub unknown: Vec<String>,
    /// Whether the answer is streamed.
    pub is_stream: bool,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// The participant's name.
    pub name: Option<String>,
}

impl Turn {
    /// A turn of these parts.
    #[must_use]
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, parts, name: None }
    }

    /// All its text, parts joined by LF.
    #[must_use]
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.parts.iter().filter_map(Part::as_text).collect();
        texts.join("\n")
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    /// Tool results only.
    Tool,
}

/// What the text of an answer must look like.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    /// Any text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON of a schema.
    Schema {
        /// Its name.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// JSON Schema.
        schema: Json,
        /// Whether it is kept to exactly.
        strict: Option<bool>,
    },
}
