//! A request for text.

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// The conversation, in order.
    pub turns: Vec<Turn>,
    /// Functions that may be called.
    pub tools: Vec<Tool>,
    /// Whether they must be.
    pub tool_choice: ToolChoice,
    /// Most tokens to write.
    pub max_output_tokens: Option<u64>,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// The text of the turn, its parts joined by LF.
    pub text: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// A function that may be called.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// JSON Schema of its arguments.
    pub parameters: serde_json::Value,
}

/// Whether tools must be called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}
