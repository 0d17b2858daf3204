//! How much a model thinks: what is asked for, and how a model is told. The ladder between the two is the domain's.

pub use crate::domain::capability::{ReasoningKind, ReasoningLevel as Effort};

/// What is asked for. All absent: the provider's own default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thinking {
    /// A step of the ladder.
    pub effort: Option<Effort>,
    /// Tokens of thinking, where the client gave a number.
    pub budget: Option<u64>,
    /// Whether the client left the amount to the model (`thinking: adaptive`).
    pub is_adaptive: bool,
    /// `auto`, `concise`, `detailed` of Responses.
    pub summary: Option<String>,
    /// `summarized` or `omitted` of Messages.
    pub display: Option<String>,
    /// Whether the client wants opaque state back (`include: ["reasoning.encrypted_content"]`).
    pub wants_state: bool,
}

impl Thinking {
    /// The step asked for, by word or by number.
    #[must_use]
    pub fn step(&self) -> Option<Effort> {
        self.effort.or_else(|| self.budget.map(Effort::of_budget))
    }
}

/// How a model is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Control {
    /// The catalog's word; `None`: it does not reason, or nothing is known of it.
    pub kind: Option<ReasoningKind>,
    /// Steps it declares.
    pub levels: Vec<Effort>,
}
