//! What the response cache needs to know of bodies: whether a request may be answered from it, the normal form that equal
//! requests share, and whether an answer is all that was asked for. The same for every contract, so that an operation
//! that is new here is judged as well: what is not known to be plain text is not cached.
//!
//! The normal form is the JSON value itself: white space, the order of members, escapes and spellings of the same number
//! do not matter; everything else does, unknown fields included.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::raw::json_string;

/// Members that name tools of the client's or of the provider's.
const TOOLS: [&str; 8] =
    ["tools", "functions", "tool_choice", "function_call", "mcp_servers", "web_search_options", "container", "plugins"];
/// Members that keep or use state elsewhere.
const STATE: [&str; 5] = ["store", "previous_response_id", "conversation", "background", "prompt"];
/// Members that ask for more than text.
const MEDIA: [&str; 2] = ["audio", "modalities"];
/// Members that hold what is said.
const CONTENT: [&str; 6] = ["messages", "input", "system", "instructions", "query", "documents"];
/// Words of `type` in what is said that are text, or a mark on it.
const TEXT: [&str; 6] = ["text", "input_text", "output_text", "refusal", "message", "ephemeral"];
/// Whole numbers above this are not told apart once a reader has made them floating-point numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The normal form of a request that may be answered from the cache; `None` for one that may not: a stream, one with tools,
/// with state kept elsewhere, with more than text, or one that readers could understand in two ways.
#[must_use]
pub fn normal_form(body: &[u8]) -> Option<String> {
    let tree: Tree = serde_json::from_slice(body).ok()?;
    let Tree::Object(members) = &tree else { return None };
    let says = |name: &&str| members.get(*name).is_some_and(Tree::says_something);
    // A prompt is a text, or the name of one that is stored elsewhere.
    let is_stored =
        |name: &&str| says(name) && !(*name == "prompt" && matches!(members.get(*name), Some(Tree::Text(_))));
    let is_text = |name: &&str| members.get(*name).is_none_or(Tree::is_text_only);
    let is_plain = !says(&"stream")
        && !TOOLS.iter().any(says)
        && !STATE.iter().any(is_stored)
        && !MEDIA.iter().any(|name| says(name) && !is_text_alone(members.get(*name)))
        && CONTENT.iter().all(is_text);
    if !is_plain {
        return None;
    }
    let mut text = String::with_capacity(body.len());
    tree.write(&mut text);
    Some(text)
}

/// `["text"]`.
fn is_text_alone(modalities: Option<&Tree>) -> bool {
    matches!(modalities, Some(Tree::List(words)) if words.iter().all(|word| *word == Tree::Text("text".to_owned())))
}

/// Whether a whole answer says all that was asked for: it was neither cut off, nor refused, nor blocked, and calls nothing.
/// In contracts without such words every answer without an error does.
#[must_use]
pub fn is_complete(body: &[u8]) -> bool {
    let Ok(Tree::Object(members)) = serde_json::from_slice(body) else { return false };
    let word = |of: &BTreeMap<String, Tree>, name: &str, good: &[&str]| match of.get(name) {
        None => true,
        Some(Tree::Text(word)) => good.contains(&word.as_str()),
        Some(_) => false,
    };
    let has = |of: &BTreeMap<String, Tree>, name: &str| of.get(name).is_some_and(Tree::says_something);
    let is_good_choice = |choice: &Tree| {
        let Tree::Object(choice) = choice else { return false };
        let Some(Tree::Object(message)) = choice.get("message") else { return false };
        word(choice, "finish_reason", &["stop"]) && !has(message, "refusal") && !has(message, "tool_calls")
    };
    let is_good_item = |item: &Tree| {
        let Tree::Object(item) = item else { return false };
        let refuses = |part: &Tree| matches!(part, Tree::Object(part) if part.get("type") == Some(&Tree::Text("refusal".to_owned())));
        let parts = item.get("content");
        !matches!(parts, Some(Tree::List(parts)) if parts.iter().any(refuses))
    };
    let all = |name: &str, good: &dyn Fn(&Tree) -> bool| match members.get(name) {
        None => true,
        Some(Tree::List(list)) => !list.is_empty() && list.iter().all(good),
        Some(_) => false,
    };
    !has(&members, "error")
        && word(&members, "stop_reason", &["end_turn", "stop_sequence"])
        && word(&members, "status", &["completed"])
        && all("choices", &is_good_choice)
        && all("output", &is_good_item)
}

