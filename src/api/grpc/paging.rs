//! `page_size`, `page_token` and `next_page_token`, after AIP-158.

use crate::api::page_token::{self, Binding, Position};
use crate::domain::page::PageRequest;
use crate::fault::{Fault, Outcome};

/// Reads where a page starts and how long it may be. Too large a size is cut to the largest.
///
/// # Errors
/// `BadRequest` on `page_size` when it is negative, on `page_token` when it is not one of this list and filter.
pub(super) fn read(size: i32, token: &str, binding: Binding) -> Outcome<PageRequest> {
    let size = u32::try_from(size).map_err(|_| Fault::invalid("page_size", "must not be negative"))?;
    let limit = if size == 0 { PageRequest::DEFAULT_LIMIT } else { size.min(PageRequest::MAX_LIMIT) };
    if token.is_empty() {
        return Ok(PageRequest { limit, ..PageRequest::default() });
    }
    let position = page_token::read(token, binding).map_err(|error| Fault::invalid("page_token", error.as_str()))?;
    Ok(page_token::page_at(position, limit))
}

/// The token of the next page; empty on the last one.
pub(super) fn next(has_more: bool, position: Option<Position>, binding: Binding) -> String {
    position.filter(|_| has_more).map(|position| page_token::write(position, binding)).unwrap_or_default()
}

/// A count as the messages carry it.
pub(super) fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The total of a page as the messages carry it.
pub(super) fn total(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_defaulted_capped_or_refused() {
        let binding = Binding::new("x", &[]);
        let cases = [(0, Ok(50)), (1, Ok(1)), (500, Ok(500)), (501, Ok(500)), (-1, Err("page_size"))];
        for (size, expected) in cases {
            let page = read(size, "", binding);
            let seen = page.as_ref().map(|page| page.limit).map_err(|fault| fault.at().unwrap_or_default());
            assert_eq!(seen, expected, "{size}");
        }
        assert_eq!(read(1, "nonsense", binding).unwrap_err().at(), Some("page_token"));
        let token = next(true, Some(Position::Offset(9)), binding);
        assert_eq!(read(1, &token, binding).unwrap().offset, 9);
        assert_eq!(next(false, Some(Position::Offset(9)), binding), "");
    }
}
