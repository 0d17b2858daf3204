//! Stored responses: the document that is kept of one, and what a later request makes of it.
//!
//! Source: the public API reference of `GET /v1/responses/{id}`, `GET /v1/responses/{id}/input_items` and of
//! `previous_response_id` and `item_reference` in `POST /v1/responses`.
//!
//! Every document holds its whole input, that of the responses before it included: a chain of any length is one read, and
//! deleting one response takes nothing from those that followed it.

use super::wire::{self, ITEM_REFERENCE};
use crate::canonical::text::State;
use crate::canonical::{Json, Wire};
use crate::dialects::node::Node;
use crate::dialects::out;
use crate::dialects::state;
use crate::fault::{Fault, Outcome};

/// Items that a page has unless it says otherwise.
const DEFAULT_LIMIT: usize = 20;
/// Most items of a page.
const MAX_LIMIT: usize = 100;

/// What is kept of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Whose it is; checked by who opens it.
    pub scope: String,
    /// Who made it: to whom its opaque state belongs.
    pub origin: String,
    /// The response as the client got it.
    pub response: Json,
    /// All items of its input, in order, each with an id.
    pub input: Vec<Json>,
}

impl Stored {
    /// As one document.
    #[must_use]
    pub fn write(&self) -> String {
        out::object(|out| {
            out.text("scope", &self.scope).text("origin", &self.origin).raw("response", self.response.as_str());
            out.list("input", |list| {
                for item in &self.input {
                    list.item_raw(item.as_str());
                }
            });
        })
    }

    /// Reads a document. `None` for what is none.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let root = Node::root(text).object().ok()?;
        Some(Self {
            scope: root.any_text("scope")?,
            origin: root.any_text("origin")?,
            response: Json::parse(root.get("response")?.raw().to_owned())?,
            input: root.any_list("input").iter().map(Node::json).collect(),
        })
    }

    /// What a request that goes on from it begins with: its input and its output, as items of an input.
    #[must_use]
    pub fn context(&self) -> Vec<Json> {
        let input = self.input.iter().map(|item| as_input(item.as_str(), None));
        input.chain(self.output().iter().map(|item| as_input(item.as_str(), Some(&self.origin)))).collect()
    }

    /// One of its items, as an item of an input.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Json> {
        let has_id = |item: &&Json| id_of(item).as_deref() == Some(id);
        let output = self.output();
        let of_output = output.iter().find(has_id).map(|item| as_input(item.as_str(), Some(&self.origin)));
        of_output.or_else(|| self.input.iter().find(has_id).map(|item| as_input(item.as_str(), None)))
    }

    /// Ids of its output that do not say which response they belong to.
    #[must_use]
    pub fn foreign_ids(&self) -> Vec<String> {
        self.output().iter().filter_map(id_of).filter(|id| response_of(id).is_none()).collect()
    }

    /// One page of its input, as the list that a client gets.
    ///
    /// # Errors
    /// `BadRequest` when `after` names none of its items.
    pub fn page(&self, page: &ItemPage) -> Outcome<String> {
        let mut items: Vec<&Json> = self.input.iter().collect();
        if !page.is_ascending {
            items.reverse();
        }
        let first = match &page.after {
            None => 0,
            Some(after) => {
                let place = items.iter().position(|item| id_of(item).as_deref() == Some(after.as_str()));
                place.ok_or_else(|| Fault::invalid("after", "names no item of this response"))? + 1
            }
        };
        let rest = items.get(first..).unwrap_or_default();
        let shown = rest.get(..page.limit).unwrap_or(rest);
        let id = |item: Option<&&Json>| item.and_then(|item| id_of(item));
        Ok(out::object(|out| {
            out.text("object", "list").list("data", |list| {
                for item in shown {
                    list.item_raw(item.as_str());
                }
            });
            out.text_or_null("first_id", id(shown.first()).as_deref());
            out.text_or_null("last_id", id(shown.last()).as_deref());
            out.boolean("has_more", rest.len() > shown.len());
        }))
    }

    fn output(&self) -> Vec<Json> {
        let response = Node::root(self.response.as_str()).object();
        response.map(|response| response.any_list("output").iter().map(Node::json).collect()).unwrap_or_default()
    }
}

/// Which part of a response's input is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemPage {
    limit: usize,
    is_ascending: bool,
    after: Option<String>,
}

