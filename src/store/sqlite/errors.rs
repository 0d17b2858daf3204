//! What SQLite and sqlx complain about, as faults. The cause is kept for the log; the public text never holds SQL.

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::migrate::MigrateError;

use crate::fault::{Fault, Kind};

/// The primary result codes that say "not now" rather than "never". <https://www.sqlite.org/rescode.html>
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const PROTOCOL: i32 = 15;
    /// An extended code: a trigger of the schema refused the row.
    pub(super) const CONSTRAINT_TRIGGER: i32 = 1811;
}

/// The fault that a failed statement amounts to.
pub(super) fn fault(error: sqlx::Error) -> Fault {
    let fault = match &error {
        sqlx::Error::Database(refusal) => from_refusal(refusal.as_ref()),
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Io(_) => {
            unavailable()
        }
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
        _ => "The database schema cannot be brought up to date.".to_owned(),
    };
    Fault::new(Kind::Unavailable).say(text).because(error)
}

fn from_refusal(refusal: &dyn DatabaseError) -> Fault {
    match refusal.kind() {
        ErrorKind::UniqueViolation if refusal.message().contains("hash") => secret_in_use(),
        ErrorKind::UniqueViolation => Fault::new(Kind::AlreadyExists).say("A resource with this id already exists."),
        ErrorKind::ForeignKeyViolation => {
            Fault::new(Kind::InUse).say("Another resource depends on this one, or this one on another that is gone.")
        }
        ErrorKind::NotNullViolation | ErrorKind::CheckViolation => {
            Fault::new(Kind::BadRequest).say("A value is outside of what can be stored.")
        }
        _ => match refusal.code().and_then(|code| code.parse::<i32>().ok()) {
            Some(code::CONSTRAINT_TRIGGER) => secret_in_use(),
            Some(code) if is_passing(code & 0xff) => unavailable(),
            _ => Fault::new(Kind::Internal),
        },
    }
}

const fn is_passing(primary: i32) -> bool {
    matches!(
        primary,
        code::BUSY | code::LOCKED | code::READONLY | code::IOERR | code::FULL | code::CANTOPEN | code::PROTOCOL
    )
}

fn secret_in_use() -> Fault {
    Fault::new(Kind::AlreadyExists).say("A virtual key with this secret already exists.")
}

fn unavailable() -> Fault {
    Fault::new(Kind::Unavailable).say("The control store cannot be reached now; try again.")
}
