//! `GET /v1/models` and `GET /v1/models/{model}` as clients of Anthropic read them: those send `anthropic-version`.
//! <https://docs.claude.com/en/api/models-list>

use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;

use super::edge::request_id;
use super::{HttpState, models, render, text};
use crate::canonical::Wire;
use crate::fault::{Fault, Kind, Outcome};
use crate::gateway::models::ModelCard;
use crate::time::Timestamp;

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 1_000;

#[derive(Serialize)]
struct Page {
    data: Vec<Model>,
    has_more: bool,
    first_id: Option<String>,
    last_id: Option<String>,
}

#[derive(Serialize)]
struct Model {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    display_name: String,
    created_at: String,
}

/// What of the list is wanted.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    before_id: Option<String>,
    after_id: Option<String>,
    limit: Option<usize>,
}

/// Whether a client reads the shape of Anthropic.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.contains_key("anthropic-version")
}

/// One page of the models that the caller can see.
pub(super) fn list(state: &HttpState, request: &Request) -> Response {
    let snapshot = state.gateway.snapshot();
    let page = read_query(request.uri().query().unwrap_or_default()).and_then(|wanted| {
        let caller = models::visitor(state, &snapshot, request.headers())?;
        page(state.gateway.list_models(&snapshot, caller.as_ref()), &wanted)
    });
    respond(page, request.headers())
}

/// One model.
pub(super) fn one(found: Outcome<ModelCard>, headers: &HeaderMap) -> Response {
    respond(found.map(write_card), headers)
}

fn respond<T: Serialize>(answer: Outcome<T>, headers: &HeaderMap) -> Response {
    let json = answer
        .and_then(|answer| serde_json::to_vec(&answer).map_err(|error| Fault::new(Kind::Internal).because(error)));
    let id = request_id(headers);
    let response = match json {
        Ok(json) => render::json_response(vec![json.into()]),
        Err(fault) => text::refuse(Wire::Messages, &fault, &id),
    };
    text::with_request_id(Wire::Messages, &id, response)
}

fn write_card(card: ModelCard) -> Model {
    Model {
        kind: "model",
        display_name: card.id.clone(),
        id: card.id,
        created_at: Timestamp::from_unix_ms(card.created_s.saturating_mul(1_000)).to_rfc3339(),
    }
}

fn read_query(query: &str) -> Outcome<Wanted> {
    let mut wanted = Wanted::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "before_id" => wanted.before_id = Some(value.into_owned()),
            "after_id" => wanted.after_id = Some(value.into_owned()),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                let sentence = || Fault::invalid("limit", format!("must be 1 to {MAX_LIMIT}"));
                wanted.limit = Some(limit.ok_or_else(sentence)?);
            }
            _ => {}
        }
    }
    if wanted.before_id.is_some() && wanted.after_id.is_some() {
        return Err(Fault::invalid("before_id", "cannot be combined with `after_id`"));
    }
    Ok(wanted)
}

fn page(cards: Vec<ModelCard>, wanted: &Wanted) -> Outcome<Page> {
    let limit = wanted.limit.unwrap_or(DEFAULT_LIMIT);
    let place = |id: &str, field: &'static str| {
        let place = cards.iter().position(|card| card.id == id);
        place.ok_or_else(|| Fault::invalid(field, "is no model of this list"))
    };
    let (range, has_more) = match (&wanted.after_id, &wanted.before_id) {
        (Some(id), _) => {
            let from = place(id, "after_id")? + 1;
            let to = (from + limit).min(cards.len());
            (from..to, to < cards.len())
        }
        (None, Some(id)) => {
            let to = place(id, "before_id")?;
            let from = to.saturating_sub(limit);
            (from..to, from > 0)
        }
        (None, None) => (0..limit.min(cards.len()), limit < cards.len()),
    };
    let data: Vec<Model> = cards.into_iter().skip(range.start).take(range.len()).map(write_card).collect();
    let id = |model: Option<&Model>| model.map(|model| model.id.clone());
    Ok(Page { has_more, first_id: id(data.first()), last_id: id(data.last()), data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards() -> Vec<ModelCard> {
        let card = |id: &str| ModelCard { id: id.to_owned(), created_s: 1_790_000_000, ..ModelCard::default() };
        ["a", "b", "c", "d", "e"].map(card).into()
    }

    fn ids(query: &str) -> (String, bool) {
        let page = page(cards(), &read_query(query).unwrap()).unwrap();
        let ids: String = page.data.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(page.first_id.as_deref().unwrap_or_default(), ids.get(..1).unwrap_or_default());
        assert_eq!(
            page.last_id.as_deref().unwrap_or_default(),
            ids.get(ids.len().saturating_sub(1)..).unwrap_or_default()
        );
        (ids, page.has_more)
    }

    #[test]
    fn pages_go_forward_and_back() {
        for (query, expected, has_more) in [
            ("", "abcde", false),
            ("limit=2", "ab", true),
            ("limit=2&after_id=b", "cd", true),
            ("limit=2&after_id=d", "e", false),
            ("after_id=e", "", false),
            ("limit=2&before_id=d", "bc", true),
            ("limit=9&before_id=d", "abc", false),
            ("before_id=a&beta=true", "", false),
        ] {
            assert_eq!(ids(query), (expected.to_owned(), has_more), "{query}");
        }
        let dated = write_card(cards().remove(0));
        assert_eq!((dated.kind, dated.created_at.as_str()), ("model", "2026-09-21T14:13:20.000Z"));
    }

    #[test]
    fn a_page_that_cannot_be_is_refused_by_its_field() {
        for (query, param) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=x", "limit"),
            ("before_id=a&after_id=b", "before_id"),
        ] {
            assert_eq!(read_query(query).unwrap_err().at(), Some(param), "{query}");
        }
        let unknown = page(cards(), &read_query("after_id=z").unwrap()).err();
        assert_eq!(unknown.unwrap().at(), Some("after_id"));
    }
}
