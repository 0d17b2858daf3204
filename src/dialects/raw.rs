//! The top level of a JSON object without building a tree: where each member's value lies, so that a few can be replaced
//! and all other bytes pass untouched.
//!
//! Validation (syntax, UTF-8) is `serde_json`'s. On top of it: nesting depth, duplicate keys, and keys that differ from a
//! known one only in case. All three let a filter and a provider read two different requests from the same bytes.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::fault::{Fault, Kind, Outcome};

/// Deepest nesting that is read.
pub const MAX_DEPTH: usize = 128;

/// One member of the object.
#[derive(Debug, Clone)]
struct Member {
    key: MemberKey,
    value: Range<usize>,
}

/// A key, by its place where it has no escapes.
#[derive(Debug, Clone)]
enum MemberKey {
    Plain(Range<usize>),
    Escaped(String),
}

/// A JSON object, its members found.
#[derive(Debug, Clone)]
pub struct RawObject {
    bytes: Bytes,
    members: Vec<Member>,
}

/// Why bytes are not an object that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawError {
    /// Not JSON; line and column, counted from one.
    Syntax {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
        /// In the parser's words.
        what: String,
    },
    /// JSON, but not an object.
    NotAnObject,
    /// Nested too deeply.
    TooDeep,
    /// A key that occurs twice.
    Duplicate(String),
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(entry) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((entry.0.0, entry.1));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A key, borrowed unless it has escapes.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl RawObject {
    /// Finds the members of the object in `bytes`.
    ///
    /// # Errors
    /// [`RawError`].
    pub fn scan(bytes: Bytes) -> Result<Self, RawError> {
        check_depth(&bytes)?;
        let found: Members<'_> = serde_json::from_slice(&bytes).map_err(|error| {
            if error.is_data() {
                return RawError::NotAnObject;
            }
            RawError::Syntax { line: error.line(), column: error.column(), what: describe(&error) }
        })?;
        if let Some(twice) = find_duplicate(&found.0) {
            return Err(RawError::Duplicate(twice.to_owned()));
        }
        let place = |text: &str| {
            // Borrowed texts are slices of `bytes`.
            let from = text.as_ptr() as usize - bytes.as_ptr() as usize;
            from..from + text.len()
        };
        let members = found.0.iter().map(|(key, value)| Member {
            key: match key {
                Cow::Borrowed(key) => MemberKey::Plain(place(key)),
                Cow::Owned(key) => MemberKey::Escaped(key.clone()),
            },
            value: place(value.get()),
        });
        let members = members.collect();
        Ok(Self { bytes, members })
    }

    fn key<'a>(&'a self, member: &'a Member) -> &'a str {
        match &member.key {
            MemberKey::Plain(range) => {
                self.bytes.get(range.clone()).and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default()
            }
            MemberKey::Escaped(key) => key,
        }
    }

    fn find(&self, key: &str) -> Option<&Member> {
        self.members.iter().find(|member| self.key(member) == key)
    }

    /// Scans a client's request: errors name what is wrong, and no key may be a case variant of one in `known`.
    ///
    /// # Errors
    /// `InvalidJson` or `BadRequest`.
    pub fn scan_request(bytes: Bytes, known: &[&str]) -> Outcome<Self> {
        let object = Self::scan(bytes).map_err(|error| match error {
            RawError::Syntax { line, column, what } => Fault::new(Kind::InvalidJson)
                .say(format!("The body is not valid JSON: {what} at line {line} column {column}.")),
            RawError::NotAnObject => Fault::new(Kind::InvalidJson).say("The body must be a JSON object."),
            RawError::TooDeep => {
                Fault::new(Kind::InvalidJson).say(format!("The body is nested deeper than {MAX_DEPTH} levels."))
            }
            RawError::Duplicate(key) => Fault::invalid(shorten(&key), "is given more than once"),
        })?;
        for key in object.keys() {
            let variant = known.iter().find(|known| known.eq_ignore_ascii_case(key) && **known != key);
            if let Some(variant) = variant {
                return Err(Fault::invalid(shorten(key), format!("is not a field; did you mean `{variant}`?")));
            }
        }
        Ok(object)
    }

    /// The raw JSON of a member's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.bytes.get(self.find(key)?.value.clone())
    }

    /// Reads a member's value. `None` when it is absent or `null`.
    ///
    /// # Errors
    /// `serde_json`'s, when the value has another type.
    pub fn read<'a, T: Deserialize<'a>>(&'a self, key: &str) -> Result<Option<T>, serde_json::Error> {
        self.get(key).map_or(Ok(None), serde_json::from_slice::<Option<T>>)
    }

    /// All keys, decoded, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| self.key(member))
    }

    /// The bytes that were scanned.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The text that was scanned.
    #[must_use]
    pub fn text(&self) -> &str {
        // The scan has read all of it as JSON, which is UTF-8.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// Starts a list of changes.
    #[must_use]
    pub fn splice(&self) -> Splice<'_> {
        Splice { object: self, edits: Vec::new(), added: Vec::new(), removed: Vec::new() }
    }
}

