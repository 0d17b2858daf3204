//! Requests that are wrong in themselves, and those that only look it.

use crate::support::{Answer, TestGateway, chat};
use crate::world::{CHAT, raw};

const INVALID: &str = "invalid_request_error";

async fn post(gateway: &TestGateway, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Answer {
    let bearer = format!("Bearer {}", crate::support::MASTER_KEY);
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend_from_slice(headers);
    gateway.client.send("POST", CHAT, &all, body).await
}

/// Gzip with one stored block.
fn gzip(plain: &[u8]) -> Vec<u8> {
    let length = u16::try_from(plain.len()).unwrap();
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    gzip.extend(length.to_le_bytes());
    gzip.extend((!length).to_le_bytes());
    gzip.extend(plain);
    gzip.extend(crc32fast::hash(plain).to_le_bytes());
    gzip.extend(u32::from(length).to_le_bytes());
    gzip
}

#[tokio::test]
async fn a_body_that_is_wrong_is_refused_with_the_place() {
    let gateway = TestGateway::start().await;
    for (body, code, param) in [
        ("", "invalid_json", ""),
        ("{\"model\":", "invalid_json", ""),
        ("[]", "invalid_json", ""),
        (r#"{"model":"echo","model":"echo","messages":[]}"#, "", "model"),
        (r#"{"model":"echo","Messages":[],"messages":[]}"#, "", "Messages"),
        (r#"{"messages":[]}"#, "", "model"),
        (r#"{"model":7,"messages":[]}"#, "", "model"),
        (r#"{"model":"echo"}"#, "", "messages"),
        (r#"{"model":"echo","messages":"hello"}"#, "", "messages"),
        (r#"{"model":"echo","messages":[],"stream":"yes"}"#, "", "stream"),
    ] {
        let answer = post(&gateway, &[("content-type", "application/json")], body).await;
        answer.refused((400, INVALID, code, param));
    }
}

#[tokio::test]
async fn types_sizes_and_encodings_are_checked() {
    let gateway = TestGateway::with(&[("MAX_JSON_BODY_BYTES", "2048")]).await;
    let small = chat("echo").to_string();
    let large = chat(&"x".repeat(2048)).to_string();
    let json = ("content-type", "application/json");
    let zipped = ("content-encoding", "gzip");
    let refused = (415, INVALID, "unsupported_media_type", "");
    post(&gateway, &[], small.clone()).await.refused(refused);
    post(&gateway, &[("content-type", "text/plain")], small.clone()).await.refused(refused);
    post(&gateway, &[json, ("content-encoding", "compress")], small.clone()).await.refused(refused);
    let too_large = (413, INVALID, "request_too_large", "");
    post(&gateway, &[json], large.clone()).await.refused(too_large);
    post(&gateway, &[json, zipped], gzip(large.as_bytes())).await.refused(too_large);
    post(&gateway, &[json, zipped], small.clone()).await.refused((400, INVALID, "", ""));
    post(&gateway, &[json, zipped], gzip(small.as_bytes())).await.ok();
    post(&gateway, &[json], small).await.ok();
}

#[tokio::test]
async fn unknown_paths_and_methods_say_so() {
    let gateway = TestGateway::start().await;
    gateway.client.get("/v1/nowhere", None).await.refused((404, INVALID, "not_found", ""));
    let answer = gateway.client.get(CHAT, None).await;
    answer.refused((405, INVALID, "method_not_allowed", ""));
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[tokio::test]
async fn a_request_with_two_lengths_ends_its_connection() {
    let gateway = TestGateway::start().await;
    let lengths =
        ["content-length: 5\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 5"];
    for lengths in lengths {
        let request = format!("POST {CHAT} HTTP/1.1\r\nhost: gateway\r\n{lengths}\r\n\r\n0\r\n\r\n");
        let answer = String::from_utf8(raw(gateway.address, request.as_bytes(), 512).await).unwrap();
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}
