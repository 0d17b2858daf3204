//! Cache breakpoints, which the wires write in two ways.
//!
//! Messages has `cache_control: {"type": "ephemeral", "ttl": "5m" | "1h"}`
//! (docs.anthropic.com/en/docs/build-with-claude/prompt-caching); the OpenAI wires have
//! `prompt_cache_breakpoint: {"mode": "explicit", "ttl": "30m" | "12h"}` on parts of content, for models that cache
//! explicitly (platform.openai.com/docs/guides/prompt-caching). A breakpoint is carried as it was written. One of OpenAI's
//! becomes one of Anthropic's; the other way it is left out, for most hosts of the OpenAI wires refuse the field.

use std::borrow::Cow;

use super::dropped;
use super::node::{Members, Node};
use super::out::Out;
use crate::canonical::Json;

const OPENAI: &str = "prompt_cache_breakpoint";
const ANTHROPIC: &str = "cache_control";

/// Reads the breakpoint of a part, in either form.
pub(super) fn read(part: &Members<'_>) -> Option<Json> {
    part.get(ANTHROPIC).or_else(|| part.get(OPENAI)).map(|node| node.json())
}

/// Whether a breakpoint is one of OpenAI's, so that its part cannot be written as a bare string.
pub(super) fn is_explicit(cache: Option<&Json>) -> bool {
    cache.is_some_and(|cache| Node::root(cache.as_str()).object().is_ok_and(|fields| fields.has("mode")))
}

/// Writes the breakpoint of a part of content for the OpenAI wires, or names it as left out.
pub(super) fn write_explicit(part: &mut Out<'_>, cache: Option<&Json>, lost: &mut Vec<Cow<'static, str>>) {
    match cache {
        Some(cache) if is_explicit(Some(cache)) => drop(part.raw(OPENAI, cache.as_str())),
        other => note(other, lost),
    }
}

/// Names a breakpoint that is left out.
pub(super) fn note(cache: Option<&Json>, lost: &mut Vec<Cow<'static, str>>) {
    let name = if is_explicit(cache) { OPENAI } else { ANTHROPIC };
    if cache.is_some() && !lost.iter().any(|known| known == name) {
        lost.push(dropped(name));
    }
}

/// Writes a breakpoint for Messages. A lifetime of OpenAI's is the least it must live: more than five minutes is an hour.
pub(super) fn write_ephemeral(block: &mut Out<'_>, cache: Option<&Json>) {
    let Some(cache) = cache else { return };
    if !is_explicit(Some(cache)) {
        block.raw(ANTHROPIC, cache.as_str());
        return;
    }
    let has_ttl = Node::root(cache.as_str()).object().is_ok_and(|fields| fields.has("ttl"));
    block.object(ANTHROPIC, |control| {
        control.text("type", "ephemeral").text_if("ttl", has_ttl.then_some("1h"));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::out::object;

    #[test]
    fn each_form_becomes_what_the_other_wire_has() {
        let json = |text: &str| Json::parse(text.to_owned());
        let (explicit, lasting) = (json(r#"{"mode":"explicit"}"#), json(r#"{"mode":"explicit","ttl":"30m"}"#));
        let ephemeral = json(r#"{"type":"ephemeral","ttl":"5m"}"#);
        let to_messages = |cache: &Option<Json>| object(|out| write_ephemeral(out, cache.as_ref()));
        assert_eq!(to_messages(&explicit), r#"{"cache_control":{"type":"ephemeral"}}"#);
        assert_eq!(to_messages(&lasting), r#"{"cache_control":{"type":"ephemeral","ttl":"1h"}}"#);
        assert_eq!(to_messages(&ephemeral), r#"{"cache_control":{"type":"ephemeral","ttl":"5m"}}"#);
        let mut lost = Vec::new();
        let mut to_openai = |cache: &Option<Json>| object(|out| write_explicit(out, cache.as_ref(), &mut lost));
        assert_eq!(to_openai(&lasting), r#"{"prompt_cache_breakpoint":{"mode":"explicit","ttl":"30m"}}"#);
        assert_eq!(to_openai(&ephemeral), "{}");
        assert_eq!(lost, ["cache_control"]);
    }
}