/// Changes to the top level of an object. Bytes that are not changed are shared, not copied.
#[derive(Debug)]
pub struct Splice<'a> {
    object: &'a RawObject,
    edits: Vec<(Range<usize>, Bytes)>,
    added: Vec<(&'static str, Bytes)>,
    /// Positions of members that are taken out.
    removed: Vec<usize>,
}

impl Splice<'_> {
    /// Sets a member to raw JSON, adding it at the end when it is absent.
    pub fn set(&mut self, key: &'static str, json: impl Into<Bytes>) {
        match self.object.find(key) {
            Some(member) => self.edits.push((member.value.clone(), json.into())),
            None => self.added.push((key, json.into())),
        }
    }

    /// Replaces a member that is there; an absent one stays absent.
    pub fn replace(&mut self, key: &'static str, json: impl Into<Bytes>) {
        if self.object.get(key).is_some() {
            self.set(key, json);
        }
    }

    /// Takes a member out, with the comma that belongs to it.
    pub fn remove(&mut self, key: &str) {
        let position = self.object.members.iter().position(|member| self.object.key(member) == key);
        self.removed.extend(position.filter(|position| !self.removed.contains(position)));
    }

    /// What is taken out: from the end of the member before, or through the comma behind where none that stays is before.
    fn removals(&self) -> Vec<(Range<usize>, Bytes)> {
        let members = &self.object.members;
        let first_kept = (0..members.len()).find(|position| !self.removed.contains(position));
        let range = |position: &usize| {
            let end = members.get(*position)?.value.end;
            let before = position.checked_sub(1).and_then(|previous| members.get(previous));
            let start = before.map_or(self.open() + 1, |previous| previous.value.end);
            let has_comma = first_kept.is_some_and(|kept| *position < kept);
            let rest = self.object.bytes.get(end..).filter(|_| has_comma).unwrap_or_default();
            Some((start..end + memchr::memchr(b',', rest).map_or(0, |at| at + 1), Bytes::new()))
        };
        self.removed.iter().filter_map(range).collect()
    }

    /// The changed object, in pieces.
    #[must_use]
    pub fn finish(mut self) -> Vec<Bytes> {
        if !self.added.is_empty() {
            self.edits.push(self.addition());
        }
        self.edits.extend(self.removals());
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut pieces = Vec::with_capacity(self.edits.len() * 2 + 1);
        let mut from = 0;
        for (range, json) in self.edits {
            // Removals of neighbours may overlap.
            if range.start > from {
                pieces.push(self.object.bytes.slice(from..range.start));
            }
            if !json.is_empty() {
                pieces.push(json);
            }
            from = from.max(range.end);
        }
        if from < self.object.bytes.len() {
            pieces.push(self.object.bytes.slice(from..));
        }
        pieces
    }

    fn open(&self) -> usize {
        memchr::memchr(b'{', &self.object.bytes).unwrap_or_default()
    }

    fn addition(&self) -> (Range<usize>, Bytes) {
        let close = memchr::memrchr(b'}', &self.object.bytes).unwrap_or_default();
        let mut is_first = self.object.members.len() == self.removed.len();
        let mut json = Vec::with_capacity(64);
        for (key, value) in &self.added {
            if !is_first {
                json.push(b',');
            }
            is_first = false;
            json.push(b'"');
            json.extend_from_slice(key.as_bytes());
            json.extend_from_slice(b"\":");
            json.extend_from_slice(value);
        }
        (close..close, Bytes::from(json))
    }
}

/// What is wrong with an answer that is not an object.
#[must_use]
pub fn malformed(error: &RawError) -> &'static str {
    match error {
        RawError::Syntax { .. } => "it is not JSON",
        RawError::NotAnObject => "it is not a JSON object",
        RawError::TooDeep => "it is nested too deeply",
        RawError::Duplicate(_) => "a key is given twice",
    }
}

/// Joins pieces; for tests and small bodies.
#[must_use]
pub fn join(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [only] => only.clone(),
        pieces => pieces.concat().into(),
    }
}

/// `"text"` as JSON.
#[must_use]
pub fn json_string(text: &str) -> Bytes {
    Bytes::from(serde_json::Value::from(text).to_string())
}

