//! Requests and answers in every wire of embeddings.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::canonical::OperationProfile;
use crate::dialects::question::{FormatField, Ways};
use crate::dialects::raw::join;
use crate::domain::capability::EmbeddingDimensions;
use crate::fault::Kind;

fn ask(body: &Value) -> Embedding {
    scan(Bytes::from(body.to_string())).unwrap()
}

fn to<'a>(transport: Transport, ways: &'a Ways, profile: &'a OperationProfile) -> Recipient<'a> {
    Recipient { transport, model: "up", profile, ways, forwards: false }
}

fn bodies(posed: &Posed) -> Vec<Value> {
    posed.sends.iter().map(|send| serde_json::from_slice(&join(&send.body)).unwrap()).collect()
}

fn written(body: &Value, transport: Transport, ways: &Ways) -> (Vec<Value>, Vec<String>) {
    let posed = ask(body).write(&to(transport, ways, &OperationProfile::default())).unwrap();
    (bodies(&posed), posed.dropped.iter().map(|name| name.clone().into_owned()).collect())
}

fn read(body: &Value, transport: Transport, answers: &[&str]) -> Result<Value, ReplyError> {
    let answers = answers.iter().map(|text| Answered { body: Bytes::from((*text).to_owned()), media_type: None });
    let from = to(transport, &Ways::REFERENCE, &NOTHING);
    let reply = ask(body).read(&from, answers.collect())?;
    Ok(serde_json::from_slice(&join(&reply.body)).unwrap())
}

static NOTHING: OperationProfile = OperationProfile {
    tools: false,
    vision: false,
    audio_input: false,
    pdf_input: false,
    structured_outputs: false,
    reasoning: None,
    max_input_tokens: None,
    max_output_tokens: None,
    parameters: Vec::new(),
    dimensions: None,
    values: BTreeMap::new(),
    most_results: None,
    most_inputs: None,
};

#[test]
fn what_is_no_request_is_refused_by_its_field() {
    for (body, param) in [
        (json!({"input": "a"}), "model"),
        (json!({"model": "m"}), "input"),
        (json!({"model": "m", "input": ""}), "input"),
        (json!({"model": "m", "input": []}), "input"),
        (json!({"model": "m", "input": {"a": 1}}), "input"),
        (json!({"model": "m", "input": ["a", 1]}), "input[1]"),
        (json!({"model": "m", "input": ["a", ""]}), "input[1]"),
        (json!({"model": "m", "input": [[1, 2], []]}), "input[1]"),
        (json!({"model": "m", "input": [1, -2]}), "input"),
        (json!({"model": "m", "input": [1, 2.5]}), "input"),
        (json!({"model": "m", "input": "a", "encoding_format": "int8"}), "encoding_format"),
        (json!({"model": "m", "input": "a", "dimensions": 0}), "dimensions"),
        (json!({"model": "m", "input": "a", "dimensions": "9"}), "dimensions"),
        (json!({"model": "m", "input": "a", "user": 7}), "user"),
        (json!({"model": "m", "input": vec!["a"; 4_097]}), "input"),
    ] {
        let fault = scan(Bytes::from(body.to_string())).unwrap_err();
        assert_eq!((fault.kind(), fault.at()), (Kind::BadRequest, Some(param)), "{body}");
    }
}

#[test]
fn the_native_lane_changes_the_model_and_what_the_host_is_known_to_want() {
    let asked =
        json!({"model": "m", "input": "a", "encoding_format": "base64", "dimensions": 8, "user": "u", "new": 1.0});
    let (bodies, dropped) = written(&asked, Transport::Embeddings, &Ways::REFERENCE);
    let mut expected = asked.clone();
    expected["model"] = json!("up");
    assert_eq!((bodies, dropped), (vec![expected.clone()], vec![]));
    let ways =
        Ways { format: FormatField::Nothing, dimensions: "output_dimension", refuses: &["user", "x"], ..Ways::HOST };
    let (bodies, dropped) = written(&asked, Transport::Embeddings, &ways);
    let expected = json!({"model": "up", "input": "a", "output_dimension": 8, "new": 1.0});
    assert_eq!((bodies, dropped), (vec![expected], vec!["user".to_owned()]));
}

