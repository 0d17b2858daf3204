//! Names that others rely on: headers and log fields. Spelt once, here.

/// Header names, in lower case as HTTP/2 wants them.
pub mod header {
    /// Names a request, in both directions; on every response.
    pub const REQUEST_ID: &str = "x-request-id";
    /// The same, as Anthropic's clients look for it.
    pub const ANTHROPIC_REQUEST_ID: &str = "request-id";
    /// Requests a minute the virtual key may make.
    pub const LIMIT_REQUESTS: &str = "x-ratelimit-limit-requests";
    /// Requests left of them.
    pub const REMAINING_REQUESTS: &str = "x-ratelimit-remaining-requests";
    /// Until all of them are back, as `1s` or `6m0s`.
    pub const RESET_REQUESTS: &str = "x-ratelimit-reset-requests";
    /// Tokens a minute the virtual key may use.
    pub const LIMIT_TOKENS: &str = "x-ratelimit-limit-tokens";
    /// Tokens left of them.
    pub const REMAINING_TOKENS: &str = "x-ratelimit-remaining-tokens";
    /// Until all of them are back, as `1s` or `6m0s`.
    pub const RESET_TOKENS: &str = "x-ratelimit-reset-tokens";
    /// The virtual key's budget, in cents.
    pub const LIMIT_BUDGET_CENTS: &str = "x-ratelimit-limit-budget-cents";
    /// Cents left of it.
    pub const REMAINING_BUDGET_CENTS: &str = "x-ratelimit-remaining-budget-cents";
    /// Until the budget starts anew.
    pub const RESET_BUDGET: &str = "x-ratelimit-reset-budget";
    /// Whole seconds to wait before trying again.
    pub const RETRY_AFTER: &str = "retry-after";
    /// The same in milliseconds, for waits under a second.
    pub const RETRY_AFTER_MS: &str = "retry-after-ms";
    /// `false` keeps client libraries from repeating a final answer.
    pub const SHOULD_RETRY: &str = "x-should-retry";
    /// `true` opts a request in to the response cache.
    pub const CACHE: &str = "x-unified-cache";
    /// Seconds an answer may live in the response cache.
    pub const CACHE_TTL: &str = "x-unified-cache-ttl";
    /// `hit`, `miss` or `bypass`, when the request opted in.
    pub const CACHE_STATUS: &str = "x-unified-cache-status";
    /// `true` asks for routing facts in the answer.
    pub const ROUTING_METADATA: &str = "x-unified-routing-metadata";
    /// Requests of one session go to one deployment, where the operator has switched that on.
    pub const SESSION: &str = "x-unified-session";
    /// Opaque id of the deployment that served, when routing facts were asked for.
    pub const SERVED_BY: &str = "x-unified-served-by";
    /// Request fields that were dropped or emulated, separated by commas.
    pub const DROPPED: &str = "x-unified-dropped";
    /// `true` on a count of tokens that was estimated here.
    pub const ESTIMATED: &str = "x-unified-estimated";
    /// `true` refuses a request rather than dropping a field of it.
    pub const STRICT: &str = "x-unified-strict";
    /// Free tags for the operation record, separated by commas.
    pub const TAGS: &str = "x-unified-tags";
    /// The trace a request belongs to (W3C trace context).
    pub const TRACEPARENT: &str = "traceparent";
    /// What vendors keep in it.
    pub const TRACESTATE: &str = "tracestate";
    /// Configuration revision in force; on every administration answer.
    pub const CONFIG_REVISION: &str = "x-unified-config-revision";
}

/// Log field names. Units are at the end of a name.
pub mod field {
    /// The request's id.
    pub const REQUEST_ID: &str = "request_id";
    /// Configuration revision the request was served under.
    pub const REVISION: &str = "revision";
    /// HTTP method.
    pub const METHOD: &str = "method";
    /// Matched route, not the raw path.
    pub const ROUTE: &str = "route";
    /// HTTP status of the answer.
    pub const STATUS: &str = "status";
    /// Public model the caller named.
    pub const PUBLIC_MODEL: &str = "public_model";
    /// Deployment that was called.
    pub const DEPLOYMENT_ID: &str = "deployment_id";
    /// Virtual key of the caller.
    pub const VIRTUAL_KEY_ID: &str = "virtual_key_id";
    /// Provider preset that was called.
    pub const PROVIDER: &str = "provider";
    /// Number of the attempt, from 1.
    pub const ATTEMPT: &str = "attempt";
    /// Slug of the fault's kind.
    pub const FAULT: &str = "fault";
    /// Private cause of a fault.
    pub const ERROR: &str = "error";
    /// How long it took.
    pub const DURATION_MS: &str = "duration_ms";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// The names as this file spells them, so that a new one cannot be forgotten here.
    fn spelt() -> Vec<&'static str> {
        let declarations = include_str!("names.rs").lines().filter(|line| line.trim_start().starts_with("pub const"));
        declarations.filter_map(|line| line.split('"').nth(1)).collect()
    }

    #[test]
    fn no_name_is_spelt_twice_and_all_are_lower_case() {
        let names = spelt();
        assert!(names.contains(&super::header::REQUEST_ID) && names.contains(&super::field::DURATION_MS));
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for name in names {
            let clean = |byte: u8| byte.is_ascii_lowercase() || byte == b'-' || byte == b'_';
            assert!(name.bytes().all(clean), "{name}");
        }
    }
}
