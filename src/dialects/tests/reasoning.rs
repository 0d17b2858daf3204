//! The reasoning ladder on every kind of control: a step is clamped, never refused, and never becomes another thing.

use bytes::Bytes;
use serde_json::{Value, json};

use super::requests::addressee;
use crate::canonical::Wire;
use crate::canonical::text::Effort::{self, High, Low, Max, Medium, Minimal, None as Off, Xhigh};
use crate::canonical::text::{Control, ReasoningKind};
use crate::dialects::raw::join;
use crate::dialects::{Addressee, Written, scan, transport};

fn to(wire: Wire, kind: Option<ReasoningKind>, levels: &[Effort]) -> Addressee<'static> {
    Addressee { control: Control { kind, levels: levels.to_vec() }, ..addressee(wire) }
}

fn read(written: &Written) -> Value {
    serde_json::from_slice(&join(&written.body)).unwrap()
}

/// A chat request of a step, translated for a wire.
fn translated(step: Effort, wire: Wire, kind: Option<ReasoningKind>, levels: &[Effort]) -> Written {
    let body =
        json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "reasoning_effort": step.as_str()});
    let request = scan(Wire::Chat, Bytes::from(body.to_string())).unwrap().read().unwrap();
    transport(wire).write_request(&request, &to(wire, kind, levels)).unwrap()
}

#[test]
fn every_kind_of_control_is_told_a_step_that_it_has() {
    use ReasoningKind::{
        AnthropicAdaptive, AnthropicBudget, ChatTemplateFlag, GeminiBudget, GeminiLevel, OpenaiBody, OpenaiEffort,
    };
    let effort = "/reasoning_effort";
    let level = "/generationConfig/thinkingConfig/thinkingLevel";
    let budget = "/generationConfig/thinkingConfig/thinkingBudget";
    for (wire, kind, levels, asked, place, told) in [
        (Wire::Chat, OpenaiEffort, &[Low, Medium, High][..], Xhigh, effort, json!("high")),
        (Wire::Chat, OpenaiEffort, &[Low, High], Medium, effort, json!("low")),
        (Wire::Chat, OpenaiEffort, &[Low, High], Off, effort, json!("low")),
        (Wire::Chat, OpenaiEffort, &[Off, Medium], Minimal, effort, json!("medium")),
        (Wire::Responses, OpenaiEffort, &[Medium, High], Low, "/reasoning/effort", json!("medium")),
        (Wire::Responses, OpenaiBody, &[Off, High], Max, "/reasoning/effort", json!("high")),
        (Wire::Responses, ChatTemplateFlag, &[Off, High], Low, "/reasoning/effort", json!("high")),
        (Wire::Messages, AnthropicAdaptive, &[Low, Medium, High], Max, "/output_config/effort", json!("high")),
        (Wire::Messages, AnthropicAdaptive, &[Low, Medium], Off, "/output_config/effort", json!("low")),
        (Wire::Messages, AnthropicAdaptive, &[Off, Low], Off, "/thinking/type", json!("disabled")),
        (Wire::Messages, AnthropicBudget, &[Off, Low, High], Max, "/thinking/budget_tokens", json!(High.budget())),
        (Wire::Messages, AnthropicBudget, &[Low, High], Off, "/thinking/type", json!("disabled")),
        (Wire::GenerateContent, GeminiLevel, &[Low, High], Max, level, json!("high")),
        (Wire::GenerateContent, GeminiLevel, &[Minimal, High], Off, level, json!("minimal")),
        (Wire::GenerateContent, GeminiBudget, &[Off, Low, High], Off, budget, json!(0)),
        (Wire::GenerateContent, GeminiBudget, &[Low, High], Max, budget, json!(High.budget())),
    ] {
        let written = translated(asked, wire, Some(kind), levels);
        let body = read(&written);
        assert_eq!(body.pointer(place), Some(&told), "{wire:?} {kind:?} {asked:?}: {body}");
        assert!(written.dropped.is_empty(), "{kind:?} {asked:?}: {:?}", written.dropped);
    }
}

#[test]
fn a_model_that_cannot_be_steered_is_told_nothing_and_the_record_says_so() {
    for (wire, kind) in [
        (Wire::Responses, None),
        (Wire::Responses, Some(ReasoningKind::Fixed)),
        (Wire::Messages, Some(ReasoningKind::Fixed)),
        (Wire::GenerateContent, None),
        (Wire::GenerateContent, Some(ReasoningKind::Fixed)),
    ] {
        let written = translated(High, wire, kind, &[]);
        assert_eq!(written.dropped, ["reasoning_effort"], "{wire:?} {kind:?}");
        assert!(!read(&written).to_string().contains("high"), "{wire:?} {kind:?}");
    }
}