impl ItemPage {
    /// Reads the query of a request, as pairs of names and values. What it does not know it leaves alone.
    ///
    /// # Errors
    /// `BadRequest` that names the parameter.
    pub fn from_query<'q>(pairs: impl Iterator<Item = (&'q str, &'q str)>) -> Outcome<Self> {
        let mut page = Self { limit: DEFAULT_LIMIT, is_ascending: false, after: None };
        for (name, value) in pairs {
            match name {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    let refused = || Fault::invalid("limit", format!("must be a whole number from 1 to {MAX_LIMIT}"));
                    page.limit = limit.ok_or_else(refused)?;
                }
                "order" => {
                    page.is_ascending = match value {
                        "asc" => true,
                        "desc" => false,
                        _ => return Err(Fault::invalid("order", "must be asc or desc")),
                    };
                }
                "after" => page.after = Some(value.to_owned()),
                "before" => return Err(Fault::invalid("before", "is not supported; use after and order")),
                _ => {}
            }
        }
        Ok(page)
    }
}

/// The items of a request's input as they are kept: messages in their long form, each item with an id, which names the
/// response `hex` where it is one of ours.
#[must_use]
pub fn kept_input(input: Option<&Node<'_>>, hex: &str) -> Vec<Json> {
    let Some(input) = input else { return Vec::new() };
    if input.is_text() {
        let content = out::object(|out| {
            out.text("type", "input_text").raw("text", input.raw());
        });
        let item = message(&own_id("msg", hex, 0), "user", &format!("[{content}]"), &[]);
        return Json::parse(item).into_iter().collect();
    }
    let items = input.list().unwrap_or_default();
    items.iter().enumerate().filter_map(|(index, item)| Json::parse(kept_item(item, hex, index))).collect()
}

fn kept_item(item: &Node<'_>, hex: &str, index: usize) -> String {
    let Ok(fields) = item.object() else { return item.raw().to_owned() };
    let kind = fields.any_text("type").unwrap_or_else(|| "message".to_owned());
    let id = fields.any_text("id").unwrap_or_else(|| own_id(prefix_of(&kind), hex, index));
    if kind == "message" {
        let role = fields.any_text("role").unwrap_or_default();
        let content = fields.get("content");
        let content = match &content {
            Some(text) if text.is_text() => {
                let part = out::object(|out| {
                    if role == "assistant" {
                        out.text("type", "output_text").list("annotations", |_| {}).raw("text", text.raw());
                    } else {
                        out.text("type", "input_text").raw("text", text.raw());
                    }
                });
                format!("[{part}]")
            }
            Some(list) => list.raw().to_owned(),
            None => "[]".to_owned(),
        };
        let others: Vec<_> = fields
            .iter()
            .filter(|(name, _)| !matches!(*name, "id" | "type" | "role" | "content" | "status"))
            .map(|(name, value)| (name.to_owned(), value.raw().to_owned()))
            .collect();
        return message(&id, &role, &content, &others);
    }
    if fields.has("id") {
        return item.raw().to_owned();
    }
    out::object(|out| {
        out.text("id", &id);
        for (name, value) in fields.iter().filter(|(name, _)| *name != "id") {
            out.raw(name, value.raw());
        }
    })
}

fn message(id: &str, role: &str, content: &str, others: &[(String, String)]) -> String {
    out::object(|out| {
        out.text("id", id).text("type", "message").text("status", "completed").text("role", role);
        out.raw("content", content);
        for (name, value) in others {
            out.raw(name, value);
        }
    })
}

fn prefix_of(kind: &str) -> &'static str {
    match kind {
        "message" => "msg",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "custom_tool_call" => "ctc",
        "custom_tool_call_output" => "ctco",
        "reasoning" => "rs",
        _ => "item",
    }
}

fn own_id(prefix: &str, hex: &str, index: usize) -> String {
    format!("{prefix}_{hex}_i{index}")
}

/// The 32 hexadecimal digits of the response that an id of ours belongs to: `<prefix>_<hex>_<place>`.
#[must_use]
pub fn response_of(item_id: &str) -> Option<&str> {
    let mut parts = item_id.split('_');
    let (_, hex, place) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hex = hex.len() == 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let place = place.strip_prefix('i').unwrap_or(place);
    let is_place = !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_digit());
    (is_hex && is_place && parts.next().is_none()).then_some(hex)
}

/// The id that an item refers to, if it is a reference: `{"type":"item_reference","id":…}`, or an id alone.
#[must_use]
pub fn reference_of(item: &Node<'_>) -> Option<String> {
    let fields = item.object().ok()?;
    let id = fields.any_text("id")?;
    match fields.any_text("type") {
        Some(kind) => (kind == ITEM_REFERENCE).then_some(id),
        None => (!fields.has("role") && !fields.has("content")).then_some(id),
    }
}

