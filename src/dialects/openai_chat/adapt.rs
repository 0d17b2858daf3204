//! A request fitted to a host's quirks, in pieces that both lanes share.

use super::quirks::{Quirks, ThinkingField};
use crate::canonical::text::{Effort, Format, ReasoningKind, Thinking, Tool, ToolChoice};
use crate::dialects::Addressee;
use crate::dialects::out::{self, Out};

/// The fields that steer thinking.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steering {
    /// Name and JSON.
    pub fields: Vec<(&'static str, String)>,
    /// Whether nothing can be said of it to this addressee.
    pub is_lost: bool,
}

impl Steering {
    fn add(&mut self, name: &'static str, json: impl Into<String>) {
        self.fields.push((name, json.into()));
    }
}

/// Fields that say how much to think, in the addressee's own way. The step is clamped to what the model has.
pub(super) fn steer(thinking: &Thinking, to: &Addressee<'_>) -> Steering {
    let mut steering = Steering::default();
    let Some(step) = thinking.step() else { return steering };
    // A model that does not reason refuses the fields; of one that nothing is known of, the client knows best.
    if to.control.kind.is_none() && to.max_output_tokens.is_some() {
        return Steering { is_lost: true, ..steering };
    }
    let step = step.clamp(&to.control.levels);
    let is_on = step != Effort::None;
    let word = out::quoted(step.as_str());
    let switch = |on: &str| format!(r#"{{"type":"{}"}}"#, if is_on { on } else { "disabled" });
    match way(to) {
        ThinkingField::Effort => steering.add("reasoning_effort", word),
        field @ (ThinkingField::Switch | ThinkingField::AdaptiveSwitch) => {
            steering.add("thinking", switch(if field == ThinkingField::Switch { "enabled" } else { "adaptive" }));
            let steps = to.control.levels.iter().filter(|level| **level > Effort::None).count();
            if is_on && steps > 1 {
                steering.add("reasoning_effort", word);
            }
        }
        ThinkingField::EnableThinking => {
            steering.add("enable_thinking", is_on.to_string());
            if let Some(tokens) = thinking.budget.filter(|tokens| *tokens > 0) {
                steering.add("thinking_budget", tokens.to_string());
            }
        }
        ThinkingField::Reasoning => match thinking.budget.filter(|tokens| *tokens > 0) {
            Some(tokens) => steering.add("reasoning", format!(r#"{{"max_tokens":{tokens}}}"#)),
            None => steering.add("reasoning", format!(r#"{{"effort":{word}}}"#)),
        },
        ThinkingField::TemplateFlag => {
            steering.add("chat_template_kwargs", format!(r#"{{"enable_thinking":{is_on}}}"#));
            if is_on && to.control.kind.is_none() {
                let step = step.clamp(&[Effort::Low, Effort::Medium, Effort::High]);
                steering.add("reasoning_effort", out::quoted(step.as_str()));
            }
        }
        ThinkingField::Nothing => steering.is_lost = true,
    }
    steering
}

/// How this model at this host is steered.
fn way(to: &Addressee<'_>) -> ThinkingField {
    let hosts = to.quirks.thinking;
    match to.control.kind {
        Some(ReasoningKind::ChatTemplateFlag) => ThinkingField::TemplateFlag,
        Some(ReasoningKind::Fixed) => ThinkingField::Nothing,
        Some(ReasoningKind::OpenaiBody) | None => hosts,
        Some(_) if hosts == ThinkingField::Reasoning => hosts,
        Some(_) => ThinkingField::Effort,
    }
}

/// A tool choice that an addressee can take.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The value of `tool_choice`; `None`: it is left out.
    pub json: Option<String>,
    /// The only tools to offer; `None`: all.
    pub only: Option<Vec<String>>,
    /// Whether the choice could not be said, not even by offering fewer tools.
    pub is_lost: bool,
}

/// Says a choice in what a host knows of choices. A native choice of another wire is lost.
pub(super) fn choose(choice: &ToolChoice, tools: &[Tool], quirks: &Quirks) -> Chosen {
    let knows = quirks.choices;
    let word = |word: &str| Chosen { json: Some(out::quoted(word)), ..Chosen::default() };
    let required = || match tools {
        _ if knows.required => word("required"),
        [tool] if knows.named && tool.name().is_some() => {
            Chosen { json: tool.name().map(|name| named(name, tools, quirks)), ..Chosen::default() }
        }
        _ => Chosen { is_lost: true, ..word("auto") },
    };
    match choice {
        ToolChoice::Auto => word("auto"),
        ToolChoice::None if knows.none => word("none"),
        ToolChoice::None => Chosen { only: Some(Vec::new()), ..Chosen::default() },
        ToolChoice::Required => required(),
        ToolChoice::Named(name) if knows.named => {
            Chosen { json: Some(named(name, tools, quirks)), ..Chosen::default() }
        }
        ToolChoice::Named(name) => Chosen { only: Some(vec![name.clone()]), ..required() },
        ToolChoice::Allowed { is_required, names } if knows.allowed => {
            Chosen { json: Some(allowed(*is_required, names, tools, quirks)), ..Chosen::default() }
        }
        ToolChoice::Allowed { is_required, names } => {
            let inner = if *is_required { required() } else { word("auto") };
            Chosen { only: Some(names.clone()), ..inner }
        }
        ToolChoice::Native { wire: crate::canonical::Wire::Chat, json } => {
            Chosen { json: Some(json.as_str().to_owned()), ..Chosen::default() }
        }
        ToolChoice::Native { .. } => Chosen { is_lost: true, ..Chosen::default() },
    }
}

fn kind_of(name: &str, tools: &[Tool], quirks: &Quirks) -> &'static str {
    let is_custom = |tool: &Tool| matches!(tool, Tool::Custom { name: own, .. } if own == name);
    if quirks.takes_custom_tools && tools.iter().any(is_custom) { "custom" } else { "function" }
}

fn write_name(out: &mut Out<'_>, name: &str, tools: &[Tool], quirks: &Quirks) {
    let kind = kind_of(name, tools, quirks);
    out.text("type", kind).object(kind, |tool| {
        tool.text("name", name);
    });
}

fn named(name: &str, tools: &[Tool], quirks: &Quirks) -> String {
    out::object(|out| write_name(out, name, tools, quirks))
}

fn allowed(is_required: bool, names: &[String], tools: &[Tool], quirks: &Quirks) -> String {
    out::object(|out| {
        out.text("type", "allowed_tools").object("allowed_tools", |allowed| {
            allowed.text("mode", if is_required { "required" } else { "auto" });
            allowed.list("tools", |list| {
                for name in names {
                    list.item(|item| write_name(item, name, tools, quirks));
                }
            });
        });
    })
}

/// What an answer must look like, in what a host knows of formats.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shaped {
    /// The value of `response_format`; `None`: it is left out.
    pub json: Option<String>,
    /// What the system prompt has to say instead.
    pub instruction: Option<String>,
    /// The name of what could only be said in words.
    pub lost: Option<&'static str>,
}

/// Says a format in what a host knows of formats, and the rest in words.
pub(super) fn shape(format: &Format, quirks: &Quirks) -> Shaped {
    let object = || quirks.takes_json_object.then(|| r#"{"type":"json_object"}"#.to_owned());
    match format {
        Format::Text if quirks.refuses("response_format") => Shaped::default(),
        Format::Text => Shaped { json: Some(r#"{"type":"text"}"#.to_owned()), ..Shaped::default() },
        Format::JsonObject if quirks.takes_json_object => Shaped { json: object(), ..Shaped::default() },
        Format::JsonObject => Shaped {
            json: None,
            instruction: Some("Answer with one JSON object and nothing else.".to_owned()),
            lost: Some("response_format.json_object"),
        },
        Format::Schema { schema, .. } if !quirks.takes_json_schema => Shaped {
            json: object(),
            instruction: Some(format!(
                "Answer with one JSON object and nothing else. It must keep to this JSON Schema:\n{}",
                schema.as_str()
            )),
            lost: Some("response_format.json_schema"),
        },
        Format::Schema { name, description, schema, strict } => {
            let json = out::object(|out| {
                out.text("type", "json_schema").object("json_schema", |out| {
                    out.text("name", name.as_deref().unwrap_or("answer"));
                    out.text_if("description", description.as_deref()).raw("schema", schema.as_str());
                    if let Some(strict) = strict {
                        out.boolean("strict", *strict);
                    }
                });
            });
            Shaped { json: Some(json), ..Shaped::default() }
        }
    }
}

/// Whether a host knows a service tier, given as JSON.
pub(super) fn takes_tier(tier: &str, quirks: &Quirks) -> bool {
    quirks.service_tiers.is_empty() || quirks.service_tiers.contains(&tier.trim_matches('"'))
}

/// The id of a tool call as a host takes it: where only nine letters or digits will do, always the same ones for an id.
pub(super) fn call_id(id: &str, quirks: &Quirks) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if !quirks.has_short_call_ids || (id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return id.to_owned();
    }
    // FNV-1a: even, and the same in every process.
    let mut hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut short = String::with_capacity(9);
    for _ in 0..9 {
        let digit = usize::try_from(hash % 62).unwrap_or_default();
        short.push(DIGITS.get(digit).copied().map_or('0', char::from));
        hash /= 62;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::text::Control;
    use crate::dialects::openai_chat::quirks::Choices;

    const HOST: Quirks = Quirks::HOST;

    fn asks(effort: Effort) -> Thinking {
        Thinking { effort: Some(effort), ..Thinking::default() }
    }

    #[test]
    fn thinking_is_steered_in_the_hosts_own_way() {
        use Effort::{High, Low, Max, Medium, None as Off};
        let two = vec![Off, High];
        let three = vec![Off, Low, High, Max];
        let body = Some(ReasoningKind::OpenaiBody);
        for (field, kind, levels, step, expected) in [
            (ThinkingField::Effort, Some(ReasoningKind::OpenaiEffort), &three, Max, r#"reasoning_effort="max""#),
            (ThinkingField::Effort, None, &vec![], Medium, r#"reasoning_effort="medium""#),
            (ThinkingField::Switch, body, &two, Low, r#"thinking={"type":"enabled"}"#),
            (ThinkingField::Switch, body, &two, Off, r#"thinking={"type":"disabled"}"#),
            (ThinkingField::Switch, body, &three, Max, r#"thinking={"type":"enabled"} reasoning_effort="max""#),
            (ThinkingField::Switch, Some(ReasoningKind::OpenaiEffort), &three, Low, r#"reasoning_effort="low""#),
            (ThinkingField::AdaptiveSwitch, body, &two, High, r#"thinking={"type":"adaptive"}"#),
            (ThinkingField::EnableThinking, body, &two, Off, "enable_thinking=false"),
            (ThinkingField::Reasoning, body, &two, Medium, r#"reasoning={"effort":"high"}"#),
            (
                ThinkingField::Reasoning,
                Some(ReasoningKind::AnthropicBudget),
                &three,
                Low,
                r#"reasoning={"effort":"low"}"#,
            ),
            (
                ThinkingField::Effort,
                Some(ReasoningKind::ChatTemplateFlag),
                &two,
                High,
                r#"chat_template_kwargs={"enable_thinking":true}"#,
            ),
            (
                ThinkingField::TemplateFlag,
                None,
                &vec![],
                Max,
                r#"chat_template_kwargs={"enable_thinking":true} reasoning_effort="high""#,
            ),
            (ThinkingField::Effort, Some(ReasoningKind::Fixed), &vec![], High, "lost"),
        ] {
            let quirks = Quirks { thinking: field, ..HOST };
            let control = Control { kind, levels: levels.clone() };
            let to = Addressee { quirks: &quirks, control, ..Addressee::default() };
            let steering = steer(&asks(step), &to);
            let shown: Vec<String> = steering.fields.iter().map(|(name, json)| format!("{name}={json}")).collect();
            let shown = if steering.is_lost { "lost".to_owned() } else { shown.join(" ") };
            assert_eq!(shown, expected, "{field:?} {kind:?} {step:?}");
        }
        let known = Addressee { max_output_tokens: Some(1), ..Addressee::default() };
        assert!(steer(&asks(High), &known).is_lost);
        assert_eq!(steer(&Thinking::default(), &known), Steering::default());
    }

    #[test]
    fn a_choice_is_said_by_offering_fewer_tools_where_it_has_no_word() {
        let tool = |name: &str| Tool::Custom { name: name.to_owned(), description: None, format: None };
        let two = [tool("a"), tool("b")];
        let some = |choice: Choices| Quirks { choices: choice, ..HOST };
        let named_a = r#"{"type":"function","function":{"name":"a"}}"#;
        let allowed = ToolChoice::Allowed { is_required: true, names: vec!["b".to_owned()] };
        let name = ToolChoice::Named("a".to_owned());
        let only_named = Choices { required: false, ..Choices::PLAIN };
        for (choice, choices, tools, json, only, is_lost) in [
            (&ToolChoice::Required, Choices::PLAIN, &two[..], Some("\"required\""), None, false),
            (&ToolChoice::Required, Choices::FREE, &two, Some("\"auto\""), None, true),
            (&ToolChoice::Required, only_named, &two[..1], Some(named_a), None, false),
            (&name, Choices::PLAIN, &two, Some(named_a), None, false),
            (&name, Choices::FREE, &two, Some("\"auto\""), Some(vec!["a"]), true),
            (&name, Choices { named: false, ..Choices::PLAIN }, &two, Some("\"required\""), Some(vec!["a"]), false),
            (&allowed, Choices::PLAIN, &two, Some("\"required\""), Some(vec!["b"]), false),
            (&ToolChoice::None, Choices::AUTO, &two, None, Some(vec![]), false),
            (&ToolChoice::None, Choices::FREE, &two, Some("\"none\""), None, false),
        ] {
            let chosen = choose(choice, tools, &some(choices));
            let only = only.map(|names: Vec<&str>| names.into_iter().map(str::to_owned).collect());
            assert_eq!(chosen, Chosen { json: json.map(str::to_owned), only, is_lost }, "{choice:?} {choices:?}");
        }
    }

    #[test]
    fn ids_are_shortened_to_the_same_nine_characters_every_time() {
        let quirks = Quirks { has_short_call_ids: true, ..HOST };
        let short = call_id("toolu_01A09q90qw90lq917835lq9", &quirks);
        assert!(short.len() == 9 && short.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{short}");
        assert_eq!(short, call_id("toolu_01A09q90qw90lq917835lq9", &quirks));
        assert_ne!(short, call_id("toolu_01A09q90qw90lq917835lq8", &quirks));
        assert_eq!(call_id("aB3dE6gH9", &quirks), "aB3dE6gH9");
        assert_eq!(call_id("toolu_1", &HOST), "toolu_1");
    }
}
