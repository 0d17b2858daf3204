//! Canonical to bytes: requests for providers.

use std::borrow::Cow;

use bytes::Bytes;

use super::contents::{self, Lost, note_cache};
use super::schema;
use super::wire::PARAMETERS;
use crate::canonical::text::{Effort, Format, Parameter, ReasoningKind, Request, Thinking, Tool, ToolChoice};
use crate::canonical::{Json, Wire};
use crate::dialects::anthropic_messages::write::FREE_TEXT;
use crate::dialects::out::{self, Out};
use crate::dialects::{Addressee, Written, dropped, fields};
use crate::fault::{Fault, Kind, Outcome};

/// More stop sequences are refused.
const MOST_STOPS: usize = 5;
/// The bounds of `thinkingBudget` over all models that take it; the lower one where thinking can be switched off.
const LEAST_BUDGET: u64 = 128;
const LEAST_BUDGET_WITH_OFF: u64 = 512;

/// Writes a request for a provider.
///
/// # Errors
/// `UnsupportedParameter` for several answers at once, `BadRequest` for content that cannot be fetched.
pub fn write_request(request: &Request, to: &Addressee<'_>) -> Outcome<Written> {
    if crate::dialects::openai_chat::write::wants_several(request) {
        let sentence = "n: this model gives one answer at a time";
        return Err(Fault::new(Kind::UnsupportedParameter).param("n").say(sentence));
    }
    let mut lost = Lost::new();
    let mut budget = schema::BUDGET;
    let mut written = Ok(());
    let text = out::object(|out| {
        written = contents::write(out, request, to, &mut lost);
        write_tools(out, request, &mut budget, &mut lost);
        let config = out::object(|out| write_config(out, request, to, &mut budget, &mut lost));
        if config != "{}" {
            out.raw("generationConfig", &config);
        }
        write_tier(out, request, &mut lost);
    });
    written?;
    lost.sort();
    lost.dedup();
    Ok(Written { body: vec![Bytes::from(text)], dropped: lost })
}

fn write_tools(out: &mut Out<'_>, request: &Request, budget: &mut usize, lost: &mut Lost) {
    let mut functions: Vec<String> = Vec::new();
    let mut natives: Vec<&Json> = Vec::new();
    let mut is_strict = false;
    for tool in &request.tools {
        match tool {
            Tool::Function { name, description, parameters, strict, cache } => {
                note_cache(cache.as_ref(), lost);
                is_strict |= *strict == Some(true);
                let parameters = parameters.as_ref().map(|schema| schema::adapt(schema, "tools", budget, lost));
                functions.push(write_function(name, description.as_deref(), parameters.as_deref()));
            }
            Tool::Custom { name, description, format } => {
                if format.as_ref().is_some_and(|format| format.as_str() != r#"{"type":"text"}"#) {
                    lost.push(dropped("tools.format"));
                }
                functions.push(write_function(name, description.as_deref(), Some(FREE_TEXT)));
            }
            Tool::Native { wire: Wire::GenerateContent, json, .. } => natives.push(json),
            Tool::Native { kind, .. } => lost.push(Cow::Owned(format!("tools.{kind}"))),
        }
    }
    if request.parallel_tool_calls == Some(false) && !functions.is_empty() {
        lost.push(dropped("parallel_tool_calls"));
    }
    if functions.is_empty() && natives.is_empty() {
        return;
    }
    out.list("tools", |list| {
        if !functions.is_empty() {
            list.item(|tool| {
                tool.raw("functionDeclarations", &format!("[{}]", functions.join(",")));
            });
        }
        for native in natives {
            list.item_raw(native.as_str());
        }
    });
    if !functions.is_empty() {
        write_choice(out, request.tool_choice.as_ref(), is_strict, lost);
    }
}

fn write_function(name: &str, description: Option<&str>, parameters: Option<&str>) -> String {
    out::object(|out| {
        out.text("name", name).text_if("description", description);
        if let Some(parameters) = parameters {
            out.raw("parametersJsonSchema", parameters);
        }
    })
}

/// `VALIDATED` leaves the choice to the model and keeps calls to their schemas; it is also the mode that takes a subset
/// without requiring one of it.
fn write_choice(out: &mut Out<'_>, choice: Option<&ToolChoice>, is_strict: bool, lost: &mut Lost) {
    let (mode, names): (_, &[String]) = match choice {
        None | Some(ToolChoice::Auto) if is_strict => ("VALIDATED", &[]),
        None => return,
        Some(ToolChoice::Auto) => ("AUTO", &[]),
        Some(ToolChoice::None) => ("NONE", &[]),
        Some(ToolChoice::Required) => ("ANY", &[]),
        Some(ToolChoice::Named(name)) => ("ANY", std::slice::from_ref(name)),
        Some(ToolChoice::Allowed { is_required: true, names }) => ("ANY", names),
        Some(ToolChoice::Allowed { is_required: false, names }) => ("VALIDATED", names),
        Some(ToolChoice::Native { wire: Wire::GenerateContent, json }) => {
            out.raw("toolConfig", json.as_str());
            return;
        }
        Some(ToolChoice::Native { .. }) => return lost.push(dropped("tool_choice")),
    };
    out.object("toolConfig", |config| {
        config.object("functionCallingConfig", |config| {
            config.text("mode", mode);
            if !names.is_empty() {
                config.texts("allowedFunctionNames", names);
            }
        });
    });
}

