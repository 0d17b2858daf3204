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

impl Control {
    /// The step that a model is asked for when a client asks for `step`: never refused, only moved to one it has. Of a
    /// model that cannot be steered, or of which nothing is known, the step itself.
    #[must_use]
    pub fn settle(&self, step: Effort) -> Effort {
        match self.kind {
            None | Some(ReasoningKind::Fixed) => step,
            Some(_) => step.clamp(&self.levels),
        }
    }
}

/// What is recorded of how much a model was to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Steps {
    /// What the client asked for.
    pub requested: Option<Effort>,
    /// What the provider was asked for; `None` where it was asked for nothing.
    pub effective: Option<Effort>,
}

impl Steps {
    /// Whether another step was asked for than the client's.
    #[must_use]
    pub fn is_clamped(&self) -> bool {
        self.requested != self.effective
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_tells_what_was_asked_for_and_what_it_became() {
        let control = |kind, levels: &[Effort]| Control { kind, levels: levels.to_vec() };
        let effort = Some(ReasoningKind::OpenaiEffort);
        for (control, requested, effective) in [
            (control(effort, &[Effort::Low, Effort::High]), Effort::Max, Effort::High),
            (control(effort, &[Effort::Low, Effort::High]), Effort::None, Effort::Low),
            (control(effort, &[Effort::None, Effort::High]), Effort::Low, Effort::High),
            (control(None, &[]), Effort::Xhigh, Effort::Xhigh),
            (control(Some(ReasoningKind::Fixed), &[Effort::High]), Effort::Low, Effort::Low),
        ] {
            let settled = control.settle(requested);
            assert_eq!(settled, effective, "{control:?}");
            let steps = Steps { requested: Some(requested), effective: Some(settled) };
            assert_eq!(steps.is_clamped(), requested != effective);
        }
        assert!(!Steps::default().is_clamped());
        assert!(Steps { requested: Some(Effort::Low), effective: None }.is_clamped());
    }
}
