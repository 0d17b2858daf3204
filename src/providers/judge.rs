//! What a provider's error means for the request, for other candidates, and for the deployment.
//!
//! A provider's own rules come first, then what the codes and words of the OpenAI wire mean, then the plain status.

use std::time::Duration;

use super::Provider;

/// What a failure is and does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The caller's input. Terminal at once.
    Request,
    /// The input is too long for this model. Other candidates, then the chain of that reason.
    ContextWindow,
    /// The provider refuses the content. Other candidates, then the chain of that reason.
    ContentPolicy,
    /// The account or model is over its rate. Other candidates.
    Throttle,
    /// The provider failed. Repeat.
    Transient,
    /// Our key, access or model name is wrong. Other candidates; the operator must act.
    Configuration,
}

impl FailureClass {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
            Self::Throttle => "throttle",
            Self::Transient => "transient",
            Self::Configuration => "configuration",
        }
    }
}

/// A judged failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What it is.
    pub class: FailureClass,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// The status of the answer, or the one stated inside the error.
    Status(u16),
    /// `code` or `type` of the error.
    Word(&'static str),
    /// A part of the message, ASCII case ignored.
    Phrase(&'static str),
}

/// One judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// When it applies.
    pub when: Match,
    /// What it says.
    pub then: FailureClass,
}

/// A provider's error, as far as judging needs it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evidence<'a> {
    /// HTTP status of the answer; `None` inside a stream.
    pub status: Option<u16>,
    /// Status stated inside the error.
    pub stated_status: Option<u16>,
    /// `type` of the error.
    pub kind: Option<&'a str>,
    /// `code` of the error.
    pub code: Option<&'a str>,
    /// The provider's words.
    pub message: &'a str,
    /// The `retry-after` header.
    pub retry_after: Option<Duration>,
}

const fn word(word: &'static str, then: FailureClass) -> Rule {
    Rule { when: Match::Word(word), then }
}

const fn phrase(phrase: &'static str, then: FailureClass) -> Rule {
    Rule { when: Match::Phrase(phrase), then }
}

/// The codes and words of the OpenAI wire. Sources: the error guide of the OpenAI API, the error texts of vLLM,
/// llama.cpp and Azure OpenAI.
const COMMON: &[Rule] = &[
    word("context_length_exceeded", FailureClass::ContextWindow),
    word("exceed_context_size_error", FailureClass::ContextWindow),
    word("string_above_max_length", FailureClass::ContextWindow),
    phrase("maximum context length", FailureClass::ContextWindow),
    phrase("exceeds the context window", FailureClass::ContextWindow),
    phrase("exceed context window", FailureClass::ContextWindow),
    phrase("exceeds the available context size", FailureClass::ContextWindow),
    phrase("prompt is too long", FailureClass::ContextWindow),
    phrase("input is too long", FailureClass::ContextWindow),
    phrase("too many tokens", FailureClass::ContextWindow),
    phrase("reduce the length of the messages", FailureClass::ContextWindow),
    word("content_policy_violation", FailureClass::ContentPolicy),
    word("content_filter", FailureClass::ContentPolicy),
    word("moderation_blocked", FailureClass::ContentPolicy),
    phrase("content management policy", FailureClass::ContentPolicy),
    phrase("rejected by the safety system", FailureClass::ContentPolicy),
    word("insufficient_quota", FailureClass::Configuration),
    word("billing_hard_limit_reached", FailureClass::Configuration),
    word("billing_not_active", FailureClass::Configuration),
    word("invalid_api_key", FailureClass::Configuration),
    word("model_not_found", FailureClass::Configuration),
    word("deployment_not_found", FailureClass::Configuration),
    word("organization_restricted", FailureClass::Configuration),
    word("rate_limit_exceeded", FailureClass::Throttle),
    word("rate_limit_error", FailureClass::Throttle),
    word("overloaded_error", FailureClass::Transient),
    word("server_error", FailureClass::Transient),
];

/// Judges an error of a provider.
#[must_use]
pub fn judge(provider: &Provider, evidence: &Evidence<'_>) -> Verdict {
    let class = provider.rules.iter().chain(COMMON).find(|rule| applies(rule.when, evidence)).map_or_else(
        || by_status(evidence.status.filter(|status| *status >= 400).or(evidence.stated_status)),
        |rule| rule.then,
    );
    Verdict { class, retry_after: evidence.retry_after }
}

fn applies(when: Match, evidence: &Evidence<'_>) -> bool {
    match when {
        Match::Status(status) => evidence.status == Some(status) || evidence.stated_status == Some(status),
        Match::Word(word) => evidence.code == Some(word) || evidence.kind == Some(word),
        Match::Phrase(phrase) => contains_ignoring_case(evidence.message, phrase),
    }
}

