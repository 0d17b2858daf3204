//! Moderations: whether content breaks a policy, by category. <https://platform.openai.com/docs/api-reference/moderations>,
//! <https://docs.mistral.ai/api/endpoint/classifiers>

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::native::{NativeReply, ReplyError};
use super::question::{Answered, Posed, Question, Recipient, Sending, error_in};
use super::raw::{RawObject, json_string, malformed};
use crate::canonical::{Operation, TokenUsage, Transport};
use crate::fault::{Fault, Outcome};

const KNOWN: [&str; 2] = ["model", "input"];
/// The model of those who name none, as the reference has it.
const DEFAULT_MODEL: &str = "omni-moderation-latest";
/// Most inputs of one request.
const MOST_INPUTS: usize = 2_048;
const ALLOWED: &str = "must be a string, an array of strings or an array of parts";

/// A client's request for a moderation.
#[derive(Debug)]
pub struct Moderation {
    raw: RawObject,
    model: String,
    /// How many judgements there have to be.
    count: usize,
}

/// Scans a client's request.
///
/// # Errors
/// `InvalidJson`, or `BadRequest` that names the field.
pub fn scan(body: Bytes) -> Outcome<Moderation> {
    let raw = RawObject::scan_request(body, &KNOWN)?;
    let model: Option<String> = super::question::field(&raw, "model", "a string")?;
    let model = model.filter(|model| !model.is_empty()).unwrap_or_else(|| DEFAULT_MODEL.to_owned());
    let count = count(&raw)?;
    Ok(Moderation { raw, model, count })
}

fn count(raw: &RawObject) -> Outcome<usize> {
    let stated = raw.get("input").filter(|stated| *stated != b"null");
    let stated = stated.ok_or_else(|| Fault::invalid("input", "is required"))?;
    let items: Vec<&RawValue> = match stated.first() {
        Some(b'"') => return Ok(1),
        Some(b'[') => serde_json::from_slice(stated).map_err(|_| Fault::invalid("input", ALLOWED))?,
        _ => return Err(Fault::invalid("input", ALLOWED)),
    };
    let kind = |item: &&RawValue| item.get().as_bytes().first().copied().unwrap_or_default();
    if items.len() > MOST_INPUTS {
        let sentence = format!("must hold at most {MOST_INPUTS} inputs, holds {}", items.len());
        return Err(Fault::invalid("input", sentence));
    }
    match items.first().map(kind) {
        Some(b'"') if items.iter().all(|item| kind(item) == b'"') => Ok(items.len()),
        // Parts of one content are judged together.
        Some(b'{') if items.iter().all(|item| kind(item) == b'{') => Ok(1),
        Some(_) => Err(Fault::invalid("input", ALLOWED)),
        None => Err(Fault::invalid("input", "must not be empty")),
    }
}

impl Question for Moderation {
    fn operation(&self) -> Operation {
        Operation::Moderate
    }

    fn contract(&self) -> &'static str {
        "moderations"
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn bytes(&self) -> &Bytes {
        self.raw.bytes()
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Moderations]
    }

    fn write(&self, to: &Recipient<'_>) -> Outcome<Posed> {
        let mut splice = self.raw.splice();
        splice.set("model", json_string(to.model));
        Ok(Posed { sends: vec![Sending::json(splice.finish())], dropped: Vec::new() })
    }

    fn read(&self, from: &Recipient<'_>, answers: Vec<Answered>) -> Result<NativeReply, ReplyError> {
        let body = answers.into_iter().next().unwrap_or_default().body;
        let raw = RawObject::scan(body).map_err(|error| ReplyError::Malformed(malformed(&error)))?;
        if let Some(error) = error_in(from.transport, &raw, "results") {
            return Err(ReplyError::Provider(Box::new(error)));
        }
        let results: Option<Vec<&RawValue>> =
            raw.read("results").map_err(|_| ReplyError::Malformed("`results` is not a list"))?;
        let results = results.unwrap_or_default();
        if results.len() != self.count {
            return Err(ReplyError::Malformed("there are more or fewer judgements than inputs"));
        }
        let judged = judged(&results)?;
        let mut splice = raw.splice();
        splice.set("model", json_string(&self.model));
        if let Some(judged) = judged {
            splice.set("results", judged);
        }
        Ok(NativeReply { body: splice.finish(), usage: usage_of(&raw), ..NativeReply::default() })
    }

    fn expects(&self, input: u64, _by_units: bool) -> TokenUsage {
        TokenUsage { input, ..TokenUsage::default() }
    }

    /// Nothing is ever wrong.
    fn echo(&self) -> Bytes {
        let result = r#"{"flagged":false,"categories":{"violence":false},"category_scores":{"violence":0.0}}"#;
        let results = vec![result; self.count].join(",");
        format!(r#"{{"id":"modr-echo","model":"echo","results":[{results}]}}"#).into()
    }
}

