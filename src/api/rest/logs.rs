//! `/admin/logs`, `/admin/usage` and `/admin/observability/summary`.

use std::str::FromStr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use uuid::Uuid;

use super::call::{Answer, Call, Query};
use super::{RestState, answer, paging, shapes};
use crate::api::page_token::Position;
use crate::api::problems::{Problems, one_of};
use crate::api::usage::binding;
use crate::control::usage::{SummaryWindow, Tail};
use crate::domain::operation_query::{OperationFilter, OperationOutcome, UsageDimension};
use crate::domain::page::Page;
use crate::fault::{Fault, Outcome};
use crate::time::Timestamp;

/// The conditions of a filter.
const CONDITIONS: [&str; 14] = [
    "requestId",
    "virtualKeyId",
    "publicModel",
    "deploymentId",
    "provider",
    "operation",
    "outcome",
    "degraded",
    "cacheHit",
    "status",
    "tag",
    "minDurationMs",
    "start",
    "end",
];
/// A tail that has nothing to say says so, lest somebody in between takes it for dead.
const QUIET: Duration = Duration::from_secs(15);

pub(super) async fn list(State(state): State<RestState>, call: Call) -> Answer {
    let query = call.query(&[&["limit", "offset", "cursor"][..], &CONDITIONS[..]].concat())?;
    let filter = filter(&query)?;
    let binding = binding(&filter);
    let request = paging::read(&query, binding)?;
    let page = state.control.usage.list(&filter, &request).await?;
    let last = page.items.last().and_then(|last| Uuid::parse_str(&last.id).ok()).map(Position::After);
    let counted = Page { total: page.total.unwrap_or_default(), has_more: page.has_more, items: page.items };
    let pagination = paging::write(&request, &counted, last, binding);
    let pagination = if page.total.is_some() { pagination } else { pagination.uncounted() };
    let shapes: Vec<_> = counted.items.into_iter().map(shapes::usage::write).collect();
    Ok(answer::list(shapes, pagination)?)
}

pub(super) async fn get(State(state): State<RestState>, call: Call) -> Answer {
    call.query(&[])?;
    let record = state.control.usage.get(call.variable()).await?;
    Ok(answer::data(StatusCode::OK, shapes::usage::write_whole(record))?)
}

