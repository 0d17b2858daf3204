//! What the endpoints that call providers share: a contract in, an answer in the same contract out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;

use super::body::HeldBody;
use super::edge::request_id;
use super::multipart::HeldForm;
use super::{HttpState, credentials, limits, render};
use crate::api::envelope;
use crate::canonical::{Operation, Wire};
use crate::dialects::{anthropic_messages, openai_chat};
use crate::fault::{Fault, Outcome};
use crate::gateway::form::Carries;
use crate::gateway::{self, Answer, Call, Denied, Intake};
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
        (id, Err(unread)) => {
            let denied = unread.recorded(&state, contract.as_str(), &id, Operation::TextGenerate);
            (id, Err(denied))
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
        (id, Err(unread)) => {
            let denied = unread.recorded(&state, operation.as_str(), &id, operation);
            (id, Err(denied))
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
            if let Some(routing) = &denied.routing {
                let body = gateway::add_to_body(vec![write_fault(contract, &denied.fault, id)], routing);
                *response.body_mut() = Body::from(body.concat());
            }
            limits::write(contract, denied.standing.as_deref(), response.headers_mut());
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

/// The body of a fault in a contract.
fn write_fault(contract: Wire, fault: &Fault, request_id: &str) -> Bytes {
    match contract {
        Wire::Chat | Wire::Responses | Wire::GenerateContent => openai_chat::fault::write_fault(fault),
        Wire::Messages => anthropic_messages::fault::write_fault(fault, Some(request_id).filter(|id| !id.is_empty())),
    }
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

/// A request that could not be read.
#[derive(Debug)]
pub(super) struct Unread {
    pub fault: Fault,
    /// What is known of it, where it is known who calls.
    intake: Option<Box<Intake>>,
}

impl Unread {
    fn of(fault: Fault, intake: Intake, arrived: &AtomicU64) -> Self {
        let intake = Intake { request_bytes: arrived.load(Ordering::Relaxed), ..intake };
        Self { fault, intake: Some(Box::new(intake)) }
    }

    /// The refusal, recorded where it is known whose it is.
    pub(super) fn recorded(
        self,
        state: &HttpState,
        contract: &'static str,
        request_id: &str,
        operation: Operation,
    ) -> Denied {
        match self.intake {
            Some(intake) => state.gateway.refused(Intake { operation, contract, ..*intake }, &self.fault),
            None => state.gateway.note_refusal(contract, request_id, &self.fault),
        }
        self.fault.into()
    }
}

impl From<Fault> for Unread {
    fn from(fault: Fault) -> Self {
        Self { fault, intake: None }
    }
}

/// Reads a request: its id, and what the gateway is asked, with the body's share of memory.
pub(super) async fn read_call(
    state: &HttpState,
    contract: Wire,
    forwarded: &[&'static str],
    request: Request,
) -> (String, Result<(Call, HeldBody), Unread>) {
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
) -> (String, Result<(Call, HeldForm), Unread>) {
    let id = request_id(request.headers());
    let call = form_call(state, request, carries, lists).await;
    (id, call)
}

/// A body, and how many bytes of it have come.
fn counted(body: Body) -> (Body, Arc<AtomicU64>) {
    let arrived = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&arrived);
    let body = body.map_frame(move |frame| {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        count.fetch_add(bytes as u64, Ordering::Relaxed);
        frame
    });
    (Body::new(body), arrived)
}

async fn form_call(
    state: &HttpState,
    request: Request,
    carries: Carries,
    lists: &[&str],
) -> Result<(Call, HeldForm), Unread> {
    let (parts, body) = request.into_parts();
    let snapshot = state.gateway.snapshot();
    let caller = state.gateway.authenticate(&snapshot, &credentials::presented(&parts.headers))?;
    let request_id = request_id(&parts.headers);
    let intake = state.gateway.intake(&snapshot, &caller, Wire::Chat.as_str(), &request_id);
    let (body, arrived) = counted(body);
    let read = async {
        let held = state.forms.read(&state.bodies, &parts.headers, body, carries, lists).await?;
        let call = Call {
            snapshot,
            caller,
            contract: Wire::Chat,
            is_strict: is_on(&parts.headers, header::STRICT)?,
            wants_routing: is_on(&parts.headers, header::ROUTING_METADATA)?,
            session: None,
            body: Bytes::new(),
            forwarded: HeaderMap::new(),
            request_id,
            tags: tags(&parts.headers)?,
            cache: cache_ttl(&parts.headers)?,
            trace: trace_context(&parts.headers),
        };
        Ok((call, held))
    };
    read.await.map_err(|fault| Unread::of(fault, intake, &arrived))
}

async fn call(
    state: &HttpState,
    contract: Wire,
    forwarded: &[&'static str],
    request: Request,
) -> Result<(Call, HeldBody), Unread> {
    let (parts, body) = request.into_parts();
    let snapshot = state.gateway.snapshot();
    let caller = state.gateway.authenticate(&snapshot, &credentials::presented(&parts.headers))?;
    let request_id = request_id(&parts.headers);
    let intake = state.gateway.intake(&snapshot, &caller, contract.as_str(), &request_id);
    let (body, arrived) = counted(body);
    let read = async {
        let held = state.bodies.read_json(&parts.headers, body).await?;
        let call = Call {
            snapshot,
            caller,
            contract,
            is_strict: is_on(&parts.headers, header::STRICT)?,
            wants_routing: is_on(&parts.headers, header::ROUTING_METADATA)?,
            session: session(&parts.headers),
            body: held.bytes.clone(),
            forwarded: passing(&parts.headers, forwarded),
            request_id,
            tags: tags(&parts.headers)?,
            cache: cache_ttl(&parts.headers)?,
            trace: trace_context(&parts.headers),
        };
        Ok((call, held))
    };
    read.await.map_err(|fault| Unread::of(fault, intake, &arrived))
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

/// What the client calls its session. Any text will do.
fn session(headers: &HeaderMap) -> Option<String> {
    let session = headers.get(header::SESSION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    session.filter(|session| !session.is_empty())
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