/// A key that occurs twice. Objects of answers have few members, and comparing those beats hashing them.
fn find_duplicate<'a>(members: &'a [(Cow<'_, str>, &RawValue)]) -> Option<&'a str> {
    if members.len() <= 24 {
        let twice = members
            .iter()
            .enumerate()
            .find(|(position, (key, _))| members.iter().take(*position).any(|(earlier, _)| earlier == key));
        return twice.map(|(_, (key, _))| key.as_ref());
    }
    let mut seen = HashSet::with_capacity(members.len());
    members.iter().map(|(key, _)| key.as_ref()).find(|key| !seen.insert(*key))
}

fn check_depth(bytes: &[u8]) -> Result<(), RawError> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in bytes {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(RawError::TooDeep);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// The parser's sentence without its own position suffix.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

fn shorten(key: &str) -> String {
    key.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> RawObject {
        RawObject::scan(Bytes::from(text.to_owned())).unwrap()
    }

    fn spliced(text: &str, change: impl FnOnce(&mut Splice<'_>)) -> String {
        let object = object(text);
        let mut splice = object.splice();
        change(&mut splice);
        String::from_utf8(join(&splice.finish()).to_vec()).unwrap()
    }

    #[test]
    fn all_other_bytes_stay_as_they_were() {
        let text = "{ \"n\" : 1.0e2,\t\"model\":\"a\" , \"x\":{\"model\":\"b\"} }";
        assert_eq!(
            spliced(text, |splice| splice.set("model", "\"up\"")),
            "{ \"n\" : 1.0e2,\t\"model\":\"up\" , \"x\":{\"model\":\"b\"} }"
        );
        assert_eq!(
            spliced(text, |splice| splice.set("stream_options", "{}")),
            "{ \"n\" : 1.0e2,\t\"model\":\"a\" , \"x\":{\"model\":\"b\"} ,\"stream_options\":{}}"
        );
    }

    #[test]
    fn members_are_removed_with_their_comma() {
        for (text, key, expected) in [
            ("{\"a\":1,\"b\":2,\"c\":3}", "a", "{\"b\":2,\"c\":3}"),
            ("{\"a\":1,\"b\":2,\"c\":3}", "b", "{\"a\":1,\"c\":3}"),
            ("{\"a\":1,\"b\":2,\"c\":3}", "c", "{\"a\":1,\"b\":2}"),
            ("{\"a\":1}", "a", "{}"),
            ("{\"a\":1}", "z", "{\"a\":1}"),
        ] {
            assert_eq!(spliced(text, |splice| splice.remove(key)), expected, "{text} without {key}");
        }
        for order in [["a", "b"], ["b", "a"], ["c", "b"], ["a", "c"]] {
            let text =
                spliced("{ \"a\" : 1 , \"b\":2,\"c\":3 }", |splice| order.iter().for_each(|key| splice.remove(key)));
            let left: Vec<&str> = ["a", "b", "c"].into_iter().filter(|key| !order.contains(key)).collect();
            let read: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
            assert_eq!(read.keys().map(String::as_str).collect::<Vec<_>>(), left, "{text}");
        }
        let all = spliced("{\"a\":1, \"b\":2}", |splice| {
            splice.remove("a");
            splice.remove("b");
            splice.set("c", "3");
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&all).unwrap(), serde_json::json!({"c": 3}));
    }

    #[test]
    fn an_empty_object_takes_members() {
        assert_eq!(
            spliced("{}", |splice| {
                splice.set("a", "1");
                splice.set("b", "2");
            }),
            "{\"a\":1,\"b\":2}"
        );
    }

    #[test]
    fn duplicates_are_refused_even_when_one_is_escaped() {
        let scan = |text: &str| RawObject::scan(Bytes::from(text.to_owned())).map(|_| ());
        assert_eq!(scan(r#"{"model":"a","model":"b"}"#), Err(RawError::Duplicate("model".into())));
        assert_eq!(scan(r#"{"model":"a","mod\u0065l":"b"}"#), Err(RawError::Duplicate("model".into())));
        assert_eq!(scan(r#"{"a":{"model":1},"b":{"model":2}}"#), Ok(()));
        assert_eq!(scan("[1]"), Err(RawError::NotAnObject));
    }

    #[test]
    fn a_request_is_refused_with_the_place_of_the_error() {
        let scan = |text: &str| {
            let fault = RawObject::scan_request(Bytes::from(text.to_owned()), &["model"]).unwrap_err();
            (fault.kind(), fault.at().map(str::to_owned), fault.message().to_owned())
        };
        let (kind, _, message) = scan("{\"a\":1,\n\"b\" 2}");
        assert_eq!(kind, Kind::InvalidJson);
        assert!(message.contains("line 2 column 5"), "{message}");
        assert_eq!(scan("{\"Model\":1}").1.as_deref(), Some("Model"));
        assert_eq!(scan(&format!("{{\"a\":{}{}}}", "[".repeat(128), "]".repeat(128))).0, Kind::InvalidJson);
        assert_eq!(scan("{\"a\":\"\u{0}\"}").0, Kind::InvalidJson);
        assert_eq!(scan("{\"a\":1} trailing").0, Kind::InvalidJson);
        assert_eq!(scan("").0, Kind::InvalidJson);
    }

    #[test]
    fn brackets_in_strings_are_no_depth() {
        object(&format!("{{\"a\":\"{}\\\"{}\"}}", "[".repeat(500), "{".repeat(500)));
    }

    #[test]
    fn invalid_utf8_is_refused() {
        assert!(RawObject::scan(Bytes::from_static(b"{\"a\":\"\xff\"}")).is_err());
        assert!(RawObject::scan(Bytes::from_static(b"{\"\xff\":1}")).is_err());
    }
}
