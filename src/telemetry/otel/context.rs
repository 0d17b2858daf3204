//! Trace context of the W3C (Recommendation, level 1: <https://www.w3.org/TR/trace-context/>): `traceparent`, and
//! `tracestate` as it came.

use std::fmt::Write as _;

/// Longest `tracestate` that is kept; the standard asks for 512 at least.
const MAX_STATE_BYTES: usize = 512;
const SAMPLED: u8 = 1;

/// What a client says of the trace its request belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// Names the trace.
    pub trace_id: [u8; 16],
    /// The span that called.
    pub span_id: [u8; 8],
    /// Whether the caller records the trace.
    pub is_sampled: bool,
    /// What vendors keep in it.
    pub state: String,
}

impl TraceContext {
    /// Reads the two headers. `None` when `traceparent` is not one; then there is no context.
    #[must_use]
    pub fn read(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Versions to come may add parts; this one has four.
        if version.len() != 2 || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        hex::<1>(version)?;
        let trace_id = hex::<16>(trace).filter(|id| id.iter().any(|byte| *byte != 0))?;
        let span_id = hex::<8>(span).filter(|id| id.iter().any(|byte| *byte != 0))?;
        let [flags] = hex::<1>(flags)?;
        let state = tracestate.filter(|state| state.len() <= MAX_STATE_BYTES && state.is_ascii()).unwrap_or_default();
        Some(Self { trace_id, span_id, is_sampled: flags & SAMPLED != 0, state: state.trim().to_owned() })
    }
}

/// `traceparent` of a span.
#[must_use]
pub fn traceparent(trace_id: &[u8; 16], span_id: &[u8; 8], is_sampled: bool) -> String {
    let mut text = String::with_capacity(55);
    text.push_str("00-");
    push_hex(&mut text, trace_id);
    text.push('-');
    push_hex(&mut text, span_id);
    text.push_str(if is_sampled { "-01" } else { "-00" });
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to memory does not fail.
        _ = write!(text, "{byte:02x}");
    }
}

/// Lower-case hexadecimal of exactly `N` bytes.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if text.len() != 2 * N || !is_hex {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_is_read_and_written_the_same() {
        let context = TraceContext::read(GOOD, Some("vendor=1")).unwrap();
        assert!(context.is_sampled);
        assert_eq!(context.state, "vendor=1");
        assert_eq!(traceparent(&context.trace_id, &context.span_id, context.is_sampled), GOOD);
        // Of a version to come its first four parts are read.
        assert!(TraceContext::read(&GOOD.replacen("00", "01", 1).replace("-01", "-00-more"), None).is_some());
    }

    #[test]
    fn what_is_no_context_is_none() {
        for text in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
        ] {
            assert_eq!(TraceContext::read(text, None), None, "{text}");
        }
        assert_eq!(TraceContext::read(GOOD, Some(&"x".repeat(600))).unwrap().state, "");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,80}") {
            _ = TraceContext::read(&text, Some(&text));
        }
    }
}
