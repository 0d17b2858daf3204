//! What is asked for beside text: each endpoint over each wire of providers, in every mode. A row is a request, what the
//! provider is sent, what it answers and what the client reads; `make matrix` prints how many rows pass. A new operation
//! adds its rows to [`ROWS`].

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use crate::canonical::{Operation, OperationProfile, Transport};
use crate::dialects::question::{Answered, FormatField, Recipient, Ways, scan};
use crate::dialects::raw::join;

/// One case.
struct Row {
    operation: Operation,
    wire: Transport,
    /// How the answer is wanted.
    mode: &'static str,
    ways: Ways,
    request: &'static str,
    /// One for each call.
    sent: &'static [&'static str],
    answers: &'static [&'static str],
    read: &'static str,
}

const fn row(operation: Operation, wire: Transport, mode: &'static str) -> Row {
    Row { operation, wire, mode, ways: Ways::HOST, request: "", sent: &[], answers: &[], read: "" }
}

const FLOATS: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,-2.5]}],"model":"pub","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
const BASE64: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAIMA="}],"model":"pub","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
const OPENAI_FLOATS: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,-2.5]}],"model":"up","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
const OPENAI_BASE64: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPwAAIMA="}],"model":"up","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
const ASKS_FLOATS: &str = r#"{"model":"pub","input":["a"],"encoding_format":"float"}"#;
const ASKS_BASE64: &str = r#"{"model":"pub","input":["a"],"encoding_format":"base64"}"#;
const GOOGLE: &str = r#"{"requests":[{"model":"models/up","content":{"parts":[{"text":"a"}]}}]}"#;
const GOOGLE_ANSWER: &str = r#"{"embeddings":[{"values":[1.0,-2.5]}],"usageMetadata":{"promptTokenCount":3}}"#;
const ASKS_RANKS: &str = r#"{"model":"pub","query":"q","documents":["a","b"],"top_n":1,"return_documents":true}"#;
const TOKENS: &str = r#"{"model":"pub","results":[{"index":1,"relevance_score":0.5,"document":{"text":"b"}}],"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":26}},"usage":{"total_tokens":26}}"#;

