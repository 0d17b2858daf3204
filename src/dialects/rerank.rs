//! Rerankings: documents ordered by how relevant they are to a query. One wire, in which hosts differ by a few names:
//! <https://docs.cohere.com/reference/rerank>, <https://api.jina.ai/redoc#tag/rerank>,
//! <https://docs.voyageai.com/reference/reranker-api>, <https://openrouter.ai/docs/api-reference/rerank>,
//! <https://docs.vllm.ai/en/latest/serving/openai_compatible_server/#re-rank-api>.
//!
//! Results are checked before the client sees them, and documents come from the request, not from the provider.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::native::{NativeReply, ReplyError};
use super::out::{Out, object};
use super::question::{Answered, Posed, Question, Recipient, Sending, error_in, field, place_in, scan_model};
use super::raw::{RawObject, json_string, malformed};
use crate::canonical::{Operation, TokenUsage, Transport};
use crate::fault::{Fault, Outcome};

const KNOWN: [&str; 6] = ["model", "query", "documents", "top_n", "return_documents", "max_tokens_per_doc"];
/// <https://docs.cohere.com/docs/reranking-best-practices>: documents of one request.
const MOST_DOCUMENTS: usize = 10_000;
/// <https://cohere.com/pricing>: a search unit is a query with up to 100 documents; longer ones than 500 tokens, query
/// included, count as several.
const DOCUMENTS_PER_UNIT: u64 = 100;
const TOKENS_PER_CHUNK: u64 = 500;
/// Few bytes for a token, so that units are not underestimated.
const BYTES_PER_TOKEN: u64 = 3;

/// Tokens of a document that are read at most; a field of Cohere's.
const BOUND: &str = "max_tokens_per_doc";

/// A client's request for a reranking.
#[derive(Debug)]
pub struct Reranking {
    raw: RawObject,
    model: String,
    query: String,
    documents: Vec<Document>,
    top_n: Option<usize>,
    returns_documents: bool,
}

/// A document as it was written.
#[derive(Debug, Clone)]
enum Document {
    /// A string.
    Text(Bytes),
    /// An object with a text and nothing else that counts: the object, and the text.
    Object(Bytes, String),
    /// Something else, such as a picture.
    Other(Bytes),
}

impl Document {
    fn raw(&self) -> &str {
        let (Self::Text(raw) | Self::Object(raw, _) | Self::Other(raw)) = self;
        std::str::from_utf8(raw).unwrap_or("null")
    }
}

#[derive(Deserialize)]
struct TextObject {
    text: String,
}

/// Scans a client's request.
///
/// # Errors
/// `InvalidJson`, or `BadRequest` that names the field.
pub fn scan(body: Bytes) -> Outcome<Reranking> {
    let raw = RawObject::scan_request(body, &KNOWN)?;
    let model = scan_model(&raw)?;
    let query: Option<String> = field(&raw, "query", "a string")?;
    let query = query.ok_or_else(|| Fault::invalid("query", "is required"))?;
    let top_n: Option<usize> = field(&raw, "top_n", "a whole number above 0")?;
    if top_n == Some(0) {
        return Err(Fault::invalid("top_n", "must be a whole number above 0, is 0"));
    }
    let returns_documents = field(&raw, "return_documents", "true or false")?.unwrap_or(false);
    let documents = documents(&raw)?;
    Ok(Reranking { raw, model, query, documents, top_n, returns_documents })
}

fn documents(raw: &RawObject) -> Outcome<Vec<Document>> {
    let items: Option<Vec<&RawValue>> = field(raw, "documents", "an array of documents")?;
    let items = items.filter(|items| !items.is_empty());
    let items = items.ok_or_else(|| Fault::invalid("documents", "must hold at least one document"))?;
    if items.len() > MOST_DOCUMENTS {
        let sentence = format!("must hold at most {MOST_DOCUMENTS} documents, holds {}", items.len());
        return Err(Fault::invalid("documents", sentence));
    }
    let read = |(at, item): (usize, &&RawValue)| {
        let place = place_in(raw.bytes(), item.get().as_bytes());
        match item.get().as_bytes().first() {
            Some(b'"') => Ok(Document::Text(place)),
            Some(b'{') => Ok(match serde_json::from_str::<TextObject>(item.get()) {
                Ok(object) => Document::Object(place, object.text),
                Err(_) => Document::Other(place),
            }),
            _ => Err(Fault::invalid(format!("documents[{at}]"), "must be a string or an object")),
        }
    };
    items.iter().enumerate().map(read).collect()
}

impl Reranking {
    /// How many results there have to be.
    fn wanted(&self) -> usize {
        self.top_n.map_or(self.documents.len(), |most| most.min(self.documents.len()))
    }

