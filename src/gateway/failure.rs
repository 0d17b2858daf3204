//! What a failed attempt was, whether another may follow, and what the caller is told when none did.

use std::time::Duration;

use super::ErrorDetail;
use crate::fault::{Fault, Kind};
use crate::providers::FailureClass;
use crate::routing::{Blow, Target};
use crate::telemetry::redact::redact;

/// Most characters of a provider's words that a caller sees.
const MAX_DETAIL_CHARS: usize = 1000;

/// Whether a failed attempt may be followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The provider answered, or never saw the request.
    Safe,
    /// The request may have been processed: at most once more.
    Once,
}

/// A failed attempt.
#[derive(Debug)]
pub struct Failure {
    /// What it is and does.
    pub class: FailureClass,
    /// Whether another attempt may follow.
    pub repeat: Repeat,
    /// Whether time ran out.
    pub timed_out: bool,
    /// The provider's status, where it answered with one.
    pub status: Option<u16>,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
    /// The provider's words and the field they name, for a caller who can mend the request. Sanitised.
    pub detail: Option<Detail>,
    /// Our own refusal to send it to this candidate, with its code: another may still take it.
    pub refused_as: Option<(Kind, Option<&'static str>)>,
    /// Whether it is a bound of ours that was met, which says nothing of the provider.
    pub is_ours: bool,
    /// For the log: what happened, without secrets.
    pub cause: String,
}

/// A provider's words, sanitised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// The sentence.
    pub message: String,
    /// The field it names.
    pub param: Option<String>,
}

impl Failure {
    /// A failure without an answer.
    pub fn transient(repeat: Repeat, cause: impl Into<String>) -> Self {
        Self {
            class: FailureClass::Transient,
            repeat,
            timed_out: false,
            status: None,
            retry_after: None,
            detail: None,
            refused_as: None,
            is_ours: false,
            cause: cause.into(),
        }
    }

    /// A fault of the deployment's configuration.
    pub fn configuration(cause: impl Into<String>) -> Self {
        Self { class: FailureClass::Configuration, ..Self::transient(Repeat::Safe, cause) }
    }

    /// Time ran out.
    pub fn timed_out(cause: impl Into<String>) -> Self {
        Self { timed_out: true, ..Self::transient(Repeat::Once, cause) }
    }

    /// Our own refusal: this candidate cannot be sent the request.
    pub fn refused(fault: &Fault) -> Self {
        Self {
            class: FailureClass::Request,
            detail: Some(Detail { message: fault.message().to_owned(), param: fault.at().map(str::to_owned) }),
            refused_as: Some((fault.kind(), fault.error_code())),
            ..Self::transient(Repeat::Safe, "the request cannot be prepared for this deployment")
        }
    }

    /// What it says of the deployment.
    #[must_use]
    pub fn blow(&self) -> Blow {
        match self.class {
            FailureClass::Transient if !self.is_ours => Blow::Transient,
            FailureClass::Configuration => Blow::Configuration,
            FailureClass::Throttle => Blow::Throttle(self.retry_after),
            FailureClass::Transient
            | FailureClass::Request
            | FailureClass::ContextWindow
            | FailureClass::ContentPolicy => Blow::Harmless,
        }
    }

    /// What the caller is told when this is what ends the request.
    pub fn to_fault(&self, detail: ErrorDetail) -> Fault {
        if let (Some((kind, code)), Some(words)) = (self.refused_as, &self.detail) {
            let fault = Fault::new(kind).say(words.message.clone()).because(self.cause.clone());
            let fault = if let Some(code) = code { fault.code(code) } else { fault };
            return match &words.param {
                Some(param) => fault.param(param.clone()),
                None => fault,
            };
        }
        let kind = match self.class {
            FailureClass::Request if self.status == Some(413) => Kind::TooLarge,
            FailureClass::Request => Kind::BadRequest,
            FailureClass::ContextWindow => Kind::ContextWindow,
            FailureClass::ContentPolicy => Kind::ContentPolicy,
            FailureClass::Throttle => Kind::RateLimited,
            FailureClass::Transient if self.timed_out => Kind::Timeout,
            FailureClass::Transient | FailureClass::Configuration => Kind::Upstream,
        };
        let mut fault = Fault::new(kind).because(self.cause.clone());
        if kind == Kind::BadRequest {
            fault = fault.say("The provider refused the request as invalid.");
        }
        if kind == Kind::RateLimited {
            let sentence = "The provider's rate limit for this model has been reached; try again later.";
            fault = fault.say(sentence).retry_after(self.retry_after.unwrap_or(Duration::from_secs(1)));
        }
        let is_for_the_caller =
            matches!(self.class, FailureClass::Request | FailureClass::ContextWindow | FailureClass::ContentPolicy);
        if let (true, ErrorDetail::Sanitized, Some(words)) = (is_for_the_caller, detail, &self.detail) {
            if !words.message.is_empty() {
                fault = fault.say(words.message.clone());
            }
            if let Some(param) = &words.param {
                fault = fault.param(param.clone());
            }
        }
        fault
    }
}