fn contains_ignoring_case(text: &str, part: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// The plain status, where nothing better is known. An error without a status came inside a stream: the provider failed.
fn by_status(status: Option<u16>) -> FailureClass {
    match status {
        Some(401 | 402 | 403 | 404 | 405 | 407) => FailureClass::Configuration,
        Some(408 | 409 | 425) => FailureClass::Transient,
        Some(429) => FailureClass::Throttle,
        Some(400..=499) => FailureClass::Request,
        Some(_) | None => FailureClass::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::find;

    fn class(preset: &str, evidence: &Evidence<'_>) -> FailureClass {
        judge(find(preset).unwrap(), evidence).class
    }

    fn status(status: u16) -> Evidence<'static> {
        Evidence { status: Some(status), ..Evidence::default() }
    }

    #[test]
    fn plain_statuses_have_their_class() {
        for (code, expected) in [
            (400, FailureClass::Request),
            (401, FailureClass::Configuration),
            (403, FailureClass::Configuration),
            (404, FailureClass::Configuration),
            (408, FailureClass::Transient),
            (413, FailureClass::Request),
            (422, FailureClass::Request),
            (429, FailureClass::Throttle),
            (500, FailureClass::Transient),
            (503, FailureClass::Transient),
            (529, FailureClass::Transient),
            (302, FailureClass::Transient),
        ] {
            assert_eq!(class("openai", &status(code)), expected, "{code}");
        }
    }

    #[test]
    fn codes_and_words_say_more_than_the_status() {
        let with = |status: u16, code: Option<&'static str>, message: &'static str| Evidence {
            status: Some(status),
            code,
            message,
            ..Evidence::default()
        };
        for (evidence, expected) in [
            (with(429, Some("insufficient_quota"), ""), FailureClass::Configuration),
            (with(400, Some("context_length_exceeded"), ""), FailureClass::ContextWindow),
            (with(400, None, "This model's Maximum Context Length is 8192 tokens"), FailureClass::ContextWindow),
            (with(400, Some("content_filter"), ""), FailureClass::ContentPolicy),
            (with(400, None, "Invalid schema for function 'x'"), FailureClass::Request),
        ] {
            assert_eq!(class("openai", &evidence), expected, "{evidence:?}");
        }
    }

    #[test]
    fn a_provider_rule_beats_the_common_ones() {
        assert_eq!(class("openrouter", &status(403)), FailureClass::ContentPolicy);
        assert_eq!(class("openrouter", &status(402)), FailureClass::Configuration);
    }

    #[test]
    fn google_says_in_words_what_its_statuses_do_not() {
        let with = |status: u16, kind: &'static str, code: &'static str, message: &'static str| Evidence {
            status: Some(status),
            kind: Some(kind),
            code: Some(code),
            message,
            ..Evidence::default()
        };
        let too_long = "The input token count (9) exceeds the maximum number of tokens allowed (8).";
        for (evidence, expected) in [
            (with(400, "INVALID_ARGUMENT", "API_KEY_INVALID", ""), FailureClass::Configuration),
            (with(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "API key not valid."), FailureClass::Configuration),
            (with(400, "FAILED_PRECONDITION", "FAILED_PRECONDITION", ""), FailureClass::Configuration),
            (with(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", too_long), FailureClass::ContextWindow),
            (with(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "Invalid value"), FailureClass::Request),
            (with(403, "PERMISSION_DENIED", "PERMISSION_DENIED", ""), FailureClass::Configuration),
            (with(404, "NOT_FOUND", "NOT_FOUND", ""), FailureClass::Configuration),
            (with(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", ""), FailureClass::Throttle),
            (with(499, "CANCELLED", "CANCELLED", ""), FailureClass::Transient),
            (with(503, "UNAVAILABLE", "UNAVAILABLE", ""), FailureClass::Transient),
            (with(504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", ""), FailureClass::Transient),
        ] {
            assert_eq!(class("googleaistudio", &evidence), expected, "{evidence:?}");
        }
    }

    #[test]
    fn an_error_inside_a_stream_is_judged_by_what_it_states() {
        assert_eq!(class("openai", &Evidence::default()), FailureClass::Transient);
        assert_eq!(
            class("openai", &Evidence { stated_status: Some(429), ..Evidence::default() }),
            FailureClass::Throttle
        );
        let under_success = Evidence { status: Some(200), stated_status: Some(400), ..Evidence::default() };
        assert_eq!(class("openai", &under_success), FailureClass::Request);
    }
}
