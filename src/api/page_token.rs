//! Opaque page tokens, the same on both faces: a version, a digest of the filter they belong to, and a position.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::domain::page::PageRequest;

const VERSION: u8 = 1;
const AFTER_ID: u8 = 1;
const AT_OFFSET: u8 = 2;
const DIGEST_BYTES: usize = 8;

/// Where the next page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// After this id.
    After(Uuid),
    /// After so many items.
    Offset(u32),
}

/// What a token is bound to: the list and every condition of its filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Binding([u8; DIGEST_BYTES]);

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenError {
    /// Not a token that this gateway made for this list.
    NotOurs,
    /// Made with other filters.
    OtherFilter,
}

impl TokenError {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NotOurs => "is not a page token of this list; leave it out to start over",
            Self::OtherFilter => "belongs to a list with other filters; keep the filters or leave the token out",
        }
    }
}

impl Binding {
    /// Binds to a list and its conditions, in a fixed order; `None` is a condition that is not set.
    pub(super) fn new(list: &str, conditions: &[Option<&str>]) -> Self {
        let mut bound = list.as_bytes().to_vec();
        for condition in conditions {
            match condition {
                Some(text) => {
                    bound.push(1);
                    bound.extend_from_slice(&text.len().to_be_bytes());
                    bound.extend_from_slice(text.as_bytes());
                }
                None => bound.push(0),
            }
        }
        let full = crate::vault::digest([bound.as_slice()]);
        let mut digest = [0; DIGEST_BYTES];
        digest.iter_mut().zip(full).for_each(|(short, long)| *short = long);
        Self(digest)
    }
}

/// Makes a token.
pub(super) fn write(position: Position, binding: Binding) -> String {
    let mut bytes = Vec::with_capacity(26);
    bytes.push(VERSION);
    bytes.extend(binding.0);
    match position {
        Position::After(id) => {
            bytes.push(AFTER_ID);
            bytes.extend(id.as_bytes());
        }
        Position::Offset(offset) => {
            bytes.push(AT_OFFSET);
            bytes.extend(offset.to_be_bytes());
        }
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token made for the same list and filter.
pub(super) fn read(token: &str, binding: Binding) -> Result<Position, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError::NotOurs)?;
    let Some((&[VERSION, ref digest @ .., kind], rest)) = bytes.split_first_chunk::<{ DIGEST_BYTES + 2 }>() else {
        return Err(TokenError::NotOurs);
    };
    let position = match kind {
        AFTER_ID => Position::After(Uuid::from_slice(rest).map_err(|_| TokenError::NotOurs)?),
        AT_OFFSET => Position::Offset(u32::from_be_bytes(rest.try_into().map_err(|_| TokenError::NotOurs)?)),
        _ => return Err(TokenError::NotOurs),
    };
    if *digest != binding.0 {
        return Err(TokenError::OtherFilter);
    }
    Ok(position)
}

/// The page that starts at a position.
pub(super) fn page_at(position: Position, limit: u32) -> PageRequest {
    match position {
        Position::After(id) => PageRequest { limit, offset: 0, after: Some(id) },
        Position::Offset(offset) => PageRequest { limit, offset, after: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was_made() {
        let binding = Binding::new("keys", &[Some("true"), None]);
        for position in [Position::After(Uuid::from_u128(7)), Position::Offset(550)] {
            assert_eq!(read(&write(position, binding), binding), Ok(position));
        }
    }

    #[test]
    fn a_token_of_another_filter_or_of_nobody_is_refused() {
        let binding = Binding::new("keys", &[Some("a"), None]);
        let token = write(Position::Offset(1), binding);
        for other in [
            Binding::new("keys", &[None, Some("a")]),
            Binding::new("keys", &[Some(""), None]),
            Binding::new("deployments", &[Some("a"), None]),
        ] {
            assert_eq!(read(&token, other), Err(TokenError::OtherFilter));
        }
        let cut = token.split_at(token.len() - 2).0.to_owned();
        for garbage in ["", "AA", "not base64 !", &cut, &format!("{token}AA")] {
            assert_eq!(read(garbage, binding), Err(TokenError::NotOurs), "{garbage}");
        }
    }
}
