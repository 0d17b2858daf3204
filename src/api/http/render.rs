//! Answers of the data plane as HTTP responses.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::task::Poll;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};

use super::limits;
use crate::canonical::Wire;
use crate::gateway::dispatch::{AnswerBody, Flow};
use crate::gateway::{Answer, Counted};
use crate::telemetry::names::header;

/// Renders an answer.
pub(super) fn answer(contract: Wire, answer: Answer) -> Response {
    let mut response = match answer.body {
        AnswerBody::Whole(pieces) => json_response(pieces),
        AnswerBody::Typed(media_type, pieces) => {
            let mut response = json_response(pieces);
            if let Ok(media_type) = HeaderValue::try_from(media_type) {
                response.headers_mut().insert(CONTENT_TYPE, media_type);
            }
            response
        }
        AnswerBody::Flow(media_type, flow) => flow_response(&media_type, flow),
        AnswerBody::Stream(mut pieces) => {
            let events = stream::poll_fn(move |context| match pieces.poll_recv(context) {
                Poll::Ready(piece) => Poll::Ready(piece.map(Ok::<Bytes, Infallible>)),
                Poll::Pending => Poll::Pending,
            });
            let mut response = Response::new(Body::from_stream(events));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
            response
        }
    };
    limits::write(contract, answer.standing.as_ref(), response.headers_mut());
    write_dropped(&answer.dropped, &mut response);
    if let Some(id) = answer.served_by.and_then(|id| HeaderValue::try_from(id).ok()) {
        response.headers_mut().insert(HeaderName::from_static(header::SERVED_BY), id);
    }
    if let Some(status) = answer.cache {
        let word = HeaderValue::from_static(status.as_str());
        response.headers_mut().insert(HeaderName::from_static(header::CACHE_STATUS), word);
    }
    response
}

/// Content as it comes. If it ends early, so does the connection: only that tells a client.
fn flow_response(media_type: &str, mut flow: Flow) -> Response {
    let pieces = stream::poll_fn(move |context| match flow.pieces.poll_recv(context) {
        Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(piece))),
        Poll::Ready(None) if flow.is_whole.load(Ordering::Acquire) => Poll::Ready(None),
        Poll::Ready(None) => Poll::Ready(Some(Err(std::io::Error::other("the content was cut")))),
        Poll::Pending => Poll::Pending,
    });
    let mut response = Response::new(Body::from_stream(pieces));
    if let Ok(media_type) = HeaderValue::try_from(media_type) {
        response.headers_mut().insert(CONTENT_TYPE, media_type);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Renders a count of tokens.
pub(super) fn count(counted: Counted) -> Response {
    let mut response = json_response(vec![counted.body]);
    if counted.is_estimated {
        response.headers_mut().insert(HeaderName::from_static(header::ESTIMATED), HeaderValue::from_static("true"));
    }
    write_dropped(&counted.dropped, &mut response);
    response
}

fn write_dropped(dropped: &[Cow<'static, str>], response: &mut Response) {
    if !dropped.is_empty()
        && let Ok(names) = HeaderValue::try_from(dropped.join(","))
    {
        response.headers_mut().insert(HeaderName::from_static(header::DROPPED), names);
    }
}

/// A JSON body in pieces, with its length.
pub(super) fn json_response(pieces: Vec<Bytes>) -> Response {
    // One copy of the answer; its pieces are slices of the provider's body around the spliced model.
    let body = match <[Bytes; 1]>::try_from(pieces) {
        Ok([whole]) => whole,
        Err(pieces) => pieces.concat().into(),
    };
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
