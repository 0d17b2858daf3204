//! Tools and their choice.

use crate::canonical::{Json, Wire};

/// A tool that may be called.
#[derive(Debug, Clone, PartialEq)]
pub enum Tool {
    /// A function of the application's, called with JSON.
    Function {
        /// Its name.
        name: String,
        /// What it does.
        description: Option<String>,
        /// JSON Schema of its arguments.
        parameters: Option<Json>,
        /// Whether arguments keep to the schema exactly.
        strict: Option<bool>,
        /// A cache breakpoint behind this tool.
        cache: Option<Json>,
    },
    /// A tool of the application's, called with free text.
    Custom {
        /// Its name.
        name: String,
        /// What it does.
        description: Option<String>,
        /// The grammar or kind of its text.
        format: Option<Json>,
    },
    /// A tool of one provider's wire, carried there as it is.
    Native {
        /// That wire.
        wire: Wire,
        /// Its `type`.
        kind: String,
        /// All of it.
        json: Json,
    },
}

impl Tool {
    /// The name it is called by, where the application gave one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Function { name, .. } | Self::Custom { name, .. } => Some(name),
            Self::Native { .. } => None,
        }
    }
}

/// Whether tools must be called.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
    /// One of these, or, unless required, none.
    Allowed {
        /// Whether at least one.
        is_required: bool,
        /// Names of functions.
        names: Vec<String>,
    },
    /// A choice that only one wire knows.
    Native {
        /// That wire.
        wire: Wire,
        /// All of it.
        json: Json,
    },
}
