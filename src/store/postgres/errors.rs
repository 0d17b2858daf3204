//! What PostgreSQL and sqlx complain about, as faults. The cause is kept for the log; the public text never holds SQL.

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::migrate::MigrateError;

use super::UNREACHABLE;
use crate::fault::{Fault, Kind};

/// Classes of SQLSTATE codes that say "not now" rather than "never": connection, transaction rolled back, resources,
/// object in use (lock not available), operator's intervention (cancelled, shutting down), system error, wrong
/// credentials, and a server that only reads. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
const PASSING: [&str; 9] = ["08", "25", "28", "40", "53", "55", "57", "58", "3D"];
/// The class of data that does not fit its type, such as text that is no JSON or holds a NUL character.
const DATA: &str = "22";
/// A table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

/// The fault that a failed statement amounts to.
pub(super) fn fault(error: sqlx::Error) -> Fault {
    let fault = match &error {
        sqlx::Error::Database(refusal) => from_refusal(refusal.as_ref()),
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_) => unavailable(),
        // Everything else is a statement that does not fit the schema: ours to mend.
        _ => Fault::new(Kind::Internal),
    };
    fault.because(error)
}

/// The fault that a failed migration amounts to.
pub(super) fn migration_fault(error: MigrateError) -> Fault {
    let text = match &error {
        MigrateError::VersionMissing(number) => {
            format!("The database was written by a newer version of the gateway (schema {number}).")
        }
        MigrateError::VersionMismatch(number) => {
            format!("The database was written by another build of the gateway (schema {number} differs).")
        }
        MigrateError::Execute(_) => "PostgreSQL cannot be reached, or its schema cannot be changed.".to_owned(),
        _ => "The database schema cannot be brought up to date.".to_owned(),
    };
    Fault::new(Kind::Unavailable).say(text).because(error)
}

/// The fault of a database without the schema that this version needs.
pub(super) fn outdated() -> Fault {
    Fault::new(Kind::Unavailable).say(
        "The schema of the database is not that of this version: run `unified-gateway migrate` (or set \
         AUTO_MIGRATE=true).",
    )
}

fn from_refusal(refusal: &dyn DatabaseError) -> Fault {
    match refusal.kind() {
        ErrorKind::UniqueViolation if refusal.constraint().is_some_and(|name| name.contains("hash")) => {
            Fault::new(Kind::AlreadyExists).say("A virtual key with this secret already exists.")
        }
        ErrorKind::UniqueViolation => Fault::new(Kind::AlreadyExists).say("A resource with this id already exists."),
        ErrorKind::ForeignKeyViolation => {
            Fault::new(Kind::InUse).say("Another resource depends on this one, or this one on another that is gone.")
        }
        ErrorKind::NotNullViolation | ErrorKind::CheckViolation => unfit(),
        _ => match refusal.code().as_deref() {
            Some(UNDEFINED_TABLE) => outdated(),
            Some(code) if code.starts_with(DATA) => unfit(),
            Some(code) if PASSING.iter().any(|class| code.starts_with(class)) => unavailable(),
            Some(_) | None => Fault::new(Kind::Internal),
        },
    }
}

fn unfit() -> Fault {
    Fault::new(Kind::BadRequest).say("A value is outside of what can be stored.")
}

fn unavailable() -> Fault {
    Fault::new(Kind::Unavailable).say(UNREACHABLE)
}