#[test]
fn more_inputs_than_a_provider_takes_go_in_several_calls() {
    let ways = Ways { most_inputs: 2, ..Ways::REFERENCE };
    let (bodies, _) = written(&json!({"model": "m", "input": ["a", "b", "c"]}), Transport::Embeddings, &ways);
    assert_eq!(bodies, [json!({"model": "up", "input": ["a", "b"]}), json!({"model": "up", "input": ["c"]})]);
    let (bodies, _) = written(&json!({"model": "m", "input": vec!["a"; 97]}), Transport::CohereEmbed, &ways);
    assert_eq!(bodies.iter().map(|body| body["texts"].as_array().unwrap().len()).collect::<Vec<_>>(), [96, 1]);
}

#[test]
fn other_wires_are_told_in_their_own_words() {
    let asked = json!({"model": "m", "input": ["a", "b"], "dimensions": 8, "user": "u", "encoding_format": "base64",
        "input_type": "query"});
    let (bodies, dropped) = written(&asked, Transport::CohereEmbed, &Ways::HOST);
    let expected = json!({"model": "up", "texts": ["a", "b"], "input_type": "search_query",
        "embedding_types": ["base64"], "output_dimension": 8});
    assert_eq!((bodies, dropped), (vec![expected], vec!["user".to_owned()]));
    let (bodies, dropped) = written(&asked, Transport::EmbedContent, &Ways::HOST);
    let one = |text: &str| {
        json!({"model": "models/up", "content": {"parts": [{"text": text}]},
        "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8})
    };
    assert_eq!((bodies, dropped), (vec![json!({"requests": [one("a"), one("b")]})], vec!["user".to_owned()]));
}

#[test]
fn what_the_model_is_known_not_to_do_is_refused_before_it_is_asked() {
    let sizes = |default, min, max| OperationProfile {
        dimensions: Some(EmbeddingDimensions { default, min, max }),
        ..OperationProfile::default()
    };
    let fixed = sizes(1536, None, None);
    let wide = sizes(1536, Some(256), Some(3072));
    for (dimensions, profile, is_fine) in
        [(1536, &fixed, true), (512, &fixed, false), (512, &wide, true), (255, &wide, false), (3073, &wide, false)]
    {
        let asked = ask(&json!({"model": "m", "input": "a", "dimensions": dimensions}));
        let refusal = asked.write(&to(Transport::Embeddings, &Ways::REFERENCE, profile)).err();
        let seen = refusal.as_ref().map(|fault| (fault.kind(), fault.at()));
        let expected = (!is_fine).then_some((Kind::UnsupportedParameter, Some("dimensions")));
        assert_eq!(seen, expected, "{dimensions}");
    }
    let tokens = ask(&json!({"model": "m", "input": [[1, 2]]}));
    for transport in [Transport::CohereEmbed, Transport::EmbedContent] {
        let fault = tokens.write(&to(transport, &Ways::REFERENCE, &fixed)).unwrap_err();
        assert_eq!((fault.kind(), fault.at()), (Kind::UnsupportedParameter, Some("input")));
    }
    assert_eq!(tokens.expects(99, false).input, 2);
    let short = OperationProfile { max_input_tokens: Some(1), ..OperationProfile::default() };
    let fault = tokens.write(&to(Transport::Embeddings, &Ways::REFERENCE, &short)).unwrap_err();
    assert_eq!((fault.kind(), fault.at()), (Kind::ContextWindow, Some("input")));
}

#[test]
fn answers_in_the_clients_format_pass_as_they_came() {
    let answer = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10,1e-8]}],"model":"up","usage":{"prompt_tokens":2,"total_tokens":2},"x":1.0}"#;
    let raw = ask(&json!({"model": "m", "input": "a"}))
        .read(
            &to(Transport::Embeddings, &Ways::REFERENCE, &NOTHING),
            vec![Answered { body: Bytes::from_static(answer.as_bytes()), media_type: None }],
        )
        .unwrap();
    assert_eq!(join(&raw.body), answer.replace("\"up\"", "\"m\""));
    assert_eq!(raw.usage.map(|usage| usage.input), Some(2));
}