fn id_of(item: &Json) -> Option<String> {
    Node::root(item.as_str()).object().ok()?.any_text("id")
}

/// An item as the item of a new input. Nothing is kept at a provider, so items go by their content: the id stays only
/// with items that this gateway cannot read and whose provider gave it. Opaque state is tagged with who made it.
fn as_input(item: &str, origin: Option<&str>) -> Json {
    let rewritten = rewrite(item, &|data| {
        let Some(origin) = origin else { return Some(data.to_owned()) };
        Some(state::tagged(&state::read(data, Wire::Responses), origin))
    });
    Json::parse(rewritten.unwrap_or_else(|| item.to_owned())).unwrap_or_else(|| Json::of("null"))
}

/// The items of an input for one provider of this wire: tagged state goes back to its maker untagged, and to nobody else.
/// Answers the new list and whether reasoning was left out. `None` when the input is no list.
#[must_use]
pub fn untag(input: &Node<'_>, origin: &str) -> Option<(String, bool)> {
    let mut lost = false;
    let mut list = String::from("[");
    for item in input.list().ok()? {
        let for_maker = |data: &str| {
            let State { data, .. } = Some(state::read(data, Wire::Responses))
                .filter(|state| state::is_for(state, Wire::Responses, origin))?;
            Some(data)
        };
        let Some(rewritten) = rewrite(item.raw(), &for_maker) else {
            lost = true;
            continue;
        };
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(&rewritten);
    }
    list.push(']');
    Some((list, lost))
}

