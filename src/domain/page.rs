//! Pages of a list. Lists are ordered by id (so by time of creation) and paged by the last id seen, or by offset.

/// Where a page starts and how long it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// At most so many items; 1..=500.
    pub limit: u32,
    /// Skip so many items. At most 10,000.
    pub offset: u32,
    /// Only items whose id sorts after this one.
    pub after: Option<uuid::Uuid>,
}

impl PageRequest {
    /// Items on a page when the caller does not say.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// Most items on a page.
    pub const MAX_LIMIT: u32 = 500;
    /// Farthest offset; beyond it, page by cursor.
    pub const MAX_OFFSET: u32 = 10_000;
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: Self::DEFAULT_LIMIT, offset: 0, after: None }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// How many items match in all, counted up to 10,000.
    pub total: u32,
    /// Whether more items follow.
    pub has_more: bool,
}
