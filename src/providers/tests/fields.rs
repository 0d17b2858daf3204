//! What becomes of every field of the operations that are no text, at every provider and wire that serves them: each field is
//! asked for with and without, and what differs is written down in `docs/fields.md`. A field that vanishes without being named
//! fails the test. `UPDATE_FIXTURES=1` writes the page anew, for review.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::canonical::{BodyPart, Field, FieldValue, FileRef, Form, Operation, OperationProfile, Transport};
use crate::dialects::media::{Drawing, Found, MediaRecipient, Medium, PennedBody, Speech, Transcription};
use crate::dialects::question::{self, Question, Recipient};
use crate::fault::Outcome;
use crate::providers::Provider;
use crate::providers::compatible::TABLES;

/// Longest value that is shown.
const SHOWN: usize = 48;

/// An endpoint, as its page has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Contract {
    title: &'static str,
    operation: Operation,
    is_form: bool,
}

const fn contract(title: &'static str, operation: Operation, is_form: bool) -> Contract {
    Contract { title, operation, is_form }
}

const EMBEDDINGS: Contract = contract("embeddings", Operation::EmbeddingCreate, false);
const RERANK: Contract = contract("rerank", Operation::Rerank, false);
const MODERATIONS: Contract = contract("moderations", Operation::Moderate, false);
const GENERATIONS: Contract = contract("images/generations", Operation::ImageGenerate, false);
const EDITS: Contract = contract("images/edits, a form", Operation::ImageEdit, true);
const EDITS_IN_JSON: Contract = contract("images/edits, JSON", Operation::ImageEdit, false);
const TRANSCRIPTIONS: Contract = contract("audio/transcriptions", Operation::AudioTranscribe, true);
const TRANSLATIONS: Contract = contract("audio/translations", Operation::AudioTranscribe, true);
const SPEECH: Contract = contract("audio/speech", Operation::AudioSpeech, false);

const CONTRACTS: [Contract; 9] =
    [EMBEDDINGS, RERANK, MODERATIONS, GENERATIONS, EDITS, EDITS_IN_JSON, TRANSCRIPTIONS, TRANSLATIONS, SPEECH];

/// One field with one value.
struct Case {
    field: &'static str,
    value: Value,
    /// What else the request has to say for it to mean something.
    beside: Value,
    /// Whether it is for the gateway, which does it where the provider does not.
    is_ours: bool,
}

fn case(field: &'static str, value: Value) -> Case {
    Case { field, value, beside: json!({}), is_ours: false }
}

/// A field that the gateway acts on itself, or whose value says what holds without it.
fn ours(field: &'static str, value: Value) -> Case {
    Case { is_ours: true, ..case(field, value) }
}

fn beside(case: Case, beside: Value) -> Case {
    Case { beside, ..case }
}

/// The least that a request has to say.
fn base(contract: Contract) -> Value {
    let picture = "data:image/png;base64,iVBORw0KGgo=";
    match contract {
        EMBEDDINGS => json!({"model": "pub", "input": "a"}),
        RERANK => json!({"model": "pub", "query": "a", "documents": ["a", "b"]}),
        MODERATIONS => json!({"model": "pub", "input": "a"}),
        GENERATIONS => json!({"model": "pub", "prompt": "a"}),
        EDITS => json!({"model": "pub", "prompt": "a", "image": [{"file": "image/png"}]}),
        EDITS_IN_JSON => json!({"model": "pub", "prompt": "a", "images": [{"image_url": picture}]}),
        SPEECH => json!({"model": "pub", "input": "a", "voice": "v"}),
        _ => json!({"model": "pub", "file": {"file": "audio/wav"}}),
    }
}