    /// Search units, as Cohere counts them.
    fn units(&self) -> u64 {
        let query = self.query.len() as u64;
        let chunks = |document: &Document| {
            let tokens = (document.raw().len() as u64).saturating_add(query).div_ceil(BYTES_PER_TOKEN);
            tokens.div_ceil(TOKENS_PER_CHUNK)
        };
        self.documents.iter().map(chunks).sum::<u64>().div_ceil(DOCUMENTS_PER_UNIT)
    }
}

impl Question for Reranking {
    fn operation(&self) -> Operation {
        Operation::Rerank
    }

    fn contract(&self) -> &'static str {
        "rerank"
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn bytes(&self) -> &Bytes {
        self.raw.bytes()
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::Rerank]
    }

    fn write(&self, to: &Recipient<'_>) -> Outcome<Posed> {
        let mut splice = self.raw.splice();
        splice.set("model", json_string(to.model));
        if let Some(most) = self.top_n.filter(|_| to.ways.top_n != "top_n") {
            splice.remove("top_n");
            splice.set(to.ways.top_n, Bytes::from(most.to_string()));
        }
        // The client gets its own documents; they need not come back.
        if to.ways.takes_return_documents {
            splice.set("return_documents", Bytes::from_static(b"false"));
        } else {
            splice.remove("return_documents");
        }
        if self.documents.iter().any(|document| matches!(document, Document::Object(..))) {
            splice.set("documents", Bytes::from(self.plain_documents()));
        }
        let mut dropped = Vec::new();
        let bound = self.raw.get(BOUND).filter(|json| *json != b"null");
        if bound.is_some() && !to.ways.takes_max_tokens_per_doc && !to.forwards {
            splice.remove(BOUND);
            dropped.push(super::dropped(BOUND));
        }
        Ok(Posed { sends: vec![Sending::json(splice.finish())], dropped })
    }

    fn read(&self, from: &Recipient<'_>, answers: Vec<Answered>) -> Result<NativeReply, ReplyError> {
        let body = answers.into_iter().next().unwrap_or_default().body;
        let raw = RawObject::scan(body).map_err(|error| ReplyError::Malformed(malformed(&error)))?;
        let member = if raw.get("data").is_some() { "data" } else { "results" };
        if let Some(error) = error_in(from.transport, &raw, member) {
            return Err(ReplyError::Provider(Box::new(error)));
        }
        let results: Option<Vec<Ranked>> =
            raw.read(member).map_err(|_| ReplyError::Malformed("the results cannot be read"))?;
        let results = self.check(results.unwrap_or_default())?;
        let usage = usage_of(&raw);
        Ok(NativeReply { body: vec![self.compose(&raw, &results, usage)], usage, ..NativeReply::default() })
    }

    fn expects(&self, input: u64, by_units: bool) -> TokenUsage {
        // The query is read with every document.
        let again = (self.query.len() as u64).saturating_mul(self.documents.len() as u64) / BYTES_PER_TOKEN;
        if by_units {
            return TokenUsage { search_units: self.units(), ..TokenUsage::default() };
        }
        TokenUsage { input: input.saturating_add(again), ..TokenUsage::default() }
    }

    /// Documents that share more words with the query come first.
    fn echo(&self) -> Bytes {
        let words = |text: &str| text.to_lowercase().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let query = words(&self.query);
        let score = |document: &Document| {
            let known = words(document.raw());
            let shared = query.iter().filter(|word| known.iter().any(|other| other.contains(*word))).count();
            shared as f64 / (query.len().max(1)) as f64
        };
        let mut results: Vec<Ranked> = self
            .documents
            .iter()
            .enumerate()
            .map(|(index, document)| Ranked { index, relevance_score: score(document) })
            .collect();
        results.sort_by(|one, other| other.relevance_score.total_cmp(&one.relevance_score));
        results.truncate(self.wanted());
        let json = object(|out| {
            out.list("results", |list| {
                for ranked in &results {
                    list.item(|item| ranked.write(item));
                }
            });
            out.object("meta", |meta| {
                meta.object("billed_units", |billed| {
                    billed.number("search_units", self.units());
                });
            });
        });
        json.into()
    }
}

/// One result.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Ranked {
    index: usize,
    relevance_score: f64,
}

impl Ranked {
    fn write(&self, item: &mut Out<'_>) {
        item.number("index", self.index as u64);
        item.raw("relevance_score", &serde_json::Value::from(self.relevance_score).to_string());
    }
}

