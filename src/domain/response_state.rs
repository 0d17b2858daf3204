//! Responses that are kept for the application that made them.

use uuid::Uuid;

use super::ids::VirtualKeyId;
use crate::time::Timestamp;

/// Identifies a stored response. A client sees it as `resp_` and 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResponseId(Uuid);

impl ResponseId {
    /// Wraps a UUIDv7 made by the application or read from the store.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID inside.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }

    /// Reads `resp_` and 32 hexadecimal digits in lower case. No other spelling names a response.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_hex(text.strip_prefix("resp_")?)
    }

    /// Reads 32 hexadecimal digits in lower case.
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Self> {
        let is_hex = hex.len() == 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| Uuid::try_parse(hex).ok().map(Self)).flatten()
    }

    /// Its 32 hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.0.simple().to_string()
    }
}

impl std::fmt::Display for ResponseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "resp_{}", self.0.simple())
    }
}

/// Whose responses: those of one virtual key, or the operator's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateScope(Uuid);

impl StateScope {
    /// The master key's.
    pub const MASTER: Self = Self(Uuid::nil());

    /// A virtual key's. A new secret of the same key sees the same responses.
    #[must_use]
    pub const fn of(key: VirtualKeyId) -> Self {
        Self(*key.as_uuid())
    }

    /// The UUID that stands for it; nil is the master key.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

/// A stored response as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseState {
    /// Which.
    pub id: ResponseId,
    /// Whose.
    pub scope: StateScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it counts as gone.
    pub expires_at: Timestamp,
    /// What it holds, encrypted for this row.
    pub envelope: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = ResponseId::from_uuid(Uuid::from_u128(0xabc));
        let text = id.to_string();
        assert_eq!(text, format!("resp_{}abc", "0".repeat(29)));
        assert_eq!(ResponseId::parse(&text), Some(id));
        let dashed = format!("resp_{}", id.as_uuid());
        for other in [&text.to_uppercase(), &text[..36], &format!("{text}0"), &dashed, "resp_", "", &id.to_hex()] {
            assert_eq!(ResponseId::parse(other), None, "{other}");
        }
    }
}
