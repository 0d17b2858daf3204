//! The native lane's changes to a request that a host would not take as it is. Nothing else is touched.

use std::borrow::Cow;

use bytes::Bytes;

use super::adapt;
use super::quirks::Quirks;
use super::read::{read_format, read_tool, read_tool_choice};
use super::wire::PARAMETERS;
use crate::canonical::Json;
use crate::canonical::text::{Effort, Thinking, Tool};
use crate::dialects::node::Node;
use crate::dialects::out;
use crate::dialects::raw::RawObject;
use crate::dialects::{Addressee, dropped, fields};
use crate::fault::{Fault, Outcome};

/// Fields by which clients steer thinking in a host's own way: who states one knows the host.
const OWN_THINKING: [&str; 4] = ["thinking", "enable_thinking", "reasoning", "chat_template_kwargs"];

/// Changes to the top level of a request.
#[derive(Debug, Default)]
pub(super) struct Fitting {
    /// Fields with their new JSON.
    pub set: Vec<(&'static str, Bytes)>,
    /// Fields that are left out.
    pub removed: Vec<&'static str>,
    /// Names of what does not reach the host as it was meant.
    pub lost: Vec<Cow<'static, str>>,
}

/// What has to change for an addressee.
///
/// # Errors
/// `BadRequest` that names a field which has to be understood for that and cannot be.
pub(super) fn fit(raw: &RawObject, to: &Addressee<'_>) -> Outcome<Fitting> {
    let mut fitter = Fitter { raw, quirks: to.quirks, fitting: Fitting::default() };
    fitter.thinking(to);
    if *to.quirks == Quirks::REFERENCE {
        return Ok(fitter.fitting);
    }
    fitter.plain_fields();
    fitter.tools()?;
    let instruction = fitter.format()?;
    fitter.messages(instruction.as_deref())?;
    Ok(fitter.fitting)
}

struct Fitter<'a> {
    raw: &'a RawObject,
    quirks: &'a Quirks,
    fitting: Fitting,
}

