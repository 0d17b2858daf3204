//! One admin request: who calls, its path, query, conditions and body.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, IF_MATCH};
use http::request::Parts;
use http::{HeaderName, Method};
use http_body_util::BodyExt;
use url::form_urlencoded;

use super::MAX_BODY_BYTES;
use crate::api::envelope;
use crate::domain::audit::Caller;
use crate::domain::ids::Revision;
use crate::fault::{Fault, Kind, Outcome, Violation};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a handler answers.
pub(super) type Answer = Result<Response, Refused>;

/// One request.
#[derive(Debug)]
pub(super) struct Call {
    /// Who calls.
    pub(super) caller: Caller,
    parts: Parts,
    last_segment: Option<String>,
    body: Body,
}

/// A fault on its way out.
#[derive(Debug, Clone)]
pub(super) struct Refused(Arc<Fault>);

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self(Arc::new(in_rest_words(fault)))
    }
}

/// What the use cases call otherwise than this face does.
const OTHER_WORDS: [(&str, &str); 2] = [("requestId", "idempotency-key"), ("gracePeriod", "gracePeriodSeconds")];

fn in_rest_words(fault: Fault) -> Fault {
    let word = |field: &str| OTHER_WORDS.iter().find(|(theirs, _)| *theirs == field).map(|(_, ours)| *ours);
    if fault.violations().iter().all(|violation| word(&violation.field).is_none()) {
        return fault;
    }
    let violations = fault.violations().iter().map(|violation| Violation {
        field: word(&violation.field).unwrap_or(&violation.field).to_owned(),
        description: violation.description.clone(),
    });
    Fault::from_violations(violations.collect()).unwrap_or(fault)
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = envelope::openai_response(&self.0);
        response.extensions_mut().insert(Self(Arc::clone(&self.0)));
        response
    }
}

impl Refused {
    /// What went wrong. The guard finds it in the extensions of the answer and logs it with the request id.
    pub(super) fn fault(&self) -> &Fault {
        &self.0
    }
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let (mut parts, body) = request.into_parts();
        // The guard has put it there; without a guard nobody gets further.
        let caller = parts.extensions.get::<Caller>().cloned().ok_or(Fault::new(Kind::Internal))?;
        let params = RawPathParams::from_request_parts(&mut parts, state).await.ok();
        let last_segment = params.and_then(|params| params.iter().last().map(|(_, value)| value.to_owned()));
        Ok(Self { caller, parts, last_segment, body })
    }
}

impl Call {
    /// The path, as it was sent.
    pub(super) fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// The method.
    pub(super) fn method(&self) -> &Method {
        &self.parts.method
    }

    /// What stands for the variable part of the path, decoded.
    pub(super) fn variable(&self) -> &str {
        self.last_segment.as_deref().unwrap_or_default()
    }

    /// The id in the path.
    ///
    /// # Errors
    /// `BadRequest` on `id` when it is not a UUID.
    pub(super) fn id<T: std::str::FromStr>(&self) -> Outcome<T> {
        self.variable().parse().map_err(|_| Fault::invalid("id", "is not a UUID"))
    }

