//! A field of a partial update: leave it, clear it, or set it.

/// Three-state field of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Not mentioned.
    #[default]
    Keep,
    /// Mentioned with no value (`null`, or in the field mask and unset).
    Clear,
    /// Mentioned with a value.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether the update mentions the field.
    #[must_use]
    pub const fn is_mentioned(&self) -> bool {
        !matches!(self, Self::Keep)
    }

    /// From a field that was mentioned: a value sets it, none clears it.
    #[must_use]
    pub fn mentioned(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }

    /// The same patch with its value turned into something else.
    ///
    /// # Errors
    /// What `turn` answers.
    pub fn try_map<U, E>(self, turn: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(turn(value)?),
        })
    }

    /// Applies it to an optional field.
    pub fn apply(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::Set(value) => *field = Some(value),
        }
    }

    /// Applies it to a field that always has a value; clearing restores `default`.
    pub fn apply_or(self, field: &mut T, default: T) {
        match self {
            Self::Keep => {}
            Self::Clear => *field = default,
            Self::Set(value) => *field = value,
        }
    }
}
