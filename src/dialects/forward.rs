//! Fields that a wire or a host is not known to take, sent all the same because the operator says so.

use bytes::Bytes;

use super::Written;
use super::out::quoted;
use super::raw::{RawObject, join};
use crate::canonical::Wire;

/// Fields that are never forwarded: ours to set, or what the request is about.
const OURS: [&str; 14] = [
    "model",
    "messages",
    "input",
    "system",
    "instructions",
    "tools",
    "stream",
    "stream_options",
    "store",
    "include",
    "background",
    "conversation",
    "previous_response_id",
    "cache_control",
];
/// Words, without separators, that mark a field as a secret or as meant for a client library.
const SECRETS: [&str; 8] =
    ["apikey", "authorization", "accesstoken", "password", "secret", "credential", "extraheaders", "extraquery"];

/// Puts members of the client's own body that were left out back in, where both wires name their fields alike.
#[must_use]
pub fn forward(contract: Wire, wire: Wire, sent: &RawObject, written: Written) -> Written {
    if !are_alike(contract, wire) || written.dropped.is_empty() {
        return written;
    }
    let Ok(body) = RawObject::scan(join(&written.body)) else { return written };
    let mut members = String::new();
    let mut dropped = Vec::new();
    for name in written.dropped {
        let value = sent.get(&name).filter(|_| may_pass(&name) && body.get(&name).is_none());
        match value.and_then(|value| std::str::from_utf8(value).ok()) {
            Some(value) => members.push_str(&format!(",{}:{value}", quoted(&name))),
            None => dropped.push(name),
        }
    }
    let close = memchr::memrchr(b'}', body.bytes()).unwrap_or_default();
    let is_empty = body.keys().next().is_none();
    let members = if is_empty { members.get(1..).unwrap_or_default().to_owned() } else { members };
    Written { body: vec![body.bytes().slice(..close), Bytes::from(members), body.bytes().slice(close..)], dropped }
}

/// Whether a field of this name is one that the parameter policy speaks of, in a request with these members.
#[must_use]
pub fn is_parameter(name: &str, sent: &RawObject) -> bool {
    /// Names by which the fields of all contracts are called.
    const SHARED: [&str; 6] = ["reasoning_effort", "response_format", "thinking", "stop", "verbosity", "n"];
    let first = name.split('.').next().unwrap_or(name);
    let is_tool = first == "tools";
    is_tool || (!OURS.contains(&first) && (SHARED.contains(&first) || sent.get(first).is_some()))
}

fn may_pass(name: &str) -> bool {
    let bare: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    !OURS.contains(&name)
        && !bare.starts_with("unified")
        && !bare.starts_with("xunified")
        && !SECRETS.iter().any(|secret| bare.contains(secret))
}

const fn are_alike(contract: Wire, wire: Wire) -> bool {
    matches!(
        (contract, wire),
        (Wire::Chat | Wire::Responses, Wire::Chat | Wire::Responses) | (Wire::Messages, Wire::Messages)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn what_was_left_out_goes_on_under_its_own_name_but_for_secrets_and_what_is_ours() {
        let sent = r#"{"model":"m","x":[1, 2],"api_key":"k","store":true,"seed":1,"top_k":3,"X-Api-Key":"s"}"#;
        let sent = RawObject::scan(Bytes::from(sent)).unwrap();
        let names = ["x", "api_key", "store", "seed", "top_k", "X-Api-Key", "tools.format", "y"];
        let run = |contract, wire, body: &'static str| {
            let body = vec![Bytes::from(body)];
            let dropped = names.iter().map(|name| Cow::Borrowed(*name)).collect();
            let written = forward(contract, wire, &sent, Written { body, dropped });
            (String::from_utf8_lossy(&join(&written.body)).into_owned(), written.dropped.join(" "))
        };
        assert_eq!(
            run(Wire::Chat, Wire::Chat, r#"{"model":"up","seed":1}"#),
            (
                r#"{"model":"up","seed":1,"x":[1, 2],"top_k":3}"#.to_owned(),
                "api_key store seed X-Api-Key tools.format y".to_owned()
            )
        );
        assert_eq!(run(Wire::Responses, Wire::Chat, "{}").0, r#"{"x":[1, 2],"seed":1,"top_k":3}"#);
        for (contract, wire) in [(Wire::Chat, Wire::GenerateContent), (Wire::Messages, Wire::Chat)] {
            assert_eq!(run(contract, wire, "{}").0, "{}");
        }
    }

    #[test]
    fn the_policy_speaks_of_parameters_and_not_of_content() {
        let sent = r#"{"model":"m","messages":[],"cache_control":{},"store":true,"seed":1,"thing":1}"#;
        let sent = RawObject::scan(Bytes::from(sent)).unwrap();
        for (name, expected) in [
            ("seed", true),
            ("thing", true),
            ("reasoning_effort", true),
            ("response_format.description", true),
            ("tools.format", true),
            ("store", false),
            ("cache_control", false),
            ("messages.name", false),
            ("detail", false),
            ("reasoning", false),
            ("filename", false),
            ("server_tool_use", false),
        ] {
            assert_eq!(is_parameter(name, &sent), expected, "{name}");
        }
    }
}