/// Writes an item anew with other state and without the ids that nobody needs. `None` when `change` leaves its state out.
fn rewrite(item: &str, change: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let Ok(fields) = Node::root(item).object() else { return Some(item.to_owned()) };
    let kind = fields.any_text("type").unwrap_or_else(|| "message".to_owned());
    let is_known = wire::ITEMS_BY_CONTENT.contains(&kind.as_str());
    let mut encrypted = None;
    if kind == "reasoning"
        && let Some(data) = fields.any_text("encrypted_content").filter(|data| !data.is_empty())
    {
        encrypted = Some(change(&data)?);
    }
    Some(out::object(|out| {
        for (name, value) in fields.iter() {
            match name {
                "id" if is_known || value.text().is_ok_and(|id| response_of(&id).is_some()) => {}
                "encrypted_content" if encrypted.is_some() => {
                    out.text_if(name, encrypted.as_deref());
                }
                "call_id" => match value.text() {
                    Ok(id) => {
                        out.text(name, state::read_id(&id).0);
                    }
                    Err(_) => {
                        out.raw(name, value.raw());
                    }
                },
                _ => {
                    out.raw(name, value.raw());
                }
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const HEX: &str = "0123456789abcdef0123456789abcdef";

    fn stored(input: &Value, output: &Value) -> Stored {
        let input = input.to_string();
        Stored {
            scope: "s".to_owned(),
            origin: "dep_1".to_owned(),
            response: Json::parse(json!({"id": format!("resp_{HEX}"), "output": output}).to_string()).unwrap(),
            input: kept_input(Some(&Node::root(&input)), HEX),
        }
    }

    fn values(items: &[Json]) -> Value {
        Value::from(items.iter().map(|item| item.read::<Value>().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn a_document_comes_back_as_it_was_written() {
        let kept = stored(&json!("Grüße"), &json!([{"type": "message", "id": "msg_1", "content": []}]));
        assert_eq!(Stored::read(&kept.write()), Some(kept));
        assert_eq!(Stored::read("{}"), None);
        assert_eq!(Stored::read("no json"), None);
    }

    #[test]
    fn input_is_kept_in_its_long_form_with_ids() {
        let id = |prefix: &str, index: u32| format!("{prefix}_{HEX}_i{index}");
        let text = |text: &str| json!([{"type": "input_text", "text": text}]);
        assert_eq!(
            values(&stored(&json!("hi"), &json!([])).input),
            json!([{"id": id("msg", 0), "type": "message", "status": "completed", "role": "user", "content": text("hi")}])
        );
        let input = json!([
            {"role": "developer", "content": "be brief"},
            {"role": "assistant", "content": "ok", "phase": "final_answer"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        ]);
        assert_eq!(
            values(&stored(&input, &json!([])).input),
            json!([
                {"id": id("msg", 0), "type": "message", "status": "completed", "role": "developer",
                 "content": text("be brief")},
                {"id": id("msg", 1), "type": "message", "status": "completed", "role": "assistant",
                 "content": [{"type": "output_text", "annotations": [], "text": "ok"}], "phase": "final_answer"},
                {"id": id("fc", 2), "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            ])
        );
    }

    #[test]
    fn the_context_of_the_next_request_is_input_and_output_with_tagged_state() {
        let output = json!([
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{\"z\": 1.0}"},
        ]);
        let context = stored(&json!("hi"), &output).context();
        assert_eq!(
            values(&context),
            json!([
                {"type": "message", "status": "completed", "role": "user",
                 "content": [{"type": "input_text", "text": "hi"}]},
                {"type": "reasoning", "summary": [], "encrypted_content": "ug1.r.s.dep_1.gAAA"},
                {"type": "web_search_call", "id": "ws_1", "status": "completed"},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"z\": 1.0}"},
            ])
        );
        let list = format!("[{}]", context.iter().map(Json::as_str).collect::<Vec<_>>().join(","));
        let (own, lost) = untag(&Node::root(&list), "dep_1").unwrap();
        assert!(own.contains(r#""encrypted_content":"gAAA""#) && !lost, "{own}");
        let (others, lost) = untag(&Node::root(&list), "dep_2").unwrap();
        assert!(!others.contains("reasoning") && others.contains("ws_1") && lost, "{others}");
    }

    #[test]
    fn items_are_found_by_their_ids() {
        let kept = stored(&json!("hi"), &json!([{"type": "message", "id": "msg_p", "content": []}]));
        assert_eq!(values(&[kept.find("msg_p").unwrap()]), json!([{"type": "message", "content": []}]));
        assert!(kept.find(&format!("msg_{HEX}_i0")).is_some());
        assert!(kept.find("msg_q").is_none());
        assert_eq!(kept.foreign_ids(), ["msg_p"]);
        for (id, own) in [
            (format!("msg_{HEX}_3"), true),
            (format!("fco_{HEX}_i12"), true),
            (format!("msg_{HEX}"), false),
            (format!("msg_{HEX}_x"), false),
            (format!("msg_{HEX}_1_2"), false),
            (format!("msg_{}_1", HEX.to_uppercase()), false),
            ("rs_1".to_owned(), false),
        ] {
            assert_eq!(response_of(&id).is_some(), own, "{id}");
        }
    }

    #[test]
    fn references_are_told_from_messages() {
        for (item, id) in [
            (json!({"type": "item_reference", "id": "a"}), Some("a")),
            (json!({"id": "a"}), Some("a")),
            (json!({"id": "a", "role": "user", "content": "x"}), None),
            (json!({"type": "message", "id": "a"}), None),
            (json!("a"), None),
        ] {
            let text = item.to_string();
            assert_eq!(reference_of(&Node::root(&text)).as_deref(), id, "{text}");
        }
    }

    #[test]
    fn pages_meet_every_item_once_in_either_order() {
        let input: Vec<Value> = (0..5).map(|n| json!({"role": "user", "content": n.to_string()})).collect();
        let kept = stored(&Value::from(input), &json!([]));
        for (order, expected) in [("asc", [0, 1, 2, 3, 4]), ("desc", [4, 3, 2, 1, 0])] {
            let (mut seen, mut after) = (Vec::new(), None::<String>);
            loop {
                let mut query = vec![("limit", "2"), ("order", order), ("include", "x")];
                query.extend(after.as_deref().map(|after| ("after", after)));
                let page = kept.page(&ItemPage::from_query(query.into_iter()).unwrap()).unwrap();
                let page: Value = serde_json::from_str(&page).unwrap();
                let data = page["data"].as_array().unwrap();
                assert_eq!((&page["object"], &page["first_id"]), (&json!("list"), &data[0]["id"]));
                seen.extend(data.iter().map(|item| item["content"][0]["text"].as_str().unwrap().to_owned()));
                after = Some(page["last_id"].as_str().unwrap().to_owned());
                if page["has_more"] == json!(false) {
                    break;
                }
            }
            assert_eq!(seen, expected.map(|n: u32| n.to_string()), "{order}");
        }
        let query = |name, value| ItemPage::from_query([(name, value)].into_iter());
        for (name, value) in [("limit", "0"), ("limit", "101"), ("limit", "x"), ("order", "up"), ("before", "a")] {
            assert_eq!(query(name, value).unwrap_err().at(), Some(name), "{name}={value}");
        }
        assert_eq!(kept.page(&query("after", "msg_x").unwrap()).unwrap_err().at(), Some("after"));
        assert_eq!(query("limit", "100").unwrap().limit, 100);
    }
}