#[test]
fn on_the_native_lane_only_the_step_is_spliced() {
    use ReasoningKind::{AnthropicAdaptive, Fixed, OpenaiEffort};
    let responses = |reasoning: &str| format!(r#"{{"model":"m","input":"Hi", "x":1.50,"reasoning":{reasoning}}}"#);
    let messages = |rest: &str| format!(r#"{{"model":"m","max_tokens":9,"messages":[], "x":1.50{rest}}}"#);
    for (wire, kind, levels, body, place, told, dropped) in [
        (
            Wire::Responses,
            Some(OpenaiEffort),
            &[Low, High][..],
            responses(r#"{"effort":"xhigh","summary":"auto"}"#),
            "/reasoning",
            Some(json!({"effort": "high", "summary": "auto"})),
            "",
        ),
        (
            Wire::Responses,
            Some(OpenaiEffort),
            &[Low, High],
            responses(r#"{"effort":"none"}"#),
            "/reasoning/effort",
            Some(json!("low")),
            "",
        ),
        (
            Wire::Responses,
            Some(OpenaiEffort),
            &[Low],
            responses(r#"{"effort":"new word"}"#),
            "/reasoning/effort",
            Some(json!("new word")),
            "",
        ),
        (Wire::Responses, None, &[], responses(r#"{"effort":"low"}"#), "/reasoning", None, "reasoning_effort"),
        (Wire::Responses, None, &[], responses(r#"{"effort":"none"}"#), "/reasoning", None, ""),
        (
            Wire::Responses,
            Some(Fixed),
            &[],
            responses(r#"{"effort":"low","summary":"auto"}"#),
            "/reasoning",
            Some(json!({"summary": "auto"})),
            "reasoning_effort",
        ),
        (
            Wire::Messages,
            Some(AnthropicAdaptive),
            &[Low, High],
            messages(r#","output_config":{"effort":"max","format":null}"#),
            "/output_config",
            Some(json!({"effort": "high", "format": null})),
            "",
        ),
        (
            Wire::Messages,
            Some(AnthropicAdaptive),
            &[Low, High],
            messages(r#","thinking":{"type":"disabled"}"#),
            "/output_config/effort",
            Some(json!("low")),
            "",
        ),
        (
            Wire::Messages,
            Some(AnthropicAdaptive),
            &[Off, High],
            messages(r#","thinking":{"type":"disabled"}"#),
            "/thinking/type",
            Some(json!("disabled")),
            "",
        ),
        (
            Wire::Messages,
            None,
            &[],
            messages(r#","output_config":{"effort":"low"}"#),
            "/output_config",
            None,
            "reasoning_effort",
        ),
    ] {
        let asked = scan(wire, Bytes::from(body.clone())).unwrap();
        let written = asked.for_upstream(&to(wire, kind, levels)).unwrap();
        assert_eq!(read(&written).pointer(place), told.as_ref(), "{body}");
        assert_eq!(written.dropped.join(" "), dropped, "{body}");
        let text = String::from_utf8(join(&written.body).to_vec()).unwrap();
        assert!(text.contains(r#" "x":1.50"#), "{text}");
    }
}

#[test]
fn a_request_says_which_step_it_asks_for() {
    for (wire, body, step) in [
        (Wire::Chat, r#"{"model":"m","messages":[],"reasoning_effort":"xhigh"}"#, Some(Xhigh)),
        (Wire::Responses, r#"{"model":"m","input":"","reasoning":{"effort":"none"}}"#, Some(Off)),
        (Wire::Messages, r#"{"model":"m","messages":[],"output_config":{"effort":"max"}}"#, Some(Max)),
        (
            Wire::Messages,
            r#"{"model":"m","messages":[],"thinking":{"type":"enabled","budget_tokens":4096}}"#,
            Some(Medium),
        ),
        (Wire::Messages, r#"{"model":"m","messages":[],"thinking":{"type":"disabled"}}"#, Some(Off)),
        (Wire::Messages, r#"{"model":"m","messages":[],"thinking":{"type":"adaptive"}}"#, None),
        (Wire::Chat, r#"{"model":"m","messages":[]}"#, None),
    ] {
        assert_eq!(scan(wire, Bytes::from(body)).unwrap().step(), step, "{body}");
    }
}