/// A JSON value without repeated members, whose numbers can be told apart.
#[derive(Debug, PartialEq)]
enum Tree {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Object(BTreeMap<String, Tree>),
}

impl Tree {
    /// Whether it is more than a way to say nothing.
    fn says_something(&self) -> bool {
        match self {
            Self::Null | Self::Bool(false) => false,
            Self::Text(text) => !text.is_empty() && text != "none",
            Self::List(list) => !list.is_empty(),
            Self::Object(members) => !members.is_empty(),
            Self::Bool(true) | Self::Signed(_) | Self::Unsigned(_) | Self::Float(_) => true,
        }
    }

    /// Whether no part of it is an image, a sound, a file, a call or anything else that is not known to be text.
    fn is_text_only(&self) -> bool {
        match self {
            Self::Object(members) => {
                let is_known = match members.get("type") {
                    None => !["image_url", "image", "input_audio", "file", "source", "inline_data", "tool_calls"]
                        .iter()
                        .any(|name| members.get(*name).is_some_and(Self::says_something)),
                    Some(Self::Text(word)) => TEXT.contains(&word.as_str()),
                    Some(_) => false,
                };
                is_known && members.values().all(Self::is_text_only)
            }
            Self::List(list) => list.iter().all(Self::is_text_only),
            Self::Null | Self::Bool(_) | Self::Signed(_) | Self::Unsigned(_) | Self::Float(_) | Self::Text(_) => true,
        }
    }

