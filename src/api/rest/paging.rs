//! `limit`, `offset` and `cursor`; `nextOffset` and `nextCursor`.

use serde::Serialize;

use super::call::Query;
use crate::api::page_token::{self, Binding, Position};
use crate::domain::page::{Page, PageRequest};
use crate::fault::{Fault, Outcome};

/// Where in a list an answer stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pagination {
    limit: u32,
    /// Null after a cursor: it does not count what came before.
    offset: Option<u32>,
    /// Null where a list counts on its first page alone.
    total: Option<u32>,
    next_offset: Option<u32>,
    next_cursor: Option<String>,
}

impl Pagination {
    /// Without a total.
    pub(super) fn uncounted(self) -> Self {
        Self { total: None, ..self }
    }
}

/// Reads where a page starts and how long it may be.
///
/// # Errors
/// `BadRequest` on the parameter.
pub(super) fn read(query: &Query, binding: Binding) -> Outcome<PageRequest> {
    let limit = query.whole("limit", 1..=PageRequest::MAX_LIMIT)?.unwrap_or(PageRequest::DEFAULT_LIMIT);
    let offset = query.whole("offset", 0..=PageRequest::MAX_OFFSET)?;
    match (query.text("cursor"), offset) {
        (Some(_), Some(_)) => Err(Fault::invalid("cursor", "cannot go with `offset`; send one of them")),
        (Some(cursor), None) => {
            let position =
                page_token::read(cursor, binding).map_err(|error| Fault::invalid("cursor", error.as_str()))?;
            Ok(page_token::page_at(position, limit))
        }
        (None, offset) => Ok(PageRequest { limit, offset: offset.unwrap_or_default(), after: None }),
    }
}

/// Where the answered page stands. `next` is where the one after it starts.
pub(super) fn write<T>(request: &PageRequest, page: &Page<T>, next: Option<Position>, binding: Binding) -> Pagination {
    let seen = u32::try_from(page.items.len()).unwrap_or(u32::MAX);
    let offset = request.after.is_none().then_some(request.offset);
    let next_offset = offset.map(|offset| offset.saturating_add(seen));
    Pagination {
        limit: request.limit,
        offset,
        total: Some(page.total),
        next_offset: next_offset.filter(|next| page.has_more && *next <= PageRequest::MAX_OFFSET),
        next_cursor: next.filter(|_| page.has_more).map(|next| page_token::write(next, binding)),
    }
}