const ROWS: &[Row] = &[
    Row {
        ways: Ways::REFERENCE,
        request: ASKS_FLOATS,
        sent: &[r#"{"model":"up","input":["a"],"encoding_format":"float"}"#],
        answers: &[OPENAI_FLOATS],
        read: FLOATS,
        ..row(Operation::EmbeddingCreate, Transport::Embeddings, "float")
    },
    Row {
        ways: Ways::REFERENCE,
        request: ASKS_BASE64,
        sent: &[r#"{"model":"up","input":["a"],"encoding_format":"base64"}"#],
        answers: &[OPENAI_BASE64],
        read: BASE64,
        ..row(Operation::EmbeddingCreate, Transport::Embeddings, "base64")
    },
    // A host whose format is not known, and one that has a word for one of them.
    Row {
        request: ASKS_BASE64,
        sent: &[r#"{"model":"up","input":["a"]}"#],
        answers: &[OPENAI_FLOATS],
        read: BASE64,
        ..row(Operation::EmbeddingCreate, Transport::Embeddings, "base64")
    },
    Row {
        ways: Ways { format: FormatField::OnlyBase64, ..Ways::HOST },
        request: ASKS_FLOATS,
        sent: &[r#"{"model":"up","input":["a"]}"#],
        answers: &[OPENAI_FLOATS],
        read: FLOATS,
        ..row(Operation::EmbeddingCreate, Transport::Embeddings, "float")
    },
    Row {
        ways: Ways { dimensions: "output_dimension", refuses: &["user"], ..Ways::HOST },
        request: r#"{"model":"pub","input":"a","dimensions":2,"user":"u"}"#,
        sent: &[r#"{"model":"up","input":"a","output_dimension":2}"#],
        answers: &[OPENAI_FLOATS],
        read: FLOATS,
        ..row(Operation::EmbeddingCreate, Transport::Embeddings, "float")
    },
    Row {
        ways: Ways { most_inputs: 1, ..Ways::HOST },
        request: r#"{"model":"pub","input":["a","b"]}"#,
        sent: &[r#"{"model":"up","input":["a"]}"#, r#"{"model":"up","input":["b"]}"#],
        answers: &[OPENAI_FLOATS, OPENAI_FLOATS],
        read: r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,-2.5]},{"object":"embedding","index":1,"embedding":[1.0,-2.5]}],"model":"pub","usage":{"prompt_tokens":6,"total_tokens":6}}"#,
        ..row(Operation::EmbeddingCreate, Transport::Embeddings, "batch")
    },
    Row {
        request: ASKS_FLOATS,
        sent: &[r#"{"model":"up","texts":["a"],"input_type":"search_document","embedding_types":["float"]}"#],
        answers: &[r#"{"embeddings":{"float":[[1.0,-2.5]]},"meta":{"billed_units":{"input_tokens":3}}}"#],
        read: FLOATS,
        ..row(Operation::EmbeddingCreate, Transport::CohereEmbed, "float")
    },
    Row {
        request: ASKS_BASE64,
        sent: &[r#"{"model":"up","texts":["a"],"input_type":"search_document","embedding_types":["base64"]}"#],
        answers: &[r#"{"embeddings":{"base64":["AACAPwAAIMA="]},"meta":{"billed_units":{"input_tokens":3}}}"#],
        read: BASE64,
        ..row(Operation::EmbeddingCreate, Transport::CohereEmbed, "base64")
    },
    Row {
        request: ASKS_FLOATS,
        sent: &[GOOGLE],
        answers: &[GOOGLE_ANSWER],
        read: FLOATS,
        ..row(Operation::EmbeddingCreate, Transport::EmbedContent, "float")
    },
    Row {
        request: ASKS_BASE64,
        sent: &[GOOGLE],
        answers: &[GOOGLE_ANSWER],
        read: BASE64,
        ..row(Operation::EmbeddingCreate, Transport::EmbedContent, "base64")
    },
    Row {
        request: ASKS_RANKS,
        sent: &[r#"{"model":"up","query":"q","documents":["a","b"],"top_n":1}"#],
        answers: &[
            r#"{"id":"x","results":[{"index":1,"relevance_score":0.5}],"meta":{"billed_units":{"search_units":1}}}"#,
        ],
        read: r#"{"id":"x","model":"pub","results":[{"index":1,"relevance_score":0.5,"document":{"text":"b"}}],"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}},"usage":{"total_tokens":0,"search_units":1}}"#,
        ..row(Operation::Rerank, Transport::Rerank, "whole")
    },
    Row {
        ways: Ways { top_n: "top_k", ..Ways::HOST },
        request: ASKS_RANKS,
        sent: &[r#"{"model":"up","query":"q","documents":["a","b"],"top_k":1}"#],
        answers: &[r#"{"object":"list","data":[{"index":1,"relevance_score":0.5}],"usage":{"total_tokens":26}}"#],
        read: TOKENS,
        ..row(Operation::Rerank, Transport::Rerank, "whole")
    },
    Row {
        ways: Ways { takes_return_documents: true, ..Ways::HOST },
        request: ASKS_RANKS,
        sent: &[r#"{"model":"up","query":"q","documents":["a","b"],"top_n":1,"return_documents":false}"#],
        answers: &[r#"{"results":[{"index":1,"relevance_score":0.5}],"usage":{"total_tokens":26}}"#],
        read: TOKENS,
        ..row(Operation::Rerank, Transport::Rerank, "whole")
    },
    Row {
        request: r#"{"model":"pub","input":"a"}"#,
        sent: &[r#"{"model":"up","input":"a"}"#],
        answers: &[r#"{"id":"m","model":"up","results":[{"flagged":true,"categories":{"hate":true}}]}"#],
        read: r#"{"id":"m","model":"pub","results":[{"flagged":true,"categories":{"hate":true}}]}"#,
        ..row(Operation::Moderate, Transport::Moderations, "whole")
    },
    Row {
        request: r#"{"model":"pub","input":["a"]}"#,
        sent: &[r#"{"model":"up","input":["a"]}"#],
        answers: &[r#"{"id":"m","model":"up","results":[{"categories":{"hate":true}}]}"#],
        read: r#"{"id":"m","model":"pub","results":[{"categories":{"hate":true},"flagged":true}]}"#,
        ..row(Operation::Moderate, Transport::Moderations, "whole")
    },
];

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}

#[test]
fn each_endpoint_over_each_wire() {
    let mut matrix: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    let profile = OperationProfile::default();
    for (number, row) in ROWS.iter().enumerate() {
        let asked = scan(row.operation, Bytes::from_static(row.request.as_bytes())).unwrap();
        let who = Recipient { transport: row.wire, model: "up", profile: &profile, ways: &row.ways, forwards: false };
        let sent: Vec<Value> = asked.write(&who).unwrap().sends.iter().map(|send| json(&join(&send.body))).collect();
        let expected: Vec<Value> = row.sent.iter().map(|text| json(text.as_bytes())).collect();
        assert_eq!(sent, expected, "row {number}, {} over {}: sent", asked.contract(), row.wire);
        let body = |text: &&'static str| Answered { body: Bytes::from_static(text.as_bytes()), media_type: None };
        let reply = asked.read(&who, row.answers.iter().map(body).collect()).unwrap();
        let read = json(&join(&reply.body));
        assert_eq!(read, json(row.read.as_bytes()), "row {number}, {} over {}: read", asked.contract(), row.wire);
        *matrix.entry((row.mode, row.wire.as_str(), asked.contract())).or_default() += 1;
    }
    for ((mode, wire, contract), cases) in matrix {
        println!("{mode:<6} {wire:<17} -> {contract:<17} {cases} cases");
    }
}