    fn write(&self, out: &mut String) {
        // Writing to a text cannot fail.
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => _ = write!(out, "{value}"),
            Self::Signed(value) => _ = write!(out, "{value}"),
            Self::Unsigned(value) => _ = write!(out, "{value}"),
            Self::Float(value) => _ = write!(out, "{value:?}"),
            Self::Text(text) => write_text(text, out),
            Self::List(list) => {
                out.push('[');
                for (place, value) in list.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    value.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (place, (name, value)) in members.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&String::from_utf8_lossy(&json_string(text)));
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Signed(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Unsigned(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Tree, E> {
        if value.abs() >= EXACT { Err(E::custom("a number that is not exact")) } else { Ok(Tree::Float(value)) }
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, Tree>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a repeated member"));
            }
        }
        Ok(Tree::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Option<String> {
        normal_form(body.as_bytes())
    }

    #[test]
    fn bodies_that_say_the_same_have_one_form_and_others_do_not() {
        let one = r#"{"model":"m","temperature":0.5,"messages":[{"role":"user","content":"h\u0069 \"you\""}]}"#;
        let same = r#" { "messages" : [ { "content":"hi \"you\"", "role":"user" } ],"temperature":5e-1,"model":"m"}"#;
        assert_eq!(of(one).unwrap(), of(same).unwrap());
        assert_eq!(
            of(one).unwrap(),
            r#"{"messages":[{"content":"hi \"you\"","role":"user"}],"model":"m","temperature":0.5}"#
        );
        for other in [
            r#"{"model":"m","temperature":0.5,"messages":[{"role":"user","content":"hi \"you\" "}]}"#,
            r#"{"model":"m","temperature":0.25,"messages":[{"role":"user","content":"hi \"you\""}]}"#,
            r#"{"model":"m","temperature":0.5,"messages":[{"role":"user","content":"hi \"you\""}],"user":"a"}"#,
            r#"{"model":"m","temperature":0.5,"messages":[[{"role":"user","content":"hi \"you\""}]]}"#,
        ] {
            assert_ne!(of(one), of(other), "{other}");
        }
        let seed = |seed: &str| of(&format!(r#"{{"seed":{seed}}}"#));
        assert_ne!(seed("9223372036854775807"), seed("9223372036854775806"));
        assert_ne!(seed("18446744073709551615"), seed("18446744073709551614"));
    }

    #[test]
    fn what_may_not_be_cached_has_no_form() {
        for body in [
            r#"{"stream":true}"#,
            r#"{"tools":[{"type":"function"}]}"#,
            r#"{"functions":[{"name":"f"}]}"#,
            r#"{"mcp_servers":[{}]}"#,
            r#"{"web_search_options":{"a":1}}"#,
            r#"{"store":true}"#,
            r#"{"previous_response_id":"resp_1"}"#,
            r#"{"conversation":"conv_1"}"#,
            r#"{"background":true}"#,
            r#"{"prompt":{"id":"pmpt_1"}}"#,
            r#"{"modalities":["text","audio"]}"#,
            r#"{"audio":{"voice":"alloy"}}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:"}}]}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"image","source":{}}]}]}"#,
            r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"1"}]}]}"#,
            r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"a"}]}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":5}]}]}"#,
            r#"{"input":[{"type":"reasoning","encrypted_content":"x"}]}"#,
            r#"{"input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]}"#,
            r#"{"input":[{"image":"data:"}]}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"seed":18446744073709551616}"#,
            r#"{"seed":1e300}"#,
            "[1]",
            "{",
            "",
        ] {
            assert_eq!(of(body), None, "{body}");
        }
    }

    #[test]
    fn what_says_nothing_about_tools_state_and_media_is_no_obstacle() {
        for body in [
            r#"{"stream":false,"tools":[],"tool_choice":"none","store":false,"previous_response_id":null}"#,
            r#"{"modalities":["text"],"audio":null,"prompt":"Once upon a time"}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}]}"#,
            r#"{"input":["a","b"],"encoding_format":"float"}"#,
            r#"{"input":[[1,2],[3]]}"#,
            r#"{"query":"q","documents":["a",{"text":"b"}]}"#,
            r#"{"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object"}}}}"#,
        ] {
            assert!(of(body).is_some(), "{body}");
        }
    }

    #[test]
    fn only_answers_that_say_all_are_complete() {
        for (body, expected) in [
            (r#"{"choices":[{"message":{"content":"a","refusal":null},"finish_reason":"stop"}]}"#, true),
            (r#"{"choices":[{"message":{"content":"a"},"finish_reason":"length"}]}"#, false),
            (r#"{"choices":[{"message":{"content":"a"},"finish_reason":"content_filter"}]}"#, false),
            (r#"{"choices":[{"message":{"content":"a"},"finish_reason":null}]}"#, false),
            (r#"{"choices":[{"message":{},"finish_reason":"stop"},{"message":{},"finish_reason":"length"}]}"#, false),
            (r#"{"choices":[{"message":{"refusal":"no"},"finish_reason":"stop"}]}"#, false),
            (r#"{"choices":[{"message":{"tool_calls":[{}]},"finish_reason":"stop"}]}"#, false),
            (r#"{"choices":[]}"#, false),
            (r#"{"type":"message","stop_reason":"end_turn"}"#, true),
            (r#"{"type":"message","stop_reason":"max_tokens"}"#, false),
            (r#"{"type":"message","stop_reason":"refusal"}"#, false),
            (r#"{"type":"message","stop_reason":null}"#, false),
            (r#"{"status":"completed","error":null,"output":[{"content":[{"type":"output_text"}]}]}"#, true),
            (r#"{"status":"completed","output":[{"content":[{"type":"refusal"}]}]}"#, false),
            (r#"{"status":"incomplete","output":[{}]}"#, false),
            (r#"{"object":"list","data":[{"embedding":[0.1]}]}"#, true),
            (r#"{"error":{"message":"no"}}"#, false),
            ("[]", false),
            ("{", false),
        ] {
            assert_eq!(is_complete(body.as_bytes()), expected, "{body}");
        }
    }
}
