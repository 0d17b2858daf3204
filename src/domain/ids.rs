//! Identifiers. All are UUIDv7 made by the application, so they sort by time of creation.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A text that is not a UUID where one was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a UUID")]
pub struct InvalidId;

fn parse(text: &str) -> Result<Uuid, InvalidId> {
    Uuid::try_parse(text).map_err(|_| InvalidId)
}

/// Identifies a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeploymentId(Uuid);

/// Identifies a virtual key (not the secret itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualKeyId(Uuid);

/// Identifies one entry of the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditId(Uuid);

/// Identifies one client request on the data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(Uuid);

impl DeploymentId {
    /// Wraps a UUID made by the application or read from the store.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID inside.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl VirtualKeyId {
    /// Wraps a UUID made by the application or read from the store.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID inside.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl AuditId {
    /// Wraps a UUID made by the application or read from the store.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID inside.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl OperationId {
    /// Wraps a UUID made by the application.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID inside.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for VirtualKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeploymentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text).map(Self)
    }
}

impl FromStr for VirtualKeyId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text).map(Self)
    }
}

/// Number of a configuration state. Every write to configuration takes the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub i64);

impl Revision {
    /// The revision as an opaque `etag`.
    #[must_use]
    pub fn to_etag(self) -> String {
        format!("r{}", self.0)
    }

    /// Reads an `etag` made by [`Revision::to_etag`], quoted or not. `None` when it is not one.
    #[must_use]
    pub fn from_etag(etag: &str) -> Option<Self> {
        etag.trim().trim_matches('"').strip_prefix('r')?.parse().ok().map(Self)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_round_trips_and_nothing_else_is_one() {
        assert_eq!(Revision::from_etag(&Revision(12).to_etag()), Some(Revision(12)));
        assert_eq!(Revision::from_etag("\"r7\""), Some(Revision(7)));
        assert_eq!(Revision::from_etag("7"), None);
        assert_eq!(Revision::from_etag("rx"), None);
    }
}