/// What ends a request all of whose attempts failed: the class they share, else the last that is the provider's fault.
pub fn worst<'a>(failures: &[&'a Failure]) -> Option<&'a Failure> {
    let first = failures.first()?;
    if failures.iter().all(|failure| failure.class == first.class) {
        // Of several throttled candidates the one that is free soonest says when to come back.
        if first.class == FailureClass::Throttle {
            return failures.iter().copied().min_by_key(|failure| failure.retry_after.unwrap_or_default());
        }
        return failures.last().copied();
    }
    let of = |class| failures.iter().copied().rev().find(|failure| failure.class == class);
    of(FailureClass::Transient).or_else(|| of(FailureClass::Configuration)).or_else(|| failures.last().copied())
}

/// A provider's words without anything that is not the caller's business: secrets, URLs, hosts, ids, the upstream name
/// of the model.
#[must_use]
pub fn sanitise(message: &str, target: &Target) -> String {
    let public = target.public_model.as_str();
    let redacted = redact(message);
    let renamed = rename(&redacted, &target.upstream_model, public);
    let own_host = target.credentials.base_url.as_deref().and_then(host_of);
    let words = renamed.split_inclusive(char::is_whitespace).map(|word| {
        let bare = word.trim();
        if is_private(bare, own_host) { word.replace(bare, "[removed]") } else { word.to_owned() }
    });
    let text: String = words.collect::<String>().chars().filter(|c| !c.is_control() || *c == '\n').collect();
    if text.chars().count() > MAX_DETAIL_CHARS {
        return text.chars().take(MAX_DETAIL_CHARS - 1).chain(std::iter::once('…')).collect();
    }
    text
}

/// Replaces a name where it stands by itself, not inside another word.
fn rename(text: &str, from: &str, to: &str) -> String {
    let mut renamed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from).filter(|_| !from.is_empty()) {
        let (before, found) = rest.split_at(at);
        let after = found.get(from.len()..).unwrap_or_default();
        let is_part = |c: char| c.is_alphanumeric();
        let stands_alone = !before.ends_with(is_part) && !after.starts_with(is_part);
        renamed.push_str(before);
        renamed.push_str(if stands_alone { to } else { from });
        rest = after;
    }
    renamed.push_str(rest);
    renamed
}

fn host_of(base_url: &str) -> Option<&str> {
    base_url.split_once("://")?.1.split(['/', ':', '?']).next().filter(|host| !host.is_empty())
}

/// Whether a word is a URL, a host, or an id of the provider's account.
fn is_private(word: &str, own_host: Option<&str>) -> bool {
    const HOST_ENDINGS: [&str; 8] = [".com", ".ai", ".net", ".io", ".org", ".dev", ".cloud", ".local"];
    const ID_STARTS: [&str; 6] = ["org-", "req_", "req-", "proj_", "chatcmpl-", "acct_"];
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    let host = bare.split(['/', ':']).next().unwrap_or(bare);
    word.contains("://")
        || own_host.is_some_and(|own| word.contains(own))
        || (host.contains('.') && HOST_ENDINGS.iter().any(|ending| host.to_ascii_lowercase().ends_with(ending)))
        || ID_STARTS.iter().any(|start| bare.starts_with(start))
        || (bare.len() >= 32 && bare.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(class: FailureClass, retry_after: Option<u64>) -> Failure {
        Failure { class, retry_after: retry_after.map(Duration::from_secs), ..Failure::transient(Repeat::Safe, "test") }
    }

    #[test]
    fn a_pool_that_is_all_throttled_says_when_the_first_is_free() {
        let failures = [failure(FailureClass::Throttle, Some(9)), failure(FailureClass::Throttle, Some(4))];
        let fault = worst(&failures.each_ref()).unwrap().to_fault(ErrorDetail::Sanitized);
        assert_eq!((fault.kind(), fault.wait()), (Kind::RateLimited, Some(Duration::from_secs(4))));
    }

    #[test]
    fn a_model_is_renamed_where_it_stands_by_itself() {
        assert_eq!(rename("`o3` of foo3, o3-mini: o3", "o3", "pub"), "`pub` of foo3, pub-mini: pub");
        assert_eq!(rename("nothing", "", "pub"), "nothing");
    }

    #[test]
    fn a_mixed_pool_is_the_providers_fault() {
        let failures = [failure(FailureClass::Transient, None), failure(FailureClass::Throttle, Some(4))];
        assert_eq!(worst(&failures.each_ref()).unwrap().to_fault(ErrorDetail::Sanitized).kind(), Kind::Upstream);
        let failures = [failure(FailureClass::Configuration, None), failure(FailureClass::ContextWindow, None)];
        assert_eq!(worst(&failures.each_ref()).unwrap().to_fault(ErrorDetail::Sanitized).kind(), Kind::Upstream);
    }

    #[test]
    fn words_of_the_provider_reach_only_a_caller_who_can_mend() {
        let with = |class| Failure {
            detail: Some(Detail {
                message: "Invalid schema for function 'x'".to_owned(),
                param: Some("tools[0]".to_owned()),
            }),
            ..failure(class, None)
        };
        let fault = with(FailureClass::Request).to_fault(ErrorDetail::Sanitized);
        assert_eq!((fault.message(), fault.at()), ("Invalid schema for function 'x'", Some("tools[0]")));
        let fault = with(FailureClass::Request).to_fault(ErrorDetail::Generic);
        assert_eq!((fault.message(), fault.at()), ("The provider refused the request as invalid.", None));
        for class in [FailureClass::Transient, FailureClass::Configuration, FailureClass::Throttle] {
            let fault = with(class).to_fault(ErrorDetail::Sanitized);
            assert!(!fault.message().contains("schema"), "{class:?}");
        }
    }
}
