//! The closed list of what can go wrong, and what each kind means to every reader.
//!
//! A [`Fault`] is the only error that leaves a module of the gateway. It has a public side (a sentence that we wrote,
//! a code, the field at fault) and a private side (the cause), which is logged at the border and never shown.
//! [`Kind::row`] is the one table: HTTP status, gRPC code, envelope types, default code, whether other candidates are
//! worth trying. Nothing else in the code base maps errors to statuses.

mod kind;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

pub use kind::{Blame, GrpcCode, Kind, Row};

/// One field of a request that is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON path or field path of the caller's own request: `messages[2].content`, `credentials.apiKey`.
    pub field: String,
    /// What is wrong and what is allowed, in our words.
    pub description: String,
}

/// What went wrong: kind, public text, private cause.
pub struct Fault(Box<Inner>);

struct Inner {
    kind: Kind,
    message: Cow<'static, str>,
    code: Option<&'static str>,
    param: Option<String>,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
    never_retry: bool,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// `Result` with a [`Fault`].
pub type Outcome<T> = Result<T, Fault>;

impl Fault {
    /// A fault of this kind with the kind's standing sentence.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self(Box::new(Inner {
            kind,
            message: Cow::Borrowed(kind.row().sentence),
            code: kind.row().code,
            param: None,
            violations: Vec::new(),
            retry_after: None,
            never_retry: false,
            cause: None,
        }))
    }

    /// `bad_request` about one field: the usual answer to invalid input.
    #[must_use]
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        let field = field.into();
        let description = description.into();
        let mut fault = Self::new(Kind::BadRequest).say(format!("{field}: {description}"));
        fault.0.param = Some(field.clone());
        fault.0.violations.push(Violation { field, description });
        fault
    }

    /// `bad_request` about several fields at once. `None` when there are none.
    #[must_use]
    pub fn from_violations(violations: Vec<Violation>) -> Option<Self> {
        let first = violations.first()?;
        let message = violations
            .iter()
            .map(|violation| format!("{}: {}", violation.field, violation.description))
            .collect::<Vec<_>>()
            .join("; ");
        let mut fault = Self::new(Kind::BadRequest).say(message);
        fault.0.param = Some(first.field.clone());
        fault.0.violations = violations;
        Some(fault)
    }

    /// The same about a part of a larger document: fields are named from there, at `path`.
    #[must_use]
    pub fn within(self, path: &str) -> Self {
        let nested = self.0.violations.iter().map(|violation| Violation {
            field: format!("{path}.{}", violation.field),
            description: violation.description.clone(),
        });
        Self::from_violations(nested.collect()).unwrap_or(self)
    }

    /// Replaces the public sentence. Never put a secret, a host, SQL or a provider's raw words here.
    #[must_use]
    pub fn say(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Replaces the machine-readable code.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.0.code = Some(code);
        self
    }

    /// Names the field of the caller's request that is at fault.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    /// Waiting this long can cure it.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Tells client SDKs not to repeat the request by themselves.
    #[must_use]
    pub fn never_retry(mut self) -> Self {
        self.0.never_retry = true;
        self
    }

    /// Keeps the private cause for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The same for another caller who waited for the same: all of it, the cause as text.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self(Box::new(Inner {
            kind: self.0.kind,
            message: self.0.message.clone(),
            code: self.0.code,
            param: self.0.param.clone(),
            violations: self.0.violations.clone(),
            retry_after: self.0.retry_after,
            never_retry: self.0.never_retry,
            cause: self.cause().map(Into::into),
        }))
    }

    /// What kind of fault it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The public sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The machine-readable code, where the kind or the site has one.
    #[must_use]
    pub fn error_code(&self) -> Option<&'static str> {
        self.0.code
    }

    /// The field at fault.
    #[must_use]
    pub fn at(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// Every field at fault.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// How long to wait before trying again, where waiting helps.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether a client SDK must not repeat it by itself.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.0.never_retry
    }

    /// The private cause with its chain, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        let mut text = String::new();
        let mut next: Option<&(dyn Error + 'static)> = self.0.cause.as_deref().map(|cause| cause as _);
        while let Some(error) = next {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&error.to_string());
            next = error.source();
        }
        (!text.is_empty()).then_some(text)
    }
}

impl From<Kind> for Fault {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("param", &self.0.param)
            .field("cause", &self.cause())
            .finish()
    }
}

impl Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_private_and_the_chain_is_kept() {
        let io = std::io::Error::other("disk on fire");
        let fault = Fault::new(Kind::Internal).because(io);
        assert!(!fault.to_string().contains("fire"));
        assert_eq!(fault.cause().as_deref(), Some("disk on fire"));
    }

    #[test]
    fn a_twin_says_and_hides_the_same() {
        let fault = Fault::invalid("name", "is required").code("c").never_retry().because("disk on fire");
        let twin = fault.twin().retry_after(Duration::from_secs(1));
        assert_eq!((twin.message(), twin.at(), twin.error_code()), (fault.message(), Some("name"), Some("c")));
        assert_eq!((twin.violations(), twin.cause(), twin.is_final()), (fault.violations(), fault.cause(), true));
        assert_eq!((twin.wait(), fault.wait()), (Some(Duration::from_secs(1)), None));
    }

    #[test]
    fn several_violations_are_reported_together() {
        let violation = |field: &str| Violation { field: field.into(), description: "is required".into() };
        let fault = Fault::from_violations(vec![violation("name"), violation("rpm")]).unwrap();
        assert_eq!(fault.at(), Some("name"));
        assert_eq!(fault.message(), "name: is required; rpm: is required");
        assert!(Fault::from_violations(Vec::new()).is_none());
    }
}
