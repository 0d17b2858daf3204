//! `POST /v1/responses`, and the responses that are stored: `GET` and `DELETE /v1/responses/{id}` and
//! `GET /v1/responses/{id}/input_items`.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Uri};

use super::edge::request_id;
use super::{HttpState, credentials, render, text};
use crate::api::envelope;
use crate::canonical::Wire;
use crate::dialects::openai_responses::stored::ItemPage;
use crate::dialects::out;
use crate::fault::{Fault, Kind, Outcome};
use crate::gateway::Caller;

/// The client's headers that may pass up to a provider of the same wire. All others stay here.
const FORWARDED: [&str; 2] = ["openai-beta", "idempotency-key"];

pub(super) async fn create(State(state): State<HttpState>, request: Request) -> Response {
    text::generate(state, Wire::Responses, &FORWARDED, request).await
}

pub(super) async fn get(
    State(state): State<HttpState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let got = async {
        let caller = caller(&state, &headers)?;
        refuse_stream(&uri)?;
        state.gateway.get_response(&caller, &id).await
    };
    respond(got.await, &headers)
}

pub(super) async fn delete(State(state): State<HttpState>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let deleted = async {
        state.gateway.delete_response(&caller(&state, &headers)?, &id).await?;
        Ok(out::object(|out| {
            out.text("id", &id).text("object", "response").boolean("deleted", true);
        }))
    };
    respond(deleted.await, &headers)
}

pub(super) async fn list_input_items(
    State(state): State<HttpState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let listed = async {
        let caller = caller(&state, &headers)?;
        let pairs = query(&uri);
        let page = ItemPage::from_query(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
        state.gateway.list_input_items(&caller, &id, &page).await
    };
    respond(listed.await, &headers)
}

/// Endpoints of OpenAI's that are not here: said by name, so that nobody looks for a typing error.
pub(super) async fn not_here(uri: Uri) -> Response {
    let what = match uri.path().rsplit('/').next().unwrap_or_default() {
        "cancel" => "responses are not run in the background here, so there is none to cancel",
        "compact" => "conversations are not compacted here; shorten the input",
        _ => "tokens of this contract are not counted here; POST /v1/messages/count_tokens counts",
    };
    let shown: String = uri.path().chars().take(200).collect();
    envelope::openai_response(&Fault::new(Kind::NotFound).say(format!("{shown} is not supported: {what}.")))
}

fn caller(state: &HttpState, headers: &HeaderMap) -> Outcome<Caller> {
    state.gateway.authenticate(&state.gateway.snapshot(), &credentials::presented(headers))
}

fn query(uri: &Uri) -> Vec<(String, String)> {
    let query = uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Events of a stored response are not kept, only their sum.
fn refuse_stream(uri: &Uri) -> Outcome<()> {
    let streams = |(name, value): &(String, String)| name == "stream" && value != "false";
    if query(uri).iter().any(streams) {
        return Err(Fault::invalid("stream", "is not supported for stored responses; leave it out")
            .code("unsupported_parameter"));
    }
    Ok(())
}

fn respond(json: Outcome<String>, headers: &HeaderMap) -> Response {
    match json {
        Ok(json) => render::json_response(vec![Bytes::from(json)]),
        Err(fault) => {
            envelope::log(&fault, Some(&request_id(headers)));
            envelope::openai_response(&fault)
        }
    }
}
