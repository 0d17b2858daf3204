//! What the endpoints that call providers share: a contract in, an answer in the same contract out.

use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::body::HeldBody;
use super::edge::request_id;
use super::multipart::HeldForm;
use super::{HttpState, credentials, limits, render};
use crate::api::envelope;
use crate::canonical::{Operation, Wire};
use crate::fault::{Fault, Outcome};
use crate::gateway::form::Carries;
use crate::gateway::{Answer, Call, Caller, Denied, Intake, Snapshot};
use crate::telemetry::names::header;
use crate::telemetry::otel::context::TraceContext;

/// Tags of one request, and bytes of one tag.
const MAX_TAGS: usize = 16;
const MAX_TAG_BYTES: usize = 64;
const DEFAULT_CACHE_SECONDS: u64 = 300;
const MAX_CACHE_SECONDS: u64 = 86_400;

/// Answers one request.
pub(super) async fn generate(
    state: HttpState,
    contract: Wire,
    forwarded: &[&'static str],
    request: Request,
) -> Response {
    let (id, answer) = match read_call(&state, contract, forwarded, request).await {
        // The body's share of memory is held until the answer commits.
        (id, Ok((call, _held))) => (id, state.gateway.generate(call).await),
        (id, Err(fault)) => {
            state.gateway.note_refusal(contract.as_str(), &id, &fault);
            (id, Err(Denied::from(fault)))
        }
    };
    respond(contract, &id, answer)
}

/// Answers one request of another operation, in the contract that OpenAI has for it.
pub(super) async fn ask(
    state: HttpState,
    operation: Operation,
    forwarded: &[&'static str],
    request: Request,
) -> Response {
    let (id, answer) = match read_call(&state, Wire::Chat, forwarded, request).await {
        (id, Ok((call, _held))) => (id, state.gateway.ask(operation, call).await),
        (id, Err(fault)) => {
            state.gateway.note_refusal(operation.as_str(), &id, &fault);
            (id, Err(Denied::from(fault)))
        }
    };
    respond(Wire::Chat, &id, answer)
}

/// An answer, or why there is none, in the envelope of a contract.
pub(super) fn respond(contract: Wire, id: &str, answer: Result<Answer, Denied>) -> Response {
    let response = match answer {
        Ok(answer) => render::answer(contract, answer),
        Err(denied) => {
            let mut response = refuse(contract, &denied.fault, id);
            limits::write(contract, denied.standing.as_ref(), response.headers_mut());
            response
        }
    };
    with_request_id(contract, id, response)
}

/// Names the request where the clients of a contract look for it.
pub(super) fn with_request_id(contract: Wire, id: &str, mut response: Response) -> Response {
    if contract == Wire::Messages
        && let Ok(id) = HeaderValue::try_from(id)
    {
        response.headers_mut().insert(header::ANTHROPIC_REQUEST_ID, id);
    }
    response
}

/// A fault in the envelope of a contract.
pub(super) fn refuse(contract: Wire, fault: &Fault, request_id: &str) -> Response {
    match contract {
        Wire::Chat | Wire::Responses | Wire::GenerateContent => envelope::openai_response(fault),
        Wire::Messages => envelope::anthropic_response(fault, Some(request_id).filter(|id| !id.is_empty())),
    }
}

/// The contract that a path belongs to; that of OpenAI for all that belong to none.
pub(super) fn contract_of(path: &str) -> Wire {
    match path {
        "/v1/messages" => Wire::Messages,
        path if path.starts_with("/v1/messages/") => Wire::Messages,
        path if path.starts_with("/v1/responses") => Wire::Responses,
        _ => Wire::Chat,
    }
}

/// Reads a request: its id, and what the gateway is asked, with the body's share of memory.
pub(super) async fn read_call(
    state: &HttpState,
    contract: Wire,
    forwarded: &[&'static str],
    request: Request,
) -> (String, Outcome<(Call, HeldBody)>) {
    let id = request_id(request.headers());
    let call = call(state, contract, forwarded, request).await;
    (id, call)
}

/// Reads a request that is a form, in the contract that OpenAI has for it.
pub(super) async fn read_form(
    state: &HttpState,
    request: Request,
    carries: Carries,
    lists: &[&str],
) -> (String, Outcome<(Call, HeldForm)>) {
    let id = request_id(request.headers());
    let call = form_call(state, request, carries, lists).await;
    (id, call)
}

async fn form_call(state: &HttpState, request: Request, carries: Carries, lists: &[&str]) -> Outcome<(Call, HeldForm)> {
    let (parts, body) = request.into_parts();
    let snapshot = state.gateway.snapshot();
    let caller = state.gateway.authenticate(&snapshot, &credentials::presented(&parts.headers))?;
    let intake = intake(state, &parts, Wire::Chat, &snapshot, &caller);
    let read = async {
        let held = state.forms.read(&state.bodies, &parts.headers, body, carries, lists).await?;
        let call = Call {
            snapshot,
            caller,
            contract: Wire::Chat,
            is_strict: is_on(&parts.headers, header::STRICT)?,
            wants_routing: is_on(&parts.headers, header::ROUTING_METADATA)?,
            body: Bytes::new(),
            forwarded: HeaderMap::new(),
            request_id: request_id(&parts.headers),
            cache: cache_ttl(&parts.headers)?,
            trace: trace_context(&parts.headers),
            tags: tags(&parts.headers)?,
        };
        Ok((call, held))
    };
    read.await.inspect_err(|fault| not_read(state, intake, fault))
}

async fn call(
    state: &HttpState,
    contract: Wire,
    forwarded: &[&'static str],
    request: Request,
) -> Outcome<(Call, HeldBody)> {
    let (parts, body) = request.into_parts();
    let snapshot = state.gateway.snapshot();
    let caller = state.gateway.authenticate(&snapshot, &credentials::presented(&parts.headers))?;
    let intake = intake(state, &parts, contract, &snapshot, &caller);
    let read = async {
        let held = state.bodies.read_json(&parts.headers, body).await?;
        let call = Call {
            snapshot,
            caller,
            contract,
            is_strict: is_on(&parts.headers, header::STRICT)?,
            wants_routing: is_on(&parts.headers, header::ROUTING_METADATA)?,
            body: held.bytes.clone(),
            forwarded: passing(&parts.headers, forwarded),
            request_id: request_id(&parts.headers),
            cache: cache_ttl(&parts.headers)?,
            trace: trace_context(&parts.headers),
            tags: tags(&parts.headers)?,
        };
        Ok((call, held))
    };
    read.await.inspect_err(|fault| not_read(state, intake, fault))
}

/// What is known of a request of a known caller before it is read; `None` for those that are not recorded.
fn intake(
    state: &HttpState,
    parts: &http::request::Parts,
    contract: Wire,
    snapshot: &Snapshot,
    caller: &Caller,
) -> Option<Intake> {
    let operation = operation_of(parts.uri.path())?;
    let is_text = operation == Operation::TextGenerate;
    let contract = if is_text { contract.as_str() } else { operation.as_str() };
    let intake = state.gateway.intake(snapshot, caller, contract, &request_id(&parts.headers));
    Some(Intake { operation, ..intake })
}

/// Records that a request could not be read.
fn not_read(state: &HttpState, intake: Option<Intake>, fault: &Fault) {
    if let Some(intake) = intake {
        state.gateway.refused(intake, fault);
    }
}

/// What is asked for at a path; a count of tokens is nothing that is recorded.
fn operation_of(path: &str) -> Option<Operation> {
    Some(match path {
        "/v1/chat/completions" | "/v1/responses" | "/v1/messages" => Operation::TextGenerate,
        "/v1/embeddings" => Operation::EmbeddingCreate,
        "/v1/rerank" | "/v2/rerank" | "/rerank" => Operation::Rerank,
        "/v1/moderations" => Operation::Moderate,
        "/v1/audio/speech" => Operation::AudioSpeech,
        "/v1/audio/transcriptions" | "/v1/audio/translations" => Operation::AudioTranscribe,
        "/v1/images/generations" => Operation::ImageGenerate,
        "/v1/images/edits" => Operation::ImageEdit,
        _ => return None,
    })
}

/// The tags for the record, each once, in order.
pub(super) fn tags(headers: &HeaderMap) -> Outcome<Vec<String>> {
    const RULE: &str = "must be at most 16 tags of 1 to 64 visible ASCII characters, separated by commas";
    let mut tags: Vec<String> = Vec::new();
    for value in headers.get_all(header::TAGS) {
        let text = value.to_str().map_err(|_| Fault::invalid(header::TAGS, RULE))?;
        for tag in text.split(',').map(str::trim) {
            if tag.is_empty() || tag.len() > MAX_TAG_BYTES || !tag.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Fault::invalid(header::TAGS, RULE));
            }
            if !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
            }
        }
        if tags.len() > MAX_TAGS {
            return Err(Fault::invalid(header::TAGS, RULE));
        }
    }
    Ok(tags)
}

/// The trace that a request belongs to, as its client says.
fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    TraceContext::read(text(header::TRACEPARENT)?, text(header::TRACESTATE))
}