fn cases(contract: Contract) -> Vec<Case> {
    let verbose = || json!({"response_format": "verbose_json"});
    match contract {
        EMBEDDINGS => vec![
            case("input", json!("b")),
            case("input", json!(["a", "b"])),
            case("input", json!([1, 2])),
            case("input", json!([[1, 2], [3]])),
            ours("encoding_format", json!("float")),
            ours("encoding_format", json!("base64")),
            case("dimensions", json!(256)),
            case("user", json!("u")),
            case("input_type", json!("query")),
            case("x_own", json!(1)),
        ],
        RERANK => vec![
            case("query", json!("b")),
            case("documents", json!(["b", "a"])),
            case("documents", json!([{"text": "b", "id": 7}, "a"])),
            case("top_n", json!(1)),
            ours("return_documents", json!(true)),
            case("max_tokens_per_doc", json!(512)),
            case("x_own", json!(1)),
        ],
        MODERATIONS => vec![
            case("input", json!("b")),
            case("input", json!(["a", "b"])),
            case("input", json!([{"type": "image_url", "image_url": {"url": "https://x"}}])),
            case("x_own", json!(1)),
        ],
        TRANSCRIPTIONS => {
            let mut cases = vec![
                case("language", json!("de")),
                case("prompt", json!("p")),
                case("temperature", json!("0.2")),
                beside(case("timestamp_granularities", json!(["word"])), verbose()),
                beside(ours("timestamp_granularities", json!(["segment"])), verbose()),
                ours("stream", json!("true")),
                case("include", json!(["logprobs"])),
                case("chunking_strategy", json!("auto")),
                case("keywords", json!(["k"])),
                case("languages", json!(["de", "en"])),
                case("known_speaker_names", json!(["n"])),
                case("known_speaker_references", json!(["r"])),
                case("x_own", json!("1")),
            ];
            cases.extend(formats());
            cases
        }
        TRANSLATIONS => {
            let mut cases =
                vec![case("prompt", json!("p")), case("temperature", json!("0.2")), case("x_own", json!("1"))];
            cases.extend(formats());
            cases
        }
        SPEECH => vec![
            case("input", json!("b")),
            case("voice", json!("w")),
            case("voice", json!({"id": "w"})),
            case("instructions", json!("slowly")),
            ours("response_format", json!("mp3")),
            case("response_format", json!("opus")),
            case("response_format", json!("aac")),
            case("response_format", json!("flac")),
            ours("response_format", json!("wav")),
            ours("response_format", json!("pcm")),
            case("speed", json!(1.5)),
            ours("stream_format", json!("sse")),
            case("x_own", json!(1)),
        ],
        _ => images(contract),
    }
}

/// Formats of transcripts: what a provider lacks is made here, or refused.
fn formats() -> Vec<Case> {
    ["json", "text", "srt", "vtt", "verbose_json", "diarized_json"]
        .map(|format| ours("response_format", json!(format)))
        .into()
}

fn images(contract: Contract) -> Vec<Case> {
    let number = |n: u64| if contract.is_form { json!(n.to_string()) } else { json!(n) };
    let yes = if contract.is_form { json!("true") } else { json!(true) };
    let mut cases = vec![
        case("prompt", json!("b")),
        case("n", number(2)),
        case("size", json!("1024x1024")),
        case("size", json!("1536x864")),
        case("size", json!("2048x2048")),
        case("size", json!("4096x4096")),
        ours("size", json!("auto")),
        case("quality", json!("high")),
        ours("quality", json!("auto")),
        ours("response_format", json!("b64_json")),
        case("response_format", json!("url")),
        case("output_format", json!("jpeg")),
        case("output_format", json!("webp")),
        beside(case("output_compression", number(80)), json!({"output_format": "jpeg"})),
        case("background", json!("transparent")),
        case("moderation", json!("low")),
        case("style", json!("vivid")),
        case("user", json!("u")),
        case("safety_identifier", json!("s")),
        case("person_generation", json!("allow_adult")),
        ours("stream", yes.clone()),
        // Where content is streamed the gateway makes them of what comes.
        beside(ours("partial_images", number(2)), json!({"stream": yes})),
        case("x_own", json!("1")),
    ];
    let picture = |name: &str| json!({"image_url": format!("data:image/png;base64,{name}")});
    match contract {
        EDITS => cases.extend([
            case("image", json!([{"file": "image/png"}, {"file": "image/webp"}])),
            case("mask", json!({"file": "image/png"})),
            case("input_fidelity", json!("high")),
        ]),
        EDITS_IN_JSON => cases.extend([
            case("images", json!([picture("iVBORw0KGgo="), picture("AAAA")])),
            case("images", json!([{"image_url": "https://example.com/a.png"}])),
            case("images", json!([{"file_id": "file-1"}])),
            case("mask", picture("BBBB")),
            case("input_fidelity", json!("high")),
        ]),
        _ => {}
    }
    cases
}

/// A request, as the gateway reads it.
enum Asked {
    Question(Box<dyn Question>),
    Medium(Box<dyn Medium>),
}

fn read(contract: Contract, body: &Value) -> Outcome<Asked> {
    let bytes = || Bytes::from(body.to_string());
    let medium: Box<dyn Medium> = match contract {
        GENERATIONS => Box::new(Drawing::of_text(bytes())?),
        EDITS => Box::new(Drawing::of_form(form(body))?),
        EDITS_IN_JSON => Box::new(Drawing::of_images(bytes())?),
        SPEECH => Box::new(Speech::scan(bytes())?),
        TRANSCRIPTIONS | TRANSLATIONS => Box::new(Transcription::read(form(body), contract == TRANSLATIONS)?),
        _ => return question::scan(contract.operation, bytes()).map(Asked::Question),
    };
    Ok(Asked::Medium(medium))
}

