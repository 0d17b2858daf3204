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
    /// `code` or `type` of the error, ASCII case ignored.
    Word(&'static str),
    /// A part of the message, ASCII case ignored.
    Phrase(&'static str),
    /// A status together with a part of the message.
    Both(u16, &'static str),
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

/// The codes and words of the OpenAI wire. Sources: the error guide of the OpenAI API, the error texts of vLLM, llama.cpp,
/// LM Studio, Ollama and Azure OpenAI, the error pages of the hosts in `rows`.
const COMMON: &[Rule] = &[
    word("context_length_exceeded", FailureClass::ContextWindow),
    word("exceed_context_size_error", FailureClass::ContextWindow),
    word("string_above_max_length", FailureClass::ContextWindow),
    word("model_context_window_exceeded", FailureClass::ContextWindow),
    // One request over the rate of a minute can never pass here, and may elsewhere: OpenAI and Groq, under 413 and 429.
    phrase("request too large for", FailureClass::ContextWindow),
    phrase("maximum context length", FailureClass::ContextWindow),
    phrase("maximum model length", FailureClass::ContextWindow),
    phrase("maximum prompt length", FailureClass::ContextWindow),
    phrase("maximum allowed input length", FailureClass::ContextWindow),
    phrase("context length exceeded", FailureClass::ContextWindow),
    phrase("context length is only", FailureClass::ContextWindow),
    phrase("longer than the model's context length", FailureClass::ContextWindow),
    phrase("greater than the context length", FailureClass::ContextWindow),
    phrase("exceeds the context window", FailureClass::ContextWindow),
    phrase("exceed context window", FailureClass::ContextWindow),
    phrase("context window exceeds limit", FailureClass::ContextWindow),
    phrase("exceeds the available context size", FailureClass::ContextWindow),
    phrase("exceeds the maximum number of tokens", FailureClass::ContextWindow),
    phrase("exceeded model token limit", FailureClass::ContextWindow),
    phrase("max tokens allowed", FailureClass::ContextWindow),
    phrase("too large for model with", FailureClass::ContextWindow),
    phrase("prompt is too long", FailureClass::ContextWindow),
    phrase("prompt too long", FailureClass::ContextWindow),
    phrase("input is too long", FailureClass::ContextWindow),
    phrase("reduce the length of the messages", FailureClass::ContextWindow),
    phrase("reduce the length of the prompt", FailureClass::ContextWindow),
    word("content_policy_violation", FailureClass::ContentPolicy),
    word("content_filter", FailureClass::ContentPolicy),
    word("moderation_blocked", FailureClass::ContentPolicy),
    word("responsibleaipolicyviolation", FailureClass::ContentPolicy),
    phrase("content management policy", FailureClass::ContentPolicy),
    phrase("rejected by the safety system", FailureClass::ContentPolicy),
    phrase("result of our safety system", FailureClass::ContentPolicy),
    phrase("flagged by our content", FailureClass::ContentPolicy),
    word("insufficient_quota", FailureClass::Configuration),
    word("insufficient_balance", FailureClass::Configuration),
    word("billing_hard_limit_reached", FailureClass::Configuration),
    word("billing_not_active", FailureClass::Configuration),
    word("account_deactivated", FailureClass::Configuration),
    word("invalid_api_key", FailureClass::Configuration),
    word("invalid_authentication_error", FailureClass::Configuration),
    word("authentication_error", FailureClass::Configuration),
    word("permission_denied", FailureClass::Configuration),
    word("model_not_found", FailureClass::Configuration),
    word("model_not_available", FailureClass::Configuration),
    word("deployment_not_found", FailureClass::Configuration),
    word("organization_restricted", FailureClass::Configuration),
    phrase("insufficient balance", FailureClass::Configuration),
    phrase("insufficient credits", FailureClass::Configuration),
    phrase("exceeded your current quota", FailureClass::Configuration),
    word("rate_limit_exceeded", FailureClass::Throttle),
    word("rate_limit_error", FailureClass::Throttle),
    word("overloaded_error", FailureClass::Transient),
    word("server_error", FailureClass::Transient),
    word("service_unavailable", FailureClass::Transient),
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
        Match::Status(status) => has_status(evidence, status),
        Match::Word(word) => {
            [evidence.code, evidence.kind].into_iter().flatten().any(|own| own.eq_ignore_ascii_case(word))
        }
        Match::Phrase(phrase) => contains_ignoring_case(evidence.message, phrase),
        Match::Both(status, phrase) => has_status(evidence, status) && contains_ignoring_case(evidence.message, phrase),
    }
}

fn has_status(evidence: &Evidence<'_>, status: u16) -> bool {
    evidence.status == Some(status) || evidence.stated_status == Some(status)
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

    /// Preset, status, type or code, message, what it is. The words are those of each host's documentation.
    type Row = (&'static str, u16, Option<&'static str>, &'static str, FailureClass);

    #[rustfmt::skip]
    const TABLE: &[Row] = &[
        ("openai", 429, Some("insufficient_quota"), "You exceeded your current quota", FailureClass::Configuration),
        ("openai", 429, Some("rate_limit_exceeded"), "Request too large for gpt-x on tokens per min (TPM)", FailureClass::ContextWindow),
        ("openai", 429, Some("rate_limit_exceeded"), "Rate limit reached: too many tokens per min", FailureClass::Throttle),
        ("openai", 400, Some("context_length_exceeded"), "", FailureClass::ContextWindow),
        ("openai", 400, Some("invalid_value"), "Invalid 'temperature'", FailureClass::Request),
        ("openai", 401, Some("invalid_api_key"), "", FailureClass::Configuration),
        ("openai", 404, Some("model_not_found"), "", FailureClass::Configuration),
        ("openai", 503, None, "The engine is currently overloaded", FailureClass::Transient),
        ("anthropic", 400, Some("invalid_request_error"), "Your credit balance is too low to access the API", FailureClass::Configuration),
        ("anthropic", 400, Some("invalid_request_error"), "prompt is too long: 210000 tokens > 200000 maximum", FailureClass::ContextWindow),
        ("anthropic", 529, Some("overloaded_error"), "Overloaded", FailureClass::Transient),
        ("anthropic", 404, Some("not_found_error"), "model: x", FailureClass::Configuration),
        ("azureopenai", 400, Some("content_filter"), "The response was filtered", FailureClass::ContentPolicy),
        ("azureopenai", 404, Some("DeploymentNotFound"), "", FailureClass::Configuration),
        ("azurefoundry", 400, Some("unknown_model"), "", FailureClass::Configuration),
        ("azurefoundry", 429, Some("NoCapacity"), "", FailureClass::Throttle),
        ("openrouter", 402, Some("402"), "This request requires more credits", FailureClass::Configuration),
        ("openrouter", 403, Some("403"), "Your chosen model requires moderation", FailureClass::ContentPolicy),
        ("openrouter", 408, None, "", FailureClass::Transient),
        ("openrouter", 400, None, "This endpoint's maximum context length is 128000 tokens", FailureClass::ContextWindow),
        ("openrouter", 404, None, "No endpoints found for x", FailureClass::Configuration),
        ("deepseek", 402, None, "Insufficient Balance", FailureClass::Configuration),
        ("deepseek", 422, None, "Invalid parameters", FailureClass::Request),
        ("mistral", 400, Some("3051"), "Prompt contains 40000 tokens, too large for model with 32768 maximum context length", FailureClass::ContextWindow),
        ("mistral", 422, None, "body.x: Extra inputs are not permitted", FailureClass::Request),
        ("mistral", 429, Some("1300"), "Rate limit exceeded", FailureClass::Throttle),
        ("mistral", 400, Some("1500"), "Invalid model: x", FailureClass::Configuration),
        ("xai", 403, None, "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO", FailureClass::ContentPolicy),
        ("xai", 403, Some("permission-denied"), "The caller does not have permission", FailureClass::Configuration),
        ("xai", 429, None, "Your team has either used all available credits or reached its monthly spending limit", FailureClass::Configuration),
        ("xai", 400, None, "This model's maximum prompt length is 131072 but the request contains 537812 tokens", FailureClass::ContextWindow),
        ("xai", 400, Some("invalid-argument"), "Incorrect API key provided", FailureClass::Configuration),
        ("moonshot", 429, Some("exceeded_current_quota_error"), "", FailureClass::Configuration),
        ("moonshot", 429, Some("engine_overloaded_error"), "", FailureClass::Throttle),
        ("moonshot", 400, Some("content_filter"), "high risk", FailureClass::ContentPolicy),
        ("moonshot", 400, Some("invalid_request_error"), "Your request exceeded model token limit: 8192", FailureClass::ContextWindow),
        ("zai", 429, Some("1113"), "Insufficient balance or no resource package", FailureClass::Configuration),
        ("zai", 400, Some("1261"), "Prompt exceeds max length", FailureClass::ContextWindow),
        ("zai", 400, Some("1301"), "unsafe or sensitive content", FailureClass::ContentPolicy),
        ("zai", 429, Some("1302"), "High concurrency", FailureClass::Throttle),
        ("minimax", 200, Some("1008"), "insufficient balance", FailureClass::Configuration),
        ("minimax", 200, Some("1002"), "rate limit", FailureClass::Throttle),
        ("minimax", 200, Some("1026"), "input new_sensitive", FailureClass::ContentPolicy),
        ("minimax", 400, Some("2013"), "invalid params, context window exceeds limit", FailureClass::ContextWindow),
        ("minimax", 200, Some("2013"), "invalid params", FailureClass::Request),
        ("cohere", 400, None, "too many tokens: total number of tokens in the prompt cannot exceed 4081", FailureClass::ContextWindow),
        ("cohere", 429, None, "You are using a Trial key", FailureClass::Throttle),
        ("alibaba", 400, Some("data_inspection_failed"), "", FailureClass::ContentPolicy),
        ("alibaba", 400, None, "Range of input length should be [1, 129024]", FailureClass::ContextWindow),
        ("alibaba", 400, Some("Arrearage"), "Access denied", FailureClass::Configuration),
        ("groq", 413, Some("rate_limit_exceeded"), "Request too large for model `x` on tokens per minute (TPM)", FailureClass::ContextWindow),
        ("groq", 413, None, "Request Entity Too Large", FailureClass::ContextWindow),
        ("groq", 429, Some("rate_limit_exceeded"), "Rate limit reached", FailureClass::Throttle),
        ("groq", 400, Some("context_length_exceeded"), "Please reduce the length of the messages or completion.", FailureClass::ContextWindow),
        ("groq", 498, None, "Flex tier capacity exceeded", FailureClass::Throttle),
        ("together", 422, None, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193", FailureClass::ContextWindow),
        ("together", 403, None, "The input token count exceeds the model's context", FailureClass::ContextWindow),
        ("together", 402, None, "Credit limit exceeded", FailureClass::Configuration),
        ("fireworks", 400, None, "The prompt is too long: 200000, model maximum context length: 131071", FailureClass::ContextWindow),
        ("fireworks", 412, None, "Account is suspended", FailureClass::Configuration),
        ("cerebras", 400, Some("context_length_exceeded"), "Current length is 9000 while limit is 8192", FailureClass::ContextWindow),
        ("cerebras", 429, Some("token_quota_exceeded"), "Tokens per day limit exceeded", FailureClass::Throttle),
        ("github", 413, Some("tokens_limit_reached"), "Request body too large", FailureClass::ContextWindow),
        ("vllm", 400, Some("BadRequestError"), "This model's maximum context length is 4096 tokens and your request has 5000", FailureClass::ContextWindow),
        ("vllm", 400, None, "The decoder prompt is longer than the maximum model length of 4096", FailureClass::ContextWindow),
        ("vllm", 400, None, "Input (9000 tokens) is longer than the model's context length (8192 tokens).", FailureClass::ContextWindow),
        ("llamacpp", 400, Some("exceed_context_size_error"), "", FailureClass::ContextWindow),
        ("llamacpp", 500, None, "the request exceeds the available context size", FailureClass::ContextWindow),
        ("lmstudio", 400, None, "tokens to keep from the initial prompt is greater than the context length", FailureClass::ContextWindow),
        ("ollama", 400, None, "input length exceeds context length", FailureClass::ContextWindow),
        ("databricks", 429, Some("REQUEST_LIMIT_EXCEEDED"), "", FailureClass::Throttle),
        ("huggingface", 402, None, "You have exceeded your monthly included credits", FailureClass::Configuration),
    ];

    #[test]
    fn what_each_host_says_is_judged_as_what_it_means() {
        for (preset, status, code, message, expected) in TABLE {
            let evidence = Evidence { status: Some(*status), code: *code, message, ..Evidence::default() };
            assert_eq!(class(preset, &evidence), *expected, "{preset} {status} {code:?} {message}");
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