/// How long an answer may be kept in the response cache, where the request opts in.
pub(super) fn cache_ttl(headers: &HeaderMap) -> Outcome<Option<Duration>> {
    let is_opted_in = is_on(headers, header::CACHE)?;
    let seconds = match headers.get(header::CACHE_TTL) {
        None => DEFAULT_CACHE_SECONDS,
        Some(value) => {
            let stated = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let seconds = stated.and_then(|text| text.parse().ok());
            seconds.filter(|seconds| (1..=MAX_CACHE_SECONDS).contains(seconds)).ok_or_else(|| {
                Fault::invalid(
                    header::CACHE_TTL,
                    format!("must be a whole number of seconds, 1 to {MAX_CACHE_SECONDS}"),
                )
            })?
        }
    };
    Ok(is_opted_in.then(|| Duration::from_secs(seconds)))
}

/// A header that is `true`, `false` or absent.
fn is_on(headers: &HeaderMap, name: &'static str) -> Outcome<bool> {
    match headers.get(name).map(HeaderValue::as_bytes) {
        None | Some(b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(_) => Err(Fault::invalid(name, "must be true or false")),
    }
}

fn passing(headers: &HeaderMap, names: &[&'static str]) -> HeaderMap {
    let mut passing = HeaderMap::new();
    for name in names {
        for value in headers.get_all(*name) {
            passing.append(http::HeaderName::from_static(name), value.clone());
        }
    }
    passing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags_of(values: &[&str]) -> Result<Vec<String>, Option<String>> {
        let values = values.iter().map(|value| HeaderValue::from_bytes(value.as_bytes()).unwrap());
        let headers: HeaderMap = values.fold(HeaderMap::new(), |mut headers, value| {
            headers.append(header::TAGS, value);
            headers
        });
        tags(&headers).map_err(|fault| fault.at().map(str::to_owned))
    }

    #[test]
    fn tags_are_read_in_order_each_once_and_bounded() {
        let refused = Err(Some("x-unified-tags".to_owned()));
        let sixteen: Vec<String> = (0..16).map(|number| format!("t{number}")).collect();
        assert_eq!(tags_of(&[]), Ok(Vec::new()));
        assert_eq!(tags_of(&["a, b ,a", "c:1"]), Ok(["a", "b", "c:1"].map(str::to_owned).to_vec()));
        assert_eq!(tags_of(&[&sixteen.join(",")]), Ok(sixteen.clone()));
        assert_eq!(tags_of(&[&format!("{},t16", sixteen.join(","))]), refused);
        assert_eq!(tags_of(&[&"x".repeat(64)]).map(|tags| tags.len()), Ok(1));
        for bad in ["", "a,", ",", "two words", &"x".repeat(65), "\u{e9}"] {
            assert_eq!(tags_of(&[bad]), refused, "{bad:?}");
        }
    }
}
