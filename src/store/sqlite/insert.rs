//! Inserts of several rows with one statement.
//!
//! Values are bound: taking fifty of them out of JSON, which PostgreSQL does fast, costs SQLite several times the insert. A
//! statement is for a fixed number of rows, so that it stays prepared; what it has too many are null and left out.

use std::borrow::Cow;

use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;
use uuid::Uuid;

use crate::domain::ports::PortError;

/// Rows that statements are for.
pub(super) const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Most rows of one statement.
pub(super) const MOST_ROWS: usize = 64;

/// A value of a row.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// A number, or a truth.
    Int(Option<i64>),
    Text(Option<Cow<'a, str>>),
    /// Sixteen bytes, written as a UUID.
    Id(Option<&'a str>),
}

/// A column, and its value in a row.
pub(super) type Column<R> = (&'static str, for<'a> fn(&'a R) -> Value<'a>);

impl<'a> Value<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text(Some(Cow::Borrowed(text)))
    }

    pub(super) fn maybe_text(text: &'a Option<String>) -> Self {
        Self::Text(text.as_deref().map(Cow::Borrowed))
    }

    /// A list, as JSON.
    pub(super) fn list(list: &[String]) -> Self {
        if list.is_empty() {
            return Self::text("[]");
        }
        Self::Text(Some(Cow::Owned(serde_json::Value::from(list).to_string())))
    }

    pub(super) fn count(count: impl Into<u64>) -> Self {
        Self::maybe_count(Some(count.into()))
    }

    pub(super) fn maybe_count(count: Option<u64>) -> Self {
        Self::Int(count.map(|count| i64::try_from(count).unwrap_or(i64::MAX)))
    }
}

/// An `INSERT` of so many rows, or fewer, each with an expression in a further column where there is one. The first column is
/// never null. The first parameter is whatever the caller has for others; the rows begin at the second.
///
/// Parameters have no numbers: to bind one that has, SQLite is asked for its name, and looks through all of them.
pub(super) fn insert<R>(table: &str, columns: &[Column<R>], further: Option<(&str, &str)>, rows: usize) -> String {
    let names: Vec<_> =
        further.map(|(name, _)| name).into_iter().chain(columns.iter().map(|(name, _)| *name)).collect();
    let first = further.map(|(_, value)| format!("{value}, ")).unwrap_or_default();
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    format!(
        "WITH passed_over (it) AS (VALUES (?)) INSERT INTO {table} ({}) SELECT {first}* FROM (VALUES {}) \
         WHERE column1 IS NOT NULL",
        names.join(", "),
        vec![row.as_str(); rows].join(", ")
    )
}

/// Which of [`SIZES`] so many rows need.
pub(super) fn size_for(rows: usize) -> usize {
    SIZES.iter().position(|size| rows <= *size).unwrap_or(SIZES.len() - 1)
}

/// Binds rows.
pub(super) fn bind<R>(arguments: &mut SqliteArguments, columns: &[Column<R>], rows: &[R]) -> Result<(), PortError> {
    arguments.reserve(rows.len() * columns.len(), 0);
    for row in rows {
        columns.iter().try_for_each(|(_, value)| bind_value(arguments, value(row)))?;
    }
    Ok(())
}

fn bind_value(arguments: &mut SqliteArguments, value: Value<'_>) -> Result<(), PortError> {
    match value {
        Value::Int(number) => arguments.add(number),
        Value::Text(text) => arguments.add(text.map(Cow::into_owned)),
        Value::Id(None) => arguments.add(None::<Vec<u8>>),
        Value::Id(Some(id)) => {
            let id = Uuid::parse_str(id).map_err(|error| PortError::Refused(error.into()))?;
            arguments.add(id.as_bytes().to_vec())
        }
    }
    .map_err(PortError::Refused)
}