fn form(body: &Value) -> Form {
    let mut fields = Vec::new();
    let mut add = |name: String, value: &Value| {
        let value = match value {
            Value::Object(file) => {
                let media_type = file["file"].as_str().unwrap().to_owned().leak();
                FieldValue::File(FileRef { place: 0, name: "a".to_owned(), media_type, bytes: 9 })
            }
            value => FieldValue::Text(value.as_str().unwrap().to_owned()),
        };
        fields.push(Field { name, value });
    };
    for (name, value) in body.as_object().unwrap() {
        match value.as_array() {
            Some(items) => items.iter().for_each(|item| add(format!("{name}[]"), item)),
            None => add(name.clone(), value),
        }
    }
    Form { fields }
}

/// What a provider gets, and what is named as left out.
fn written(asked: &Asked, provider: &Provider, transport: Transport) -> Outcome<(Value, Vec<String>)> {
    let profile = OperationProfile::default();
    match asked {
        Asked::Question(asked) => {
            let to = Recipient { transport, model: "up", profile: &profile, ways: &provider.ways, forwards: false };
            let posed = asked.write(&to)?;
            let body = serde_json::from_slice(&posed.sends[0].body.concat()).unwrap();
            Ok((body, posed.dropped.iter().map(ToString::to_string).collect()))
        }
        Asked::Medium(asked) => {
            let to = MediaRecipient { transport, model: "up", profile: &profile, ways: &provider.media, now: 0 };
            // What a provider does not read at its URL is fetched first.
            let found = |url| Found { url, media_type: "image/png", content: Bytes::from_static(b"FETCHED") };
            let fetched: Vec<Found> = asked.urls().into_iter().map(found).collect();
            let penned =
                if asked.reads_urls(&to) { asked.write(&to) } else { asked.with_pictures(&fetched).write(&to) }?;
            let mut body = seen(&penned.body);
            if let (true, Some(members)) = (asked.asks_stream(&to), body.as_object_mut()) {
                members.insert("(streamed)".to_owned(), json!(true));
            }
            Ok((body, penned.dropped.iter().map(ToString::to_string).collect()))
        }
    }
}

fn seen(body: &PennedBody) -> Value {
    match body {
        PennedBody::Form(form) => {
            let mut members: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for field in &form.fields {
                let value = match &field.value {
                    FieldValue::Text(text) => json!(text),
                    FieldValue::File(file) => json!({"file": file.media_type}),
                    FieldValue::Inline { media_type, content, .. } => {
                        json!({"file": media_type, "bytes": content.len()})
                    }
                };
                members.entry(field.name.clone()).or_default().push(value);
            }
            let member = |(name, mut values): (String, Vec<Value>)| match name.strip_suffix("[]") {
                None if values.len() == 1 => (name, values.remove(0)),
                None => (name, json!(values)),
                Some(base) => (base.to_owned(), json!(values)),
            };
            Value::Object(members.into_iter().map(member).collect::<Map<_, _>>())
        }
        PennedBody::Json(parts) => {
            let bytes = parts.iter().flat_map(|part| match part {
                BodyPart::Bytes(bytes) => bytes.to_vec(),
                BodyPart::File(_) => panic!("a bare file in JSON"),
                BodyPart::Base64(_) => b"FILE".to_vec(),
            });
            serde_json::from_slice(&bytes.collect::<Vec<u8>>()).unwrap()
        }
    }
}

