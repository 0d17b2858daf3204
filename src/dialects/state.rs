//! Opaque reasoning state on its way through a client that cannot read it.
//!
//! Where the client's contract has a field for state that it echoes (`signature`, `encrypted_content`), the state is
//! tagged with the wire and the origin that made it: `ug1.<wire>.<kind>.<origin>.<data>`. State without a tag is the
//! contract's own wire's. Chat Completions has no such field; there the id of a tool call carries it behind
//! [`IN_ID`], which is a convention that other gateways share.

use crate::canonical::Wire;
use crate::canonical::text::State;

const TAG: &str = "ug1.";
/// Longest tag with its origin, and most tags that are looked at.
const MAX_TAG_BYTES: usize = 80;
const MAX_TAGS: usize = 16;
/// Between the id of a tool call and the state it carries.
pub const IN_ID: &str = "__thought__";

/// The state as text for a contract. The contract's own state stays as it is, so that a client which also talks to the
/// provider itself finds what it expects.
#[must_use]
pub fn write(state: &State, contract: Wire, origin: &str) -> String {
    if state.wire == contract && !state.is_redacted {
        return state.data.clone();
    }
    tagged(state, origin)
}

/// The state with its tag.
#[must_use]
pub fn tagged(state: &State, origin: &str) -> String {
    let wire = match state.wire {
        Wire::Chat => 'c',
        Wire::Responses => 'r',
        Wire::Messages => 'm',
        Wire::GenerateContent => 'g',
    };
    let kind = if state.is_redacted { 'h' } else { 's' };
    let origin = state.origin.as_deref().unwrap_or(origin);
    format!("{TAG}{wire}.{kind}.{origin}.{}", state.data)
}

/// Reads state that came with a contract.
#[must_use]
pub fn read(text: &str, contract: Wire) -> State {
    read_tagged(text).unwrap_or_else(|| State {
        wire: contract,
        is_redacted: false,
        data: text.to_owned(),
        origin: None,
    })
}

fn read_tagged(text: &str) -> Option<State> {
    let mut fields = text.strip_prefix(TAG)?.splitn(4, '.');
    let wire = match fields.next()? {
        "c" => Wire::Chat,
        "r" => Wire::Responses,
        "m" => Wire::Messages,
        "g" => Wire::GenerateContent,
        _ => return None,
    };
    let is_redacted = match fields.next()? {
        "h" => true,
        "s" => false,
        _ => return None,
    };
    let origin = fields.next()?.to_owned();
    Some(State { wire, is_redacted, data: fields.next()?.to_owned(), origin: Some(origin) })
}

/// The id of a tool call with the state it carries.
#[must_use]
pub fn write_in_id(id: &str, state: &State, origin: &str) -> String {
    format!("{id}{IN_ID}{}", tagged(state, origin))
}

/// Parts the id of a tool call from the state it carries.
#[must_use]
pub fn read_id(id: &str) -> (&str, Option<State>) {
    match id.split_once(IN_ID) {
        Some((id, text)) => (id, read_tagged(text)),
        None => (id, None),
    }
}

/// Whether a body brings state that was tagged here.
#[must_use]
pub fn is_in(body: &[u8]) -> bool {
    use memchr::memmem;
    memmem::find(body, TAG.as_bytes()).is_some() || memmem::find(body, IN_ID.as_bytes()).is_some()
}

/// Who made the state in a body, if it was tagged here: the one that is named last. A scan, without reading the body.
#[must_use]
pub fn origin_in(body: &[u8]) -> Option<&str> {
    use memchr::memmem;
    memmem::rfind_iter(body, TAG.as_bytes()).take(MAX_TAGS).find_map(|at| {
        let tag = body.get(at..)?.get(..MAX_TAG_BYTES.min(body.len() - at))?;
        let mut fields = tag.splitn(5, |byte| *byte == b'.');
        // The tag itself, wire and kind.
        fields.nth(2)?;
        let origin = std::str::from_utf8(fields.next()?).ok()?;
        fields.next().filter(|_| origin.starts_with("dep_")).map(|_| origin)
    })
}

/// Whether state can be sent to an addressee: it made it, or it may have (state without an origin, on its own wire).
#[must_use]
pub fn is_for(state: &State, wire: Wire, origin: &str) -> bool {
    state.wire == wire && state.origin.as_deref().is_none_or(|maker| maker == origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maker_of_the_latest_state_is_found_without_reading_the_body() {
        let body = |id: &str| format!(r#"{{"a":"ug1.m.s.dep_01.Eq.x","b":"call_1__thought__ug1.r.s.{id}.gAA"}}"#);
        assert_eq!(origin_in(body("dep_02").as_bytes()), Some("dep_02"));
        assert_eq!(origin_in(body("someone").as_bytes()), Some("dep_01"), "not one of ours");
        assert_eq!(origin_in(b"{\"text\":\"ug1. is a tag, ug1.m.s.dep_03\"}"), None);
        assert_eq!(origin_in(b"ug1."), None);
    }

    #[test]
    fn state_finds_its_way_back() {
        let signature = State { wire: Wire::Messages, is_redacted: false, data: "Eq.Qo+/=".to_owned(), origin: None };
        assert_eq!(write(&signature, Wire::Messages, "d1"), "Eq.Qo+/=");
        let text = write(&signature, Wire::Responses, "d1");
        let back = read(&text, Wire::Responses);
        assert_eq!(back, State { origin: Some("d1".to_owned()), ..signature.clone() });
        assert!(is_for(&back, Wire::Messages, "d1"));
        assert!(!is_for(&back, Wire::Messages, "d2"));
        assert!(!is_for(&back, Wire::Responses, "d1"));
        let id = write_in_id("call_1", &signature, "d1");
        assert_eq!(read_id(&id), ("call_1", Some(back)));
        assert_eq!(read_id("call_2"), ("call_2", None));
        assert_eq!(read("gAAAA", Wire::Responses).wire, Wire::Responses);
    }
}
