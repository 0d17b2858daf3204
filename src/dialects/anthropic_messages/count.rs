//! Counting tokens. Source: the public API reference of `POST /v1/messages/count_tokens`.

use bytes::Bytes;

use crate::dialects::node::Node;
use crate::dialects::out;
use crate::dialects::raw::RawObject;

/// The fields of a request that are counted. The endpoint refuses the others of `POST /v1/messages`.
const COUNTED: [&str; 13] = [
    "cache_control",
    "container",
    "context_management",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "output_format",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

/// A request for an answer as one for a count.
#[must_use]
pub fn only_counted(body: &[Bytes]) -> Vec<Bytes> {
    let whole = Bytes::from(body.concat());
    let Ok(raw) = RawObject::scan(whole.clone()) else { return vec![whole] };
    let mut splice = raw.splice();
    raw.keys().filter(|key| !COUNTED.contains(key)).for_each(|key| splice.remove(key));
    splice.finish()
}

/// The count in an answer.
#[must_use]
pub fn read_count(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?;
    let json = serde_json::from_str::<&serde_json::value::RawValue>(text).ok()?;
    Node::root(json.get()).object().ok()?.any_count("input_tokens")
}

/// An answer with a count.
#[must_use]
pub fn write_count(input_tokens: u64) -> Bytes {
    let json = out::object(|out| {
        out.number("input_tokens", input_tokens);
    });
    json.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_counted_is_left_out() {
        let body = br#"{"model":"m","max_tokens":9,"stream":true,"messages":[],"temperature":1}"#;
        let counted = only_counted(&[Bytes::from_static(body)]).concat();
        assert_eq!(counted, br#"{"model":"m","messages":[]}"#);
    }

    #[test]
    fn a_count_comes_back() {
        assert_eq!(read_count(&write_count(17)), Some(17));
        assert_eq!(read_count(br#"{"input_tokens":3,"context_management":{"original_input_tokens":9}}"#), Some(3));
        for broken in ["", "[]", "{}", r#"{"input_tokens":"x"}"#] {
            assert_eq!(read_count(broken.as_bytes()), None, "{broken}");
        }
    }
}
