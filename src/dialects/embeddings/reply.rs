//! Answers with vectors, one for each call, as one answer in the client's contract.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::read::is_empty;
use super::{Embedding, Format, Input, vector};
use crate::canonical::{TokenUsage, Transport};
use crate::dialects::native::{NativeReply, ReplyError};
use crate::dialects::out::quoted;
use crate::dialects::question::{Answered, Recipient, error_in};
use crate::dialects::raw::{RawObject, json_string, malformed};

/// Bytes that make a token, for the client where its provider does not count.
const BYTES_PER_TOKEN: u64 = 4;
/// Dimensions that the built-in preset answers with.
const ECHO_DIMENSIONS: u32 = 16;

#[derive(Deserialize)]
struct Item<'a> {
    index: Option<usize>,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    prompt_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CohereVectors<'a> {
    #[serde(borrow, default)]
    float: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    base64: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CohereMeta {
    billed_units: Option<CohereUnits>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CohereUnits {
    input_tokens: Option<f64>,
}

#[derive(Deserialize)]
struct GoogleVector<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct GoogleUsage {
    prompt_token_count: Option<u64>,
}

pub(super) fn read(asked: &Embedding, from: &Recipient<'_>, answers: Vec<Answered>) -> Result<NativeReply, ReplyError> {
    let mut scanned = Vec::with_capacity(answers.len());
    for answer in answers {
        let raw = RawObject::scan(answer.body).map_err(|error| ReplyError::Malformed(malformed(&error)))?;
        if let Some(error) = error_in(from.transport, &raw, if is_openai(from) { "data" } else { "embeddings" }) {
            return Err(ReplyError::Provider(Box::new(error)));
        }
        scanned.push(raw);
    }
    if let ([only], true) = (scanned.as_slice(), is_openai(from))
        && let Some(reply) = as_it_came(asked, only)?
    {
        return Ok(reply);
    }
    let mut vectors: Vec<String> = Vec::with_capacity(asked.inputs.len());
    let mut input = Some(0_u64);
    for raw in &scanned {
        vectors.extend(vectors_of(asked, from.transport, raw)?);
        input = input.zip(tokens_of(from.transport, raw)).map(|(sum, more)| sum.saturating_add(more));
    }
    if vectors.len() != asked.inputs.len() {
        return Err(ReplyError::Malformed("there are more or fewer vectors than inputs"));
    }
    let usage = input.map(|input| TokenUsage { input, ..TokenUsage::default() });
    Ok(NativeReply { body: vec![compose(asked, &vectors, input)], usage, ..NativeReply::default() })
}

fn is_openai(from: &Recipient<'_>) -> bool {
    from.transport == Transport::Embeddings
}

/// A whole answer whose vectors are in the format that was asked for: nothing of them is looked at.
fn as_it_came(asked: &Embedding, raw: &RawObject) -> Result<Option<NativeReply>, ReplyError> {
    let items: Vec<&RawValue> = raw.read("data").ok().flatten().unwrap_or_default();
    if items.len() != asked.inputs.len() {
        return Err(ReplyError::Malformed("there are more or fewer vectors than inputs"));
    }
    let first = items.first().and_then(|first| serde_json::from_str::<Item<'_>>(first.get()).ok());
    let first = first.ok_or(ReplyError::Malformed("`data` is not a list of vectors"))?;
    if format_of(first.embedding.get()) != Some(asked.format) {
        return Ok(None);
    }
    let input = tokens_of(Transport::Embeddings, raw);
    let mut splice = raw.splice();
    splice.set("model", json_string(&asked.model));
    if input.is_none() {
        splice.set("usage", Bytes::from(usage_json(estimate(asked))));
    }
    let usage = input.map(|input| TokenUsage { input, ..TokenUsage::default() });
    Ok(Some(NativeReply { body: splice.finish(), usage, ..NativeReply::default() }))
}

fn format_of(json: &str) -> Option<Format> {
    match json.as_bytes().first() {
        Some(b'"') => Some(Format::Base64),
        Some(b'[') => Some(Format::Float),
        _ => None,
    }
}

/// Vectors of one call in the order of their inputs, in the client's format.
fn vectors_of(asked: &Embedding, transport: Transport, raw: &RawObject) -> Result<Vec<String>, ReplyError> {
    let broken = ReplyError::Malformed("the vectors cannot be read");
    let found: Vec<&RawValue> = match transport {
        Transport::CohereEmbed => {
            let vectors: Option<CohereVectors<'_>> = raw.read("embeddings").map_err(|_| broken.clone())?;
            vectors.and_then(|vectors| vectors.base64.or(vectors.float)).unwrap_or_default()
        }
        Transport::EmbedContent => {
            let vectors: Option<Vec<GoogleVector<'_>>> = raw.read("embeddings").map_err(|_| broken.clone())?;
            vectors.unwrap_or_default().into_iter().map(|vector| vector.values).collect()
        }
        _ => in_order(raw.read("data").map_err(|_| broken.clone())?.unwrap_or_default())?,
    };
    let convert = |vector: &&RawValue| {
        let json = vector.get();
        let converted = match (format_of(json)?, asked.format) {
            (Format::Float, Format::Base64) => vector::to_base64(json)?,
            (Format::Base64, Format::Float) => vector::to_numbers(json)?,
            (Format::Float, Format::Float) if is_empty(json.as_bytes()) => return None,
            (Format::Float, Format::Float) | (Format::Base64, Format::Base64) => json.to_owned(),
        };
        Some(converted)
    };
    found.iter().map(convert).collect::<Option<Vec<_>>>().ok_or(broken)
}

/// By index, which every item of several has, each once.
fn in_order(mut items: Vec<Item<'_>>) -> Result<Vec<&RawValue>, ReplyError> {
    if items.iter().any(|item| item.index.is_some()) {
        items.sort_by_key(|item| item.index);
        if items.iter().enumerate().any(|(at, item)| item.index != Some(at)) {
            return Err(ReplyError::Malformed("the indices of the vectors have gaps or repeat"));
        }
    }
    Ok(items.into_iter().map(|item| item.embedding).collect())
}

/// Input tokens, where the provider counts them.
fn tokens_of(transport: Transport, raw: &RawObject) -> Option<u64> {
    match transport {
        Transport::CohereEmbed => {
            let meta: CohereMeta = raw.read("meta").ok().flatten()?;
            let tokens = meta.billed_units?.input_tokens?;
            (tokens >= 0.0).then_some(tokens as u64)
        }
        Transport::EmbedContent => raw.read::<GoogleUsage>("usageMetadata").ok().flatten()?.prompt_token_count,
        _ => {
            let usage: Usage = raw.read("usage").ok().flatten()?;
            usage.prompt_tokens.or(usage.total_tokens)
        }
    }
}

fn estimate(asked: &Embedding) -> u64 {
    let of = |input: &Input| match input {
        Input::Text(text) => (text.len() as u64).div_ceil(BYTES_PER_TOKEN),
        Input::Tokens(_, count) => *count,
    };
    asked.inputs.iter().map(of).sum()
}

fn usage_json(input: u64) -> String {
    format!(r#"{{"prompt_tokens":{input},"total_tokens":{input}}}"#)
}

/// An answer in the contract.
fn compose(asked: &Embedding, vectors: &[String], input: Option<u64>) -> Bytes {
    let mut json = String::with_capacity(vectors.iter().map(|vector| vector.len() + 64).sum::<usize>() + 256);
    json.push_str(r#"{"object":"list","data":["#);
    for (index, vector) in vectors.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        json.push_str(r#"{"object":"embedding","index":"#);
        json.push_str(&index.to_string());
        json.push_str(r#","embedding":"#);
        json.push_str(vector);
        json.push('}');
    }
    json.push_str(r#"],"model":"#);
    json.push_str(&quoted(&asked.model));
    json.push_str(r#","usage":"#);
    json.push_str(&usage_json(input.unwrap_or_else(|| estimate(asked))));
    json.push('}');
    json.into()
}

/// Vectors that depend on nothing but their input, of length one.
pub(super) fn echo(asked: &Embedding) -> Bytes {
    let dimensions = asked.dimensions.unwrap_or(ECHO_DIMENSIONS).min(4_096);
    let vector = |input: &Input| {
        let mut state = input
            .raw()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        let numbers: Vec<f64> = (0..dimensions)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                ((state >> 40) as f64) / f64::from(1_u32 << 24) - 0.5
            })
            .collect();
        let length = numbers.iter().map(|number| number * number).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        let numbers: Vec<f32> = numbers.iter().map(|number| (number / length) as f32).collect();
        serde_json::to_string(&numbers).unwrap_or_default()
    };
    let vectors: Vec<String> = asked.inputs.iter().map(vector).collect();
    compose(asked, &vectors, None)
}