impl Reranking {
    /// Every result names another document of the request, in order, and there are as many as were asked for.
    fn check(&self, mut results: Vec<Ranked>) -> Result<Vec<Ranked>, ReplyError> {
        if results.len() != self.wanted() {
            return Err(ReplyError::Malformed("there are more or fewer results than were asked for"));
        }
        let mut seen = vec![false; self.documents.len()];
        for ranked in &results {
            match seen.get_mut(ranked.index) {
                Some(seen) if !*seen => *seen = true,
                Some(_) => return Err(ReplyError::Malformed("a document is ranked twice")),
                None => return Err(ReplyError::Malformed("a result names a document that was not sent")),
            }
        }
        if results.iter().any(|ranked| !ranked.relevance_score.is_finite()) {
            return Err(ReplyError::Malformed("a score is no number"));
        }
        results.sort_by(|one, other| other.relevance_score.total_cmp(&one.relevance_score));
        Ok(results)
    }

    /// Documents as strings, which all hosts take.
    fn plain_documents(&self) -> String {
        let mut json = String::from("[");
        for (at, document) in self.documents.iter().enumerate() {
            if at > 0 {
                json.push(',');
            }
            match document {
                Document::Object(_, text) => json.push_str(&super::out::quoted(text)),
                Document::Text(_) | Document::Other(_) => json.push_str(document.raw()),
            }
        }
        json.push(']');
        json
    }