#[test]
fn formats_are_converted_both_ways_and_calls_joined_in_order() {
    let items = |first: &str, second: &str| {
        format!(
            r#"{{"data":[{{"index":1,"embedding":{second}}},{{"index":0,"embedding":{first}}}],"usage":{{"total_tokens":2}}}}"#
        )
    };
    let answers = [items("[1]", "[2]"), items("[3]", "[4]")];
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    let asked = json!({"model": "m", "input": ["a", "b", "c", "d"], "encoding_format": "base64"});
    let answer = read(&asked, Transport::Embeddings, &answers).unwrap();
    let vectors: Vec<&str> =
        answer["data"].as_array().unwrap().iter().map(|item| item["embedding"].as_str().unwrap()).collect();
    assert_eq!(vectors, ["AACAPw==", "AAAAQA==", "AABAQA==", "AACAQA=="]);
    assert_eq!(answer["data"][3]["index"], 3);
    assert_eq!(answer["usage"], json!({"prompt_tokens": 4, "total_tokens": 4}));
    let answer = read(
        &json!({"model": "m", "input": "a"}),
        Transport::Embeddings,
        &[r#"{"data":[{"index":0,"embedding":"AACAPw=="}]}"#],
    );
    assert_eq!(answer.unwrap()["data"][0]["embedding"], json!([1.0]));
}

#[test]
fn answers_of_other_wires_are_read() {
    let asked = json!({"model": "m", "input": ["a", "b"]});
    let cohere = r#"{"id":"x","embeddings":{"float":[[1,2],[3,4]]},"texts":["a","b"],"meta":{"billed_units":{"input_tokens":6}}}"#;
    let answer = read(&asked, Transport::CohereEmbed, &[cohere]).unwrap();
    assert_eq!(answer["data"][1], json!({"object": "embedding", "index": 1, "embedding": [3, 4]}));
    assert_eq!((&answer["model"], &answer["usage"]["prompt_tokens"]), (&json!("m"), &json!(6)));
    let google = r#"{"embeddings":[{"values":[1,2]},{"values":[3,4]}]}"#;
    let answer = read(&asked, Transport::EmbedContent, &[google]).unwrap();
    assert_eq!(answer["data"][0]["embedding"], json!([1, 2]));
    assert!(answer["usage"]["prompt_tokens"].is_u64());
    let echoed = ask(&asked).echo();
    assert_eq!(serde_json::from_slice::<Value>(&echoed).unwrap()["data"][1]["index"], 1);
}

#[test]
fn answers_that_are_none_are_told_apart() {
    let asked = || json!({"model": "m", "input": ["a", "b"]});
    let malformed = [
        r#"{"data":[{"index":0,"embedding":[1]}]}"#,
        r#"{"data":[{"index":0,"embedding":"AACAPw=="},{"index":0,"embedding":"AACAPw=="}]}"#,
        r#"{"data":[{"index":0},{"index":1}]}"#,
        r#"{"data":"none"}"#,
        "[]",
        "",
    ];
    for answer in malformed {
        let read = read(&asked(), Transport::Embeddings, &[answer]);
        assert!(matches!(read, Err(ReplyError::Malformed(_))), "{answer}: {read:?}");
    }
    for (transport, answer) in [
        (Transport::Embeddings, r#"{"error":{"message":"no","code":"x"}}"#),
        (Transport::CohereEmbed, r#"{"message":"no"}"#),
    ] {
        let read = read(&asked(), transport, &[answer]);
        assert!(matches!(&read, Err(ReplyError::Provider(error)) if error.message == "no"), "{answer}: {read:?}");
    }
}
