//! Statements that leave nothing behind on the server.
//!
//! A named prepared statement belongs to a connection of the server, which a pooler in transaction mode gives to somebody
//! else in the next transaction, names and all. An unnamed one lives until the next statement, and a transaction keeps
//! its connection.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Query, QueryScalar};
use sqlx::{FromRow, Postgres};

/// A statement.
pub(super) fn query(sql: &'static str) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(sql).persistent(false)
}

/// A statement that answers one value.
pub(super) fn query_scalar<O>(sql: &'static str) -> QueryScalar<'static, Postgres, O, PgArguments>
where
    (O,): for<'r> FromRow<'r, PgRow>,
{
    sqlx::query_scalar(sql).persistent(false)
}