    fn compose(&self, raw: &RawObject, results: &[Ranked], usage: Option<TokenUsage>) -> Bytes {
        let json = object(|out| {
            out.text_if("id", raw.read::<String>("id").ok().flatten().as_deref());
            out.text("model", &self.model).list("results", |list| {
                for ranked in results {
                    list.item(|item| {
                        ranked.write(item);
                        if let Some(document) = self.documents.get(ranked.index).filter(|_| self.returns_documents) {
                            match document {
                                Document::Text(_) => {
                                    item.object("document", |out| {
                                        out.raw("text", document.raw());
                                    });
                                }
                                Document::Object(..) | Document::Other(_) => {
                                    item.raw("document", document.raw());
                                }
                            }
                        }
                    });
                }
            });
            let usage = usage.unwrap_or_default();
            out.object("meta", |meta| {
                meta.object("api_version", |version| {
                    version.text("version", "2");
                });
                meta.object("billed_units", |billed| {
                    if usage.search_units > 0 {
                        billed.number("search_units", usage.search_units);
                    }
                    if usage.input > 0 {
                        billed.number("input_tokens", usage.input);
                    }
                });
            });
            out.object("usage", |out| {
                out.number("total_tokens", usage.input);
                if usage.search_units > 0 {
                    out.number("search_units", usage.search_units);
                }
            });
        });
        json.into()
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Meta {
    billed_units: Option<Billed>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Billed {
    search_units: Option<f64>,
    input_tokens: Option<f64>,
    total_tokens: Option<f64>,
    prompt_tokens: Option<f64>,
}

/// What it used, as far as the provider says so: in `meta.billed_units` or in `usage`.
fn usage_of(raw: &RawObject) -> Option<TokenUsage> {
    let meta = raw.read::<Meta>("meta").ok().flatten().and_then(|meta| meta.billed_units);
    let billed = meta.or_else(|| raw.read::<Billed>("usage").ok().flatten())?;
    let whole = |number: Option<f64>| number.filter(|number| *number > 0.0).map(|number| number.ceil() as u64);
    let input = whole(billed.input_tokens).or(whole(billed.total_tokens)).or(whole(billed.prompt_tokens));
    let units = whole(billed.search_units);
    if input.is_none() && units.is_none() {
        return None;
    }
    let (input, search_units) = (input.unwrap_or_default(), units.unwrap_or_default());
    Some(TokenUsage { input, search_units, ..TokenUsage::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::OperationProfile;
    use crate::dialects::question::Ways;
    use crate::dialects::raw::join;
    use serde_json::{Value, json};

    fn ask(body: &Value) -> Reranking {
        scan(Bytes::from(body.to_string())).unwrap()
    }

    fn three() -> Value {
        json!({"model": "m", "query": "q", "documents": ["a", {"text": "b", "id": 7}, "c"]})
    }

    fn with<T>(ways: Ways, run: impl FnOnce(&Recipient<'_>) -> T) -> T {
        let profile = OperationProfile::default();
        let to =
            Recipient { transport: Transport::Rerank, model: "up", profile: &profile, ways: &ways, forwards: false };
        run(&to)
    }

    fn read(body: &Value, answer: &Value) -> Result<Value, ReplyError> {
        let answers = vec![Answered { body: Bytes::from(answer.to_string()), media_type: None }];
        let reply = with(Ways::HOST, |from| ask(body).read(from, answers))?;
        Ok(serde_json::from_slice(&join(&reply.body)).unwrap())
    }

    #[test]
    fn what_is_no_request_is_refused_by_its_field() {
        for (field, value, param) in [
            ("model", json!(null), "model"),
            ("query", json!(null), "query"),
            ("query", json!(7), "query"),
            ("documents", json!([]), "documents"),
            ("documents", json!("a"), "documents"),
            ("documents", json!(["a", 7]), "documents[1]"),
            ("documents", json!(vec!["a"; 10_001]), "documents"),
            ("top_n", json!(0), "top_n"),
            ("top_n", json!(1.5), "top_n"),
            ("return_documents", json!("yes"), "return_documents"),
        ] {
            let mut body = three();
            body[field] = value;
            let fault = scan(Bytes::from(body.to_string())).unwrap_err();
            assert_eq!(fault.at(), Some(param), "{field}");
        }
    }

    #[test]
    fn hosts_are_told_in_their_own_words() {
        let mut body = three();
        body["top_n"] = json!(2);
        body["return_documents"] = json!(true);
        body["max_tokens_per_doc"] = json!(512);
        let sent = |ways| -> Value {
            let posed = with(ways, |to| ask(&body).write(to)).unwrap();
            serde_json::from_slice(&join(&posed.sends[0].body)).unwrap()
        };
        let mut plain = json!({"model": "up", "query": "q", "documents": ["a", "b", "c"], "top_n": 2});
        assert_eq!(sent(Ways::HOST), plain);
        plain["max_tokens_per_doc"] = json!(512);
        assert_eq!(sent(Ways { takes_max_tokens_per_doc: true, ..Ways::HOST }), plain);
        let voyage = sent(Ways { top_n: "top_k", takes_return_documents: true, ..Ways::HOST });
        assert_eq!(
            (&voyage["top_k"], &voyage["top_n"], &voyage["return_documents"]),
            (&json!(2), &json!(null), &json!(false))
        );
    }

    #[test]
    fn results_are_in_order_with_the_clients_own_documents() {
        let mut body = three();
        body["top_n"] = json!(2);
        body["return_documents"] = json!(true);
        let results = json!([{"index": 2, "relevance_score": 0.25, "document": {"text": "of the provider"}},
            {"index": 1, "relevance_score": 0.75}]);
        let answer = json!({"id": "x", "results": results, "meta": {"billed_units": {"search_units": 1}}});
        let read_answer = read(&body, &answer).unwrap();
        assert_eq!(
            read_answer["results"],
            json!([{"index": 1, "relevance_score": 0.75, "document": {"text": "b", "id": 7}},
                {"index": 2, "relevance_score": 0.25, "document": {"text": "c"}}])
        );
        assert_eq!((&read_answer["id"], &read_answer["model"]), (&json!("x"), &json!("m")));
        assert_eq!(read_answer["meta"]["billed_units"], json!({"search_units": 1}));
        let voyage = json!({"object": "list", "data": results, "usage": {"total_tokens": 26}});
        assert_eq!(read(&body, &voyage).unwrap()["usage"], json!({"total_tokens": 26}));
    }

    #[test]
    fn results_that_are_none_are_told_apart() {
        let result = |index: Value, score: Value| json!({"index": index, "relevance_score": score});
        let one = |index| result(json!(index), json!(0.5));
        for results in [
            json!([one(0), one(1)]),
            json!([one(0), one(1), one(1)]),
            json!([one(0), one(1), one(3)]),
            json!([one(0), one(1), result(json!(2), json!(null))]),
            json!([one(0), one(1), result(json!(-1), json!(0.5))]),
            json!({}),
        ] {
            let read = read(&three(), &json!({"results": results}));
            assert!(matches!(read, Err(ReplyError::Malformed(_))), "{results}: {read:?}");
        }
        let stated = read(&three(), &json!({"message": "no"}));
        assert!(matches!(&stated, Err(ReplyError::Provider(error)) if error.message == "no"), "{stated:?}");
    }

    #[test]
    fn search_units_count_long_documents_several_times() {
        let units = |documents: Vec<String>| {
            ask(&json!({"model": "m", "query": "q", "documents": documents})).expects(0, true).search_units
        };
        assert_eq!(units(vec!["short".to_owned(); 100]), 1);
        assert_eq!(units(vec!["short".to_owned(); 101]), 2);
        assert_eq!(units(vec!["long ".repeat(400); 100]), 2);
        assert_eq!(ask(&three()).expects(9, false), TokenUsage { input: 10, ..TokenUsage::default() });
    }

    #[test]
    fn the_built_in_answer_is_one_that_passes() {
        let body = json!({"model": "m", "query": "High tide", "documents": ["low", "the tide is high"], "top_n": 1});
        let echoed: Value = serde_json::from_slice(&ask(&body).echo()).unwrap();
        assert_eq!(read(&body, &echoed).unwrap()["results"], json!([{"index": 1, "relevance_score": 1.0}]));
    }
}
