//! How a key stands with its limits, in headers: `x-ratelimit-*` as OpenAI writes them, and `anthropic-ratelimit-*` beside
//! them on messages. <https://platform.openai.com/docs/guides/rate-limits>, <https://docs.claude.com/en/api/rate-limits>

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::canonical::Wire;
use crate::gateway::{Meter, Standing};
use crate::telemetry::names::header;

/// Writes what is limited; nothing for a key without limits.
pub(super) fn write(contract: Wire, standing: Option<&Standing>, headers: &mut HeaderMap) {
    let Some(standing) = standing else { return };
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    if let Some(meter) = &standing.requests {
        put(header::LIMIT_REQUESTS, meter.limit.to_string());
        put(header::REMAINING_REQUESTS, meter.remaining.to_string());
        put(header::RESET_REQUESTS, go_duration(meter.reset));
    }
    if let Some(meter) = &standing.tokens {
        put(header::LIMIT_TOKENS, meter.limit.to_string());
        put(header::REMAINING_TOKENS, meter.remaining.to_string());
        put(header::RESET_TOKENS, go_duration(meter.reset));
    }
    if let Some(meter) = &standing.budget {
        put(header::LIMIT_BUDGET_CENTS, meter.limit.to_string());
        put(header::REMAINING_BUDGET_CENTS, meter.remaining.to_string());
        if let Some(reset) = meter.reset {
            put(header::RESET_BUDGET, go_duration(reset));
        }
    }
    if contract == Wire::Messages {
        let resets_at = |meter: &Meter| standing.at.after(meter.reset).to_rfc3339();
        if let Some(meter) = &standing.requests {
            put("anthropic-ratelimit-requests-limit", meter.limit.to_string());
            put("anthropic-ratelimit-requests-remaining", meter.remaining.to_string());
            put("anthropic-ratelimit-requests-reset", resets_at(meter));
        }
        if let Some(meter) = &standing.tokens {
            put("anthropic-ratelimit-tokens-limit", meter.limit.to_string());
            put("anthropic-ratelimit-tokens-remaining", meter.remaining.to_string());
            put("anthropic-ratelimit-tokens-reset", resets_at(meter));
        }
    }
}

/// A duration as Go writes it: `250ms`, `1s`, `6m0s`, `27h0m3s`. Whole seconds, rounded up, from one second on.
fn go_duration(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return format!("{}ms", duration.as_millis());
    }
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::NanoCents;
    use crate::gateway::BudgetMeter;
    use crate::time::Timestamp;

    #[test]
    fn durations_are_written_as_openai_does() {
        for (ms, text) in
            [(0, "0ms"), (250, "250ms"), (1_000, "1s"), (1_001, "2s"), (360_000, "6m0s"), (97_203_000, "27h0m3s")]
        {
            assert_eq!(go_duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn only_what_is_limited_is_written() {
        let meter = |limit| Meter { limit, remaining: 7, reset: Duration::from_secs(60) };
        let budget = BudgetMeter { limit: NanoCents(2_500_000_000), remaining: NanoCents(1), reset: None };
        let standing = Standing {
            at: Timestamp::parse_rfc3339("2026-11-25T12:00:00Z").unwrap(),
            requests: Some(meter(10)),
            tokens: None,
            budget: Some(budget),
        };
        let mut headers = HeaderMap::new();
        write(Wire::Chat, Some(&standing), &mut headers);
        assert_eq!(headers["x-ratelimit-remaining-requests"], "7");
        assert_eq!(headers["x-ratelimit-reset-requests"], "1m0s");
        assert_eq!(headers["x-ratelimit-limit-budget-cents"], "2.5");
        assert_eq!(headers["x-ratelimit-remaining-budget-cents"], "0.000000001");
        assert_eq!(headers.len(), 5);
        write(Wire::Messages, Some(&standing), &mut headers);
        assert_eq!(headers["anthropic-ratelimit-requests-reset"], "2026-11-25T12:01:00.000Z");
        write(Wire::Chat, None, &mut HeaderMap::new());
    }
}