/// Server-sent events: one `operation` for each, its id the one to go on after (`last-event-id` or `after`).
pub(super) async fn tail(State(state): State<RestState>, call: Call) -> Answer {
    let query = call.query(&[&["after"][..], &CONDITIONS[..]].concat())?;
    let filter = filter(&query)?;
    let after = query.text("after").or_else(|| call.header("last-event-id"));
    let tail = state.control.usage.tail(filter, after).await.map_err(in_words_of_the_query)?;
    let events = futures_util::stream::unfold(Some(tail), |tail| async move {
        let mut tail = tail?;
        let (event, is_over) = event(&mut tail).await;
        Some((Ok::<_, std::convert::Infallible>(event), (!is_over).then_some(tail)))
    });
    let mut response = Response::new(Body::from_stream(events));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The next event, and whether it is the last.
async fn event(tail: &mut Tail) -> (Bytes, bool) {
    match tokio::time::timeout(QUIET, tail.next()).await {
        Err(_) => (Bytes::from_static(b": nothing yet\n\n"), false),
        Ok(Ok(record)) => {
            let id = record.id.clone();
            // Written without line feeds, so it is one line of data. What does not serialise is left out: nothing does not.
            let data = serde_json::to_string(&shapes::usage::write(record)).unwrap_or_default();
            (Bytes::from(format!("event: operation\nid: {id}\ndata: {data}\n\n")), false)
        }
        Ok(Err(fault)) => {
            let data = serde_json::json!({"error": {"message": fault.message(), "code": fault.kind().row().slug}});
            (Bytes::from(format!("event: error\ndata: {data}\n\n")), true)
        }
    }
}

fn in_words_of_the_query(fault: Fault) -> Fault {
    match fault.violations() {
        [only] if only.field == "afterOperationId" => Fault::invalid("after", only.description.clone()),
        _ => fault,
    }
}

pub(super) async fn usage(State(state): State<RestState>, call: Call) -> Answer {
    let query = call.query(&[&["groupBy", "format"][..], &CONDITIONS[..]].concat())?;
    let is_csv = match query.text("format") {
        Some("csv") => true,
        Some("json") => false,
        Some(_) => return Err(Fault::invalid("format", one_of(["json", "csv"])).into()),
        None => call.header("accept").is_some_and(|accepted| accepted.trim().starts_with("text/csv")),
    };
    let report = state.control.usage.aggregate(filter(&query)?, dimensions(&query)?).await?;
    if !is_csv {
        return Ok(answer::whole(&shapes::usage::write_usage(report))?);
    }
    let mut response = Response::new(Body::from(shapes::usage::write_csv(&report)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

pub(super) async fn summary(State(state): State<RestState>, call: Call) -> Answer {
    let query = call.query(&["window"])?;
    let wrong = || Fault::invalid("window", one_of(SummaryWindow::ALL.map(SummaryWindow::as_str)));
    let mut windows = Vec::new();
    for word in query.text("window").unwrap_or(SummaryWindow::Hour.as_str()).split(',') {
        let known = SummaryWindow::ALL.into_iter().find(|window| window.as_str() == word).ok_or_else(wrong)?;
        if !windows.contains(&known) {
            windows.push(known);
        }
    }
    let mut summaries = Vec::new();
    for window in &windows {
        summaries.push(shapes::usage::write_summary(&state.control.usage.summary(*window).await?));
    }
    match (windows.len(), summaries.pop()) {
        (1, Some(only)) => Ok(answer::data(StatusCode::OK, only)?),
        (_, last) => {
            summaries.extend(last);
            Ok(answer::data(StatusCode::OK, summaries)?)
        }
    }
}

fn dimensions(query: &Query) -> Outcome<Vec<UsageDimension>> {
    let words = query.text("groupBy").into_iter().flat_map(|words| words.split(',')).filter(|word| *word != "none");
    let read = |word: &str| {
        UsageDimension::parse(word)
            .ok_or_else(|| Fault::invalid("groupBy", one_of(UsageDimension::ALL.map(UsageDimension::as_str))))
    };
    words.map(read).collect()
}

fn filter(query: &Query) -> Outcome<OperationFilter> {
    let mut problems = Problems::default();
    let text = |name: &str| query.text(name).map(str::to_owned);
    let outcomes = one_of(OperationOutcome::ALL.map(OperationOutcome::as_str));
    let filter = OperationFilter {
        request_id: text("requestId"),
        key: id(query, "virtualKeyId", &mut problems),
        public_model: text("publicModel"),
        deployment: id(query, "deploymentId", &mut problems),
        provider: text("provider"),
        operation: text("operation"),
        outcome: query
            .text("outcome")
            .and_then(|word| problems.keep("outcome", OperationOutcome::parse(word).ok_or(outcomes))),
        degraded: flag(query, "degraded", &mut problems),
        cache_hit: flag(query, "cacheHit", &mut problems),
        status: number(query, "status", "must be an HTTP status from 100 to 599", &mut problems),
        tag: text("tag"),
        min_duration_ms: number(query, "minDurationMs", "must be a whole number of milliseconds", &mut problems),
        start: moment(query, "start", &mut problems),
        end: moment(query, "end", &mut problems),
    };
    problems.finish(filter)
}

fn id<T: FromStr<Err: std::fmt::Display>>(query: &Query, name: &str, problems: &mut Problems) -> Option<T> {
    query.text(name).and_then(|text| problems.keep(name, text.parse()))
}

fn flag(query: &Query, name: &str, problems: &mut Problems) -> Option<bool> {
    problems.keep(name, query.boolean(name).map_err(|_| "must be true or false")).flatten()
}

fn number<T: FromStr>(query: &Query, name: &str, must: &str, problems: &mut Problems) -> Option<T> {
    query.text(name).and_then(|text| problems.keep(name, text.parse().map_err(|_| must)))
}

/// RFC 3339, or a day, which is its first moment in UTC.
fn moment(query: &Query, name: &str, problems: &mut Problems) -> Option<Timestamp> {
    let text = query.text(name)?;
    let read = Timestamp::parse_rfc3339(text).or_else(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")));
    problems.keep(name, read.ok_or("must be a moment such as 2027-01-31T12:00:00Z, or a day such as 2027-01-31"))
}