/// Members that differ: their paths, and their values in the first; `None`: they are gone there.
fn compare(with: &Value, without: &Value, path: &str, found: &mut Vec<(String, Option<Value>)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (with, without) {
        (Value::Object(with), Value::Object(without)) => {
            let names: BTreeSet<&String> = with.keys().chain(without.keys()).collect();
            for name in names {
                match (with.get(name), without.get(name)) {
                    (Some(a), Some(b)) => compare(a, b, &below(name), found),
                    (a, _) => found.push((below(name), a.cloned())),
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() && a.iter().any(Value::is_object) => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                compare(a, b, &format!("{path}[{at}]"), found);
            }
        }
        (a, b) if a == b => {}
        (a, _) => found.push((path.to_owned(), Some(a.clone()))),
    }
}

/// What becomes of a field, in words; `Err`: it vanishes.
fn fate(contract: Contract, case: &Case, provider: &Provider, transport: Transport) -> Result<String, String> {
    let mut without = base(contract);
    let members = without.as_object_mut().unwrap();
    members.extend(case.beside.as_object().unwrap().clone());
    let mut with = without.clone();
    with[case.field] = case.value.clone();
    let asked = read(contract, &with).and_then(|asked| written(&asked, provider, transport));
    let (with, named) = match asked {
        Ok(written) => written,
        Err(fault) => return Ok(format!("refused: `{}`", fault.at().unwrap_or("?"))),
    };
    let plain = read(contract, &without).and_then(|asked| written(&asked, provider, transport));
    // What goes with it may be refused where it is not.
    let (without, named_anyway) = plain.unwrap_or_else(|_| (base(contract), Vec::new()));
    let mut changes = Vec::new();
    compare(&with, &without, "", &mut changes);
    let is_named = named.iter().any(|name| name == case.field && !named_anyway.contains(name));
    let mut words = Vec::new();
    for (path, value) in &changes {
        words.push(match value {
            Some(value) if path == case.field && *value == case.value => "kept".to_owned(),
            Some(value) => {
                let shown: String = value.to_string().replace('|', "\\|").chars().take(SHOWN).collect();
                format!("`{path}: {shown}`")
            }
            None => format!("without `{path}`"),
        });
    }
    if is_named {
        words.push("dropped".to_owned());
    }
    match words.is_empty() {
        false => Ok(words.join(", ")),
        true if case.is_ours => Ok("–".to_owned()),
        true => Err(format!("{}: `{}` = {} vanishes", contract.title, case.field, case.value)),
    }
}

/// The table of a contract: presets with the same column share it.
fn table(contract: Contract, wrong: &mut Vec<String>) -> String {
    let cases = cases(contract);
    let mut columns: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for provider in TABLES.iter().flat_map(|rows| rows.iter()) {
        let spoken = provider.transports.iter().find(|(operation, _)| *operation == contract.operation);
        let wires = spoken.map_or(&[][..], |(_, wires)| wires);
        for wire in wires {
            let label = if wires.len() > 1 { format!("{} ({wire})", provider.name) } else { provider.name.to_owned() };
            let column = cases.iter().map(|case| {
                fate(contract, case, provider, *wire).unwrap_or_else(|problem| {
                    wrong.push(format!("{label}: {problem}"));
                    "LOST".to_owned()
                })
            });
            let column: Vec<String> = column.collect();
            match columns.iter_mut().find(|(_, known)| *known == column) {
                Some((labels, _)) => labels.push(label),
                None => columns.push((vec![label], column)),
            }
        }
    }
    let mut page = format!("\n## {}\n\n", contract.title);
    let letters: Vec<char> = ('A'..='Z').take(columns.len()).collect();
    for (letter, (labels, _)) in letters.iter().zip(&columns) {
        writeln!(page, "- {letter}: `{}`", labels.join("`, `")).unwrap();
    }
    let heads: Vec<String> = letters.iter().map(char::to_string).collect();
    writeln!(page, "\n| field | {} |", heads.join(" | ")).unwrap();
    writeln!(page, "|---|{}", "---|".repeat(columns.len())).unwrap();
    for (at, case) in cases.iter().enumerate() {
        let shown: String = case.value.to_string().chars().take(SHOWN).collect();
        let cells: Vec<&str> = columns.iter().map(|(_, column)| column[at].as_str()).collect();
        writeln!(page, "| `{}: {shown}` | {} |", case.field, cells.join(" | ")).unwrap();
    }
    page
}

const HEAD: &str = "# Fields of embeddings, rankings, moderations, images and sound

What becomes of each request field at each provider, as a test finds it: every field is asked for with and without, and what
differs in the provider's request is written here. Presets that do the same share a column. For text see
[Fidelity](fidelity.md).

| word | meaning |
|---|---|
| kept | arrives under its own name with its own value |
| `name: value` | arrives so; `(streamed)` is a stream that is asked for in the path or the body |
| dropped | does not arrive, or not all of it, and is named in `x-unified-dropped`; refused with `x-unified-strict: true` |
| refused | the request is refused before any call, with this `param`; another deployment may take it |
| – | nothing to send: the gateway does it itself, or it says what holds without it |

Models are those of which nothing is known: what the [catalog](catalog.md) knows a model not to take is refused besides.
`x_own` stands for any field that is not in the contract.
";

#[expect(clippy::disallowed_methods, reason = "a switch for people, not a setting")]
fn wants_update() -> bool {
    std::env::var_os("UPDATE_FIXTURES").is_some()
}

#[test]
fn every_field_arrives_or_is_named_or_refused_at_every_provider() {
    let mut wrong = Vec::new();
    let mut page = HEAD.to_owned();
    for contract in CONTRACTS {
        page.push_str(&table(contract, &mut wrong));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fields.md");
    if wants_update() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/fields.md is not what happens; UPDATE_FIXTURES=1 writes it anew");
}