/// Judgements with `flagged`, where hosts leave it to the reader; `None`: they all have it.
fn judged(results: &[&RawValue]) -> Result<Option<Bytes>, ReplyError> {
    let broken = || ReplyError::Malformed("a judgement is none");
    let mut whole = Vec::with_capacity(results.len());
    let mut is_changed = false;
    for result in results {
        let result = RawObject::scan(Bytes::copy_from_slice(result.get().as_bytes())).map_err(|_| broken())?;
        let mut splice = result.splice();
        if result.get("flagged").is_none() {
            let categories: Option<std::collections::BTreeMap<String, bool>> =
                result.read("categories").map_err(|_| broken())?;
            let is_flagged = categories.ok_or_else(broken)?.values().any(|is_broken| *is_broken);
            splice.set("flagged", Bytes::from_static(if is_flagged { b"true" } else { b"false" }));
            is_changed = true;
        }
        whole.push(splice.finish().concat());
    }
    let list = [b"[".to_vec(), whole.join(&b','), b"]".to_vec()].concat();
    Ok(is_changed.then(|| list.into()))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    prompt_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

fn usage_of(raw: &RawObject) -> Option<TokenUsage> {
    let usage: Usage = raw.read("usage").ok().flatten()?;
    let input = usage.prompt_tokens.or(usage.total_tokens)?;
    Some(TokenUsage { input, ..TokenUsage::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::OperationProfile;
    use crate::dialects::question::Ways;
    use crate::dialects::raw::join;
    use serde_json::{Value, json};

    fn read(body: &Value, answer: &Value) -> Result<Value, ReplyError> {
        let asked = scan(Bytes::from(body.to_string())).unwrap();
        let profile = OperationProfile::default();
        let from = Recipient {
            transport: Transport::Moderations,
            model: "up",
            profile: &profile,
            ways: &Ways::HOST,
            forwards: false,
        };
        let answers = vec![Answered { body: Bytes::from(answer.to_string()), media_type: None }];
        Ok(serde_json::from_slice(&join(&asked.read(&from, answers)?.body)).unwrap())
    }

    #[test]
    fn inputs_are_counted_as_they_are_judged() {
        for (input, count) in [
            (json!("a"), 1),
            (json!(["a", "b"]), 2),
            (json!([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x"}}]), 1),
        ] {
            let asked = scan(Bytes::from(json!({"model": "m", "input": input}).to_string())).unwrap();
            assert_eq!(asked.count, count);
        }
        for input in [json!(null), json!([]), json!(7), json!(["a", {}]), json!(vec!["a"; 2_049])] {
            let fault = scan(Bytes::from(json!({"model": "m", "input": input}).to_string())).unwrap_err();
            assert_eq!(fault.at(), Some("input"), "{input}");
        }
        let unnamed = scan(Bytes::from_static(b"{\"input\":\"a\"}")).unwrap();
        assert_eq!(unnamed.model(), "omni-moderation-latest");
    }

    #[test]
    fn judgements_pass_as_they_came_and_say_whether_they_are_bad() {
        let body = json!({"model": "m", "input": ["a", "b"]});
        let bad = json!({"categories": {"hate": false, "pii": true}, "category_scores": {"hate": 0.1, "pii": 0.9}});
        let good = json!({"flagged": false, "categories": {"hate": false}, "category_scores": {"hate": 1e-7}});
        let answer = read(&body, &json!({"id": "modr-1", "model": "up", "results": [bad, good]})).unwrap();
        assert_eq!((&answer["model"], &answer["id"]), (&json!("m"), &json!("modr-1")));
        assert_eq!((&answer["results"][0]["flagged"], &answer["results"][1]), (&json!(true), &good));
        for wrong in [json!({"results": [good]}), json!({"results": [good, {"flag": 1}]}), json!({"results": 7})] {
            assert!(matches!(read(&body, &wrong), Err(ReplyError::Malformed(_))), "{wrong}");
        }
        assert!(matches!(read(&body, &json!({"error": {"message": "no"}})), Err(ReplyError::Provider(_))));
    }
}