    /// The query, which may hold only `known` parameters, each at most once.
    ///
    /// # Errors
    /// `BadRequest` on the parameter.
    pub(super) fn query(&self, known: &[&str]) -> Outcome<Query> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(self.parts.uri.query().unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let short: String = name.chars().take(80).collect();
                return Err(Fault::invalid(
                    short,
                    format!("is not a query parameter of this path; it takes {}", listed(known)),
                ));
            }
            if pairs.iter().any(|(earlier, _)| *earlier == name) {
                return Err(Fault::invalid(name, "is given twice"));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Query(pairs))
    }

    /// A header that is visible ASCII.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The client's id of a creation.
    ///
    /// # Errors
    /// `BadRequest` when it is not visible ASCII.
    pub(super) fn idempotency_key(&self) -> Outcome<Option<String>> {
        let Some(value) = self.parts.headers.get(&IDEMPOTENCY_KEY) else { return Ok(None) };
        let text = value.to_str().map_err(|_| Fault::invalid("idempotency-key", "must be visible ASCII"))?;
        Ok(Some(text.to_owned()))
    }

    /// The state that the change expects: `If-Match`, or the body's `etag`.
    ///
    /// # Errors
    /// `BadRequest` when one is not an etag of ours, or they differ.
    pub(super) fn expected(&self, in_body: Option<&str>) -> Outcome<Option<Revision>> {
        let header = match self.parts.headers.get(IF_MATCH).map(|value| value.to_str().map(str::trim)) {
            None | Some(Ok("*")) => None,
            Some(Ok(text)) => Some(read_etag("if-match", text)?),
            Some(Err(_)) => return Err(Fault::invalid("if-match", "is not an etag")),
        };
        let body = in_body.map(|text| read_etag("etag", text)).transpose()?;
        match (header, body) {
            (Some(header), Some(body)) if header != body => {
                Err(Fault::invalid("etag", "differs from the header `if-match`"))
            }
            (header, body) => Ok(header.or(body)),
        }
    }

    /// The JSON body, as text.
    ///
    /// # Errors
    /// `MediaType` without `content-type: application/json`; `TooLarge`; `RequestTimeout`; `InvalidJson` when it is
    /// not UTF-8.
    pub(super) async fn text(&mut self) -> Outcome<String> {
        let bytes = self.read().await?;
        self.check_content_type()?;
        String::from_utf8(bytes.into())
            .map_err(|_| Fault::new(Kind::InvalidJson).say("The body is not valid JSON: it is not UTF-8."))
    }

    /// The JSON body where one may be left out; then `{}`.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub(super) async fn optional_text(&mut self) -> Outcome<String> {
        let bytes = self.read().await?;
        if bytes.is_empty() {
            return Ok("{}".to_owned());
        }
        self.body = Body::from(bytes);
        self.text().await
    }

    fn check_content_type(&self) -> Outcome<()> {
        let sent = self.parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = sent.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            return Ok(());
        }
        Err(Fault::new(Kind::MediaType)
            .say("The body must be JSON: send the header `content-type: application/json`.")
            .param("content-type"))
    }

    async fn read(&mut self) -> Outcome<Bytes> {
        let body = std::mem::take(&mut self.body);
        tokio::time::timeout(BODY_TIMEOUT, read_capped(body)).await.unwrap_or_else(|_| Err(Kind::RequestTimeout.into()))
    }
}

async fn read_capped(mut body: Body) -> Outcome<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Fault::new(Kind::BadRequest).say("The body could not be read to its end.").because(error)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BODY_BYTES {
            return Err(Fault::new(Kind::TooLarge)
                .say(format!("The body is larger than {MAX_BODY_BYTES} bytes, which is the most this path takes.")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

fn read_etag(field: &str, text: &str) -> Outcome<Revision> {
    Revision::from_etag(text)
        .ok_or_else(|| Fault::invalid(field, "is not an etag of this resource; send one that was answered"))
}

fn listed(known: &[&str]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

/// The parameters of a query.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// A parameter that is given and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|text| !text.is_empty())
    }

    /// A switch.
    ///
    /// # Errors
    /// `BadRequest` on the parameter.
    pub(super) fn boolean(&self, name: &str) -> Outcome<Option<bool>> {
        match self.text(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Fault::invalid(name, "must be true or false")),
        }
    }

    /// A whole number within a range.
    ///
    /// # Errors
    /// `BadRequest` on the parameter.
    pub(super) fn whole(&self, name: &str, range: std::ops::RangeInclusive<u32>) -> Outcome<Option<u32>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => {
                Err(Fault::invalid(name, format!("must be a whole number from {} to {}", range.start(), range.end())))
            }
        }
    }
}