impl<'a> Fitter<'a> {
    /// A field's JSON; `None` where it is absent or `null`.
    fn get(&self, key: &str) -> Option<&'a str> {
        let text = std::str::from_utf8(self.raw.get(key)?).ok()?.trim();
        (text != "null").then_some(text)
    }

    fn set(&mut self, key: &'static str, json: impl Into<Bytes>) {
        self.fitting.set.push((key, json.into()));
    }

    fn thinking(&mut self, to: &Addressee<'_>) {
        let word = self.get("reasoning_effort").and_then(|json| serde_json::from_str::<String>(json).ok());
        // A word that is no step of the ladder is the provider's to judge.
        let Some(effort) = word.as_deref().and_then(Effort::parse) else { return };
        if OWN_THINKING.iter().any(|field| self.get(field).is_some()) {
            return;
        }
        let steering = adapt::steer(&Thinking { effort: Some(effort), ..Thinking::default() }, to);
        if steering.is_lost {
            self.fitting.lost.push(dropped("reasoning_effort"));
        }
        if !steering.fields.iter().any(|(name, _)| *name == "reasoning_effort") {
            self.fitting.removed.push("reasoning_effort");
        }
        for (name, json) in steering.fields {
            if self.get(name) != Some(&json) {
                self.set(name, json);
            }
        }
    }

    fn plain_fields(&mut self) {
        for (own, theirs) in self.quirks.renames {
            if let Some(value) = self.get(own) {
                self.fitting.removed.push(own);
                if self.get(theirs).is_none() {
                    self.set(theirs, value.to_owned());
                }
            }
        }
        let top_k: &[&'static str] = if self.quirks.takes_top_k { &[] } else { &["top_k"] };
        for field in self.quirks.refuses.iter().chain(top_k) {
            if let Some(value) = self.get(field) {
                self.leave_out(field, value);
            }
        }
        if !self.quirks.takes_stream_options && self.raw.get("stream_options").is_some() {
            self.fitting.removed.push("stream_options");
        }
        if let Some(tier) = self.get("service_tier")
            && !adapt::takes_tier(tier, self.quirks)
        {
            self.leave_out("service_tier", tier);
        }
    }

    /// Leaves a field out, and names it where that makes a difference.
    fn leave_out(&mut self, field: &'static str, value: &str) {
        if self.fitting.removed.contains(&field) {
            return;
        }
        self.fitting.removed.push(field);
        let parameter = PARAMETERS.iter().find(|(name, _)| *name == field).map(|(_, parameter)| *parameter);
        let is_default = parameter
            .zip(Json::parse(value.to_owned()))
            .is_some_and(|(parameter, json)| fields::is_default(parameter, &json));
        // `store` is ours to answer.
        if !is_default && field != "store" {
            self.fitting.lost.push(dropped(field));
        }
        if field == "tools" && self.raw.get("tool_choice").is_some() {
            self.fitting.removed.push("tool_choice");
        }
    }

    fn tools(&mut self) -> Outcome<()> {
        let Some(stated) = self.get("tools").filter(|_| !self.quirks.refuses("tools")) else { return Ok(()) };
        let items = Node::at(stated, "tools").list()?;
        let choice = match self.get("tool_choice").filter(|choice| *choice != "\"auto\"") {
            Some(choice) => Some(read_tool_choice(&Node::at(choice, "tool_choice"))?),
            None => None,
        };
        let loosens = !self.quirks.takes_strict && stated.contains("\"strict\"");
        if choice.is_none() && !loosens {
            return Ok(());
        }
        let tools: Vec<Tool> = items.iter().map(read_tool).collect::<Outcome<_>>()?;
        let chosen = choice.map(|choice| adapt::choose(&choice, &tools, self.quirks)).unwrap_or_default();
        if chosen.is_lost {
            self.fitting.lost.push(dropped("tool_choice"));
        }
        let is_offered = |tool: &Tool| {
            let only = chosen.only.as_ref();
            only.is_none_or(|only| tool.name().is_some_and(|name| only.iter().any(|own| own == name)))
        };
        let mut kept: Vec<Cow<'_, str>> = Vec::new();
        for (item, tool) in items.iter().zip(&tools).filter(|(_, tool)| is_offered(tool)) {
            if loosens && matches!(tool, Tool::Function { strict: Some(true), .. }) {
                self.fitting.lost.push(dropped("tools.strict"));
            }
            kept.push(if loosens { Cow::Owned(without_strict(item.raw())?) } else { Cow::Borrowed(item.raw()) });
        }
        let states_choice = self.raw.get("tool_choice").is_some();
        if kept.is_empty() {
            self.fitting.removed.push("tools");
        } else if loosens || kept.len() < items.len() {
            self.set("tools", format!("[{}]", kept.join(",")));
        }
        match chosen.json {
            Some(json) if states_choice && !kept.is_empty() => {
                if self.get("tool_choice") != Some(&json) {
                    self.set("tool_choice", json);
                }
            }
            None if states_choice && kept.is_empty() => self.fitting.removed.push("tool_choice"),
            Some(_) | None => {}
        }
        Ok(())
    }

    /// Answers what the system prompt has to say instead.
    fn format(&mut self) -> Outcome<Option<String>> {
        if self.quirks.takes_json_schema && self.quirks.takes_json_object {
            return Ok(None);
        }
        let Some(stated) = self.get("response_format") else { return Ok(None) };
        let shaped = adapt::shape(&read_format(&Node::at(stated, "response_format"))?, self.quirks);
        if shaped.instruction.is_none() {
            return Ok(None);
        }
        self.fitting.lost.extend(shaped.lost.map(dropped));
        match shaped.json {
            Some(json) => self.set("response_format", json),
            None => self.fitting.removed.push("response_format"),
        }
        Ok(shaped.instruction)
    }

    fn messages(&mut self, instruction: Option<&str>) -> Outcome<()> {
        let Some(stated) = self.get("messages") else { return Ok(()) };
        let quirks = self.quirks;
        let renames = !quirks.takes_developer && stated.contains("\"developer\"");
        let shortens = quirks.has_short_call_ids && stated.contains("\"tool_call");
        if !renames && !shortens && instruction.is_none() {
            return Ok(());
        }
        let mut written: Vec<String> = Vec::new();
        let mut instruction = instruction;
        for (at, message) in Node::at(stated, "messages").list()?.iter().enumerate() {
            let object = scan(message.raw(), || message.refuse("must be an object without repeated keys"))?;
            let mut splice = object.splice();
            let role = object.read::<String>("role").ok().flatten().unwrap_or_default();
            if renames && role == "developer" {
                splice.set("role", "\"system\"");
            }
            let leads = at == 0 && matches!(role.as_str(), "system" | "developer");
            if leads
                && let Some(words) = instruction
                && let Some(text) = object.read::<String>("content").ok().flatten()
            {
                splice.set("content", out::quoted(&format!("{text}\n\n{words}")));
                instruction = None;
            }
            if shortens && let Some(id) = object.read::<String>("tool_call_id").ok().flatten() {
                splice.set("tool_call_id", out::quoted(&adapt::call_id(&id, quirks)));
            }
            if shortens && let Some(calls) = object.get("tool_calls").and_then(|calls| std::str::from_utf8(calls).ok())
            {
                splice.replace("tool_calls", shorten(calls, quirks)?);
            }
            written.push(text_of(&splice.finish()));
        }
        if let Some(words) = instruction {
            written.insert(0, format!(r#"{{"role":"system","content":{}}}"#, out::quoted(words)));
        }
        self.set("messages", format!("[{}]", written.join(",")));
        Ok(())
    }
}

fn scan(json: &str, refuse: impl FnOnce() -> Fault) -> Outcome<RawObject> {
    RawObject::scan(Bytes::copy_from_slice(json.as_bytes())).map_err(|_| refuse())
}

fn text_of(pieces: &[Bytes]) -> String {
    String::from_utf8_lossy(&pieces.concat()).into_owned()
}

/// Calls with ids that the host takes.
fn shorten(calls: &str, quirks: &Quirks) -> Outcome<String> {
    let calls = Node::at(calls, "tool_calls");
    if calls.raw() == "null" {
        return Ok("null".to_owned());
    }
    let mut written = Vec::new();
    for call in calls.list()? {
        let object = scan(call.raw(), || call.refuse("must be an object without repeated keys"))?;
        let mut splice = object.splice();
        if let Some(id) = object.read::<String>("id").ok().flatten() {
            splice.set("id", out::quoted(&adapt::call_id(&id, quirks)));
        }
        written.push(text_of(&splice.finish()));
    }
    Ok(format!("[{}]", written.join(",")))
}

/// A tool without `strict` in its function.
fn without_strict(tool: &str) -> Outcome<String> {
    let refuse = || Fault::invalid("tools", "must be objects without repeated keys");
    let object = scan(tool, refuse)?;
    let Some(function) = object.get("function").and_then(|function| std::str::from_utf8(function).ok()) else {
        return Ok(tool.to_owned());
    };
    let inner = scan(function, refuse)?;
    let mut splice = inner.splice();
    splice.remove("strict");
    let function = text_of(&splice.finish());
    let mut splice = object.splice();
    splice.set("function", function);
    Ok(text_of(&splice.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::text::{Control, ReasoningKind};
    use crate::dialects::Asked as _;
    use crate::dialects::openai_chat::native::read_request;
    use crate::dialects::openai_chat::{Choices, ThinkingField};

    const STRICT_HOST: Quirks = Quirks {
        renames: &[("max_completion_tokens", "max_tokens"), ("seed", "random_seed")],
        refuses: &["user", "store", "logprobs"],
        takes_stream_options: false,
        takes_strict: false,
        takes_json_schema: false,
        takes_top_k: false,
        has_short_call_ids: true,
        choices: Choices::FREE,
        service_tiers: &["flex"],
        thinking: ThinkingField::Switch,
        ..Quirks::HOST
    };

    fn sent(body: &str, quirks: &Quirks) -> (String, String) {
        let request = read_request(Bytes::from(body.to_owned())).unwrap();
        let kind = Some(ReasoningKind::OpenaiBody);
        let to = Addressee { model: "up", quirks, control: Control { kind, levels: vec![] }, ..Addressee::default() };
        let written = request.for_upstream(&to).unwrap();
        (text_of(&written.body), written.dropped.join(","))
    }

    #[test]
    fn what_a_host_would_refuse_is_renamed_or_left_out_and_the_rest_is_untouched() {
        for (body, expected, lost) in [
            (r#"{"model":"m","messages":[ 1 ],"x": 1.50}"#, r#"{"model":"up","messages":[ 1 ],"x": 1.50}"#, ""),
            (
                r#"{"model":"m","messages":[],"max_completion_tokens":5,"seed":1e1,"stream":true}"#,
                r#"{"model":"up","messages":[],"stream":true,"max_tokens":5,"random_seed":1e1}"#,
                "",
            ),
            (
                r#"{"model":"m","messages":[],"max_completion_tokens":5,"max_tokens":6}"#,
                r#"{"model":"up","messages":[],"max_tokens":6}"#,
                "",
            ),
            (
                r#"{"model":"m","messages":[],"user":"u","logprobs":false,"top_k":3,"store":false}"#,
                r#"{"model":"up","messages":[]}"#,
                "user,top_k",
            ),
            (
                r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
                r#"{"model":"up","messages":[],"stream":true}"#,
                "",
            ),
            (
                r#"{"model":"m","messages":[],"service_tier":"priority"}"#,
                r#"{"model":"up","messages":[]}"#,
                "service_tier",
            ),
            (
                r#"{"model":"m","messages":[],"service_tier":"flex"}"#,
                r#"{"model":"up","messages":[],"service_tier":"flex"}"#,
                "",
            ),
            (
                r#"{"model":"m","messages":[],"reasoning_effort":"none"}"#,
                r#"{"model":"up","messages":[],"thinking":{"type":"disabled"}}"#,
                "",
            ),
            (
                r#"{"model":"m","messages":[],"reasoning_effort":"low","thinking":{"type":"enabled"}}"#,
                r#"{"model":"up","messages":[],"reasoning_effort":"low","thinking":{"type":"enabled"}}"#,
                "",
            ),
        ] {
            assert_eq!(sent(body, &STRICT_HOST), (expected.to_owned(), lost.to_owned()), "{body}");
        }
    }

    #[test]
    fn tools_and_formats_are_said_in_what_the_host_knows() {
        let tool = |name: &str| format!(r#"{{"type":"function","function":{{"name":"{name}","strict":true}}}}"#);
        let body = format!(
            r#"{{"model":"m","messages":[],"tools":[{},{}],"tool_choice":{{"type":"function","function":{{"name":"b"}}}}}}"#,
            tool("a"),
            tool("b")
        );
        assert_eq!(
            sent(&body, &STRICT_HOST),
            (
                r#"{"model":"up","messages":[],"tools":[{"type":"function","function":{"name":"b"}}],"tool_choice":"auto"}"#
                    .to_owned(),
                "tool_choice,tools.strict".to_owned()
            )
        );
        let body = r#"{"model":"m","messages":[{"role":"system","content":"Be brief."}],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"a": 1}}}}"#;
        let (text, lost) = sent(body, &STRICT_HOST);
        assert_eq!(lost, "response_format.json_schema");
        assert!(text.contains(r#""response_format":{"type":"json_object"}"#), "{text}");
        assert!(
            text.contains(r#"Be brief.\n\nAnswer with one JSON object"#) && text.contains(r#"{\"a\": 1}"#),
            "{text}"
        );
        let (text, _) = sent(&body.replace("system", "user"), &STRICT_HOST);
        assert!(text.contains(r#""messages":[{"role":"system","content":"Answer with"#), "{text}");
    }

    #[test]
    fn roles_and_ids_of_calls_are_the_hosts() {
        let body = r#"{"model":"m","messages":[{"role":"developer","content":"d"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1","content":"r"}]}"#;
        let (text, _) = sent(body, &STRICT_HOST);
        let short = adapt::call_id("call_1", &STRICT_HOST);
        let expected =
            body.replace("developer", "system").replace("call_1", &short).replace(r#""model":"m""#, r#""model":"up""#);
        assert_eq!(text, expected);
    }

    #[test]
    fn a_step_is_clamped_and_one_that_a_model_does_not_have_is_named() {
        let request = read_request(Bytes::from(r#"{"model":"m","messages":[],"reasoning_effort":"xhigh"}"#)).unwrap();
        let kind = Some(ReasoningKind::OpenaiEffort);
        let control = Control { kind, levels: vec![Effort::Low, Effort::High] };
        let written = request.for_upstream(&Addressee { model: "up", control, ..Addressee::default() }).unwrap();
        assert_eq!(text_of(&written.body), r#"{"model":"up","messages":[],"reasoning_effort":"high"}"#);
        let known = Addressee { model: "up", max_output_tokens: Some(9), ..Addressee::default() };
        let written = request.for_upstream(&known).unwrap();
        assert_eq!(text_of(&written.body), r#"{"model":"up","messages":[]}"#);
        assert_eq!(written.dropped, ["reasoning_effort"]);
    }
}