fn write_config(out: &mut Out<'_>, request: &Request, to: &Addressee<'_>, budget: &mut usize, lost: &mut Lost) {
    let mut rest = request.clone();
    // What is written elsewhere, or in another shape.
    rest.parameters.remove(&Parameter::ServiceTier);
    if let Some(seed) = rest.parameters.remove(&Parameter::Seed) {
        match seed.read::<i32>() {
            Some(seed) => {
                out.number("seed", seed);
            }
            None => lost.push(dropped("seed")),
        }
    }
    if let Some(modalities) = rest.parameters.remove(&Parameter::Modalities) {
        let words = modalities.read::<Vec<String>>().unwrap_or_default();
        let words: Vec<String> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
        if words.iter().any(|word| word != "TEXT") {
            out.texts("responseModalities", &words);
        }
    }
    fields::write(out, &rest, PARAMETERS, lost);
    if let Some(most) = request.max_output_tokens {
        out.number("maxOutputTokens", most);
    }
    if !request.stop.is_empty() {
        let said: Vec<&String> = request.stop.iter().filter(|text| !text.is_empty()).take(MOST_STOPS).collect();
        if said.len() < request.stop.len() {
            lost.push(dropped("stop"));
        }
        out.texts("stopSequences", &said);
    }
    write_format(out, request, to, budget, lost);
    write_thinking(out, &request.thinking, to, lost);
}

fn write_format(out: &mut Out<'_>, request: &Request, to: &Addressee<'_>, budget: &mut usize, lost: &mut Lost) {
    let schema = match &request.format {
        None | Some(Format::Text) => return,
        Some(Format::JsonObject) => None,
        Some(Format::Schema { schema, description, .. }) => {
            lost.extend(description.iter().map(|_| dropped("response_format.description")));
            Some(schema)
        }
    };
    // Models of that time refuse JSON and functions together.
    if to.control.kind == Some(ReasoningKind::GeminiBudget) && !request.tools.is_empty() {
        return lost.push(dropped("response_format"));
    }
    out.text("responseMimeType", "application/json");
    if let Some(schema) = schema {
        out.raw("responseJsonSchema", &schema::adapt(schema, "response_format", budget, lost));
    }
}

fn write_thinking(out: &mut Out<'_>, asked: &Thinking, to: &Addressee<'_>, lost: &mut Lost) {
    if *asked == (Thinking { wants_state: asked.wants_state, ..Thinking::default() }) {
        return;
    }
    let levels = &to.control.levels;
    let step = asked.step();
    let is_off = step == Some(Effort::None);
    let (level, tokens) = match to.control.kind {
        Some(ReasoningKind::GeminiLevel) => (step.map(|step| step.clamp(levels)), None),
        Some(ReasoningKind::GeminiBudget) => (None, plan_budget(asked, levels)),
        // It thinks as it likes; that can be shown.
        Some(ReasoningKind::Fixed) if !is_off => {
            if step.is_some() {
                lost.push(dropped("reasoning_effort"));
            }
            (None, None)
        }
        _ => {
            if !is_off {
                lost.push(dropped("reasoning_effort"));
            }
            return;
        }
    };
    let is_shown = !is_off && asked.display.as_deref() != Some("omitted");
    out.object("thinkingConfig", |config| {
        config.text_if("thinkingLevel", level.map(Effort::as_str));
        if let Some(tokens) = tokens {
            config.number("thinkingBudget", tokens);
        }
        if is_shown {
            config.boolean("includeThoughts", true);
        }
    });
}

/// Tokens of thinking; -1 leaves them to the model.
fn plan_budget(asked: &Thinking, levels: &[Effort]) -> Option<i64> {
    let can_be_off = levels.contains(&Effort::None);
    let least = if can_be_off { LEAST_BUDGET_WITH_OFF } else { LEAST_BUDGET };
    let tokens = match (asked.budget, asked.step()) {
        (Some(tokens), _) => tokens,
        (None, Some(step)) => step.clamp(levels).budget(),
        (None, None) => return asked.is_adaptive.then_some(-1),
    };
    if tokens == 0 && can_be_off {
        return Some(0);
    }
    let most = levels.iter().max().map_or(Effort::Xhigh.budget(), |level| level.budget());
    i64::try_from(tokens.clamp(least, most.max(least))).ok()
}

/// `serviceTier`: `flex` and `priority` as OpenAI has them, `standard` for its `default`. Source: the guide on inference
/// tiers of the Gemini API.
fn write_tier(out: &mut Out<'_>, request: &Request, lost: &mut Lost) {
    let tier = request.parameters.get(&Parameter::ServiceTier).and_then(|tier| tier.read::<String>());
    match tier.as_deref() {
        None | Some("auto") => {}
        Some("default" | "standard") => {
            out.text("serviceTier", "standard");
        }
        Some(tier @ ("flex" | "priority")) => {
            out.text("serviceTier", tier);
        }
        Some(_) => lost.push(dropped("service_tier")),
    }
}
