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
use crate::gateway::{Answer, Call, Denied};
use crate::telemetry::names::header;
use crate::telemetry::otel::context::TraceContext;

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
    };
    Ok((call, held))
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
    };
    Ok((call, held))
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
