//! PDFs and text files for models that read text only.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::write::ZlibEncoder;
use flate2::{Compress, Compression, FlushCompress};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use unified_gateway::documents::{Documents, Unreadable};

use crate::world::{CHAT, World};

/// A PDF of one font whose pages draw these content streams, each as it is or compressed.
fn pdf_of(contents: &[Vec<u8>], is_compressed: bool) -> Vec<u8> {
    let kids: String = (0..contents.len()).fold(String::new(), |mut kids, page| {
        let _ = write!(kids, "{} 0 R ", 4 + 2 * page);
        kids
    });
    let mut objects: Vec<Vec<u8>> = vec![
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        format!("<</Type/Pages/Count {}/Kids[{kids}]/MediaBox[0 0 300 300]>>", contents.len()).into_bytes(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>".to_vec(),
    ];
    for (page, content) in contents.iter().enumerate() {
        let resources = "/Resources<</Font<</F 3 0 R>>>>";
        let object = format!("<</Type/Page/Parent 2 0 R{resources}/Contents {} 0 R>>", 5 + 2 * page);
        objects.push(object.into_bytes());
        let filter = if is_compressed { "/Filter/FlateDecode" } else { "" };
        let mut stream = format!("<</Length {}{filter}>>\nstream\n", content.len()).into_bytes();
        stream.extend_from_slice(content);
        stream.extend_from_slice(b"\nendstream");
        objects.push(stream);
    }
    let mut pdf = b"%PDF-1.4\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (index, object) in objects.iter().enumerate() {
        let _ = writeln!(table, "{:010} 00000 n ", pdf.len());
        pdf.extend_from_slice(format!("{} 0 obj\n", index + 1).as_bytes());
        pdf.extend_from_slice(object);
        pdf.extend_from_slice(b"\nendobj\n");
    }
    let start = pdf.len();
    let trailer = format!("trailer<</Size {}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1);
    pdf.extend_from_slice(table.as_bytes());
    pdf.extend_from_slice(trailer.as_bytes());
    pdf
}

fn pdf(pages: &[&str]) -> Vec<u8> {
    let draw = |text: &&str| format!("BT /F 12 Tf 20 200 Td ({text}) Tj ET").into_bytes();
    pdf_of(&pages.iter().map(draw).collect::<Vec<_>>(), false)
}

/// Spaces, compressed: a block that needs nothing before it, over and over.
fn spaces_compressed(megabytes: usize) -> Vec<u8> {
    let mut block = vec![0; 16 * 1024];
    let mut compress = Compress::new(Compression::best(), true);
    compress.compress(&vec![b' '; 1024 * 1024], &mut block, FlushCompress::Full).unwrap();
    block.truncate(usize::try_from(compress.total_out()).unwrap());
    let (head, block) = block.split_at(2);
    [head, &block.repeat(megabytes)].concat()
}

fn as_url(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(bytes))
}

fn asks(model: &str, bytes: &[u8]) -> Value {
    let file =
        json!({"type": "file", "file": {"filename": "report.pdf", "file_data": as_url("application/pdf", bytes)}});
    json!({"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": "Sum up."}, file]}]})
}

#[tokio::test]
async fn a_model_of_text_gets_the_text_of_a_pdf_in_every_contract() {
    let world = World::of(&["stub-text"]).await;
    let document = pdf(&["The budget is 4200 euros.", "Second page."]);
    let data = STANDARD.encode(&document);
    let turn = |content: Value| json!([{"role": "user", "content": content}]);
    let source = json!({"type": "base64", "media_type": "application/pdf", "data": data});
    let url = as_url("application/pdf", &document);
    for (path, body) in [
        (CHAT, asks("my/text", &document)),
        (
            "/v1/responses",
            json!({"model": "my/text", "input": turn(json!([
                {"type": "input_text", "text": "Sum up."},
                {"type": "input_file", "filename": "report.pdf", "file_data": url},
            ]))}),
        ),
        (
            "/v1/messages",
            json!({"model": "my/text", "max_tokens": 9, "messages": turn(json!([
                {"type": "text", "text": "Sum up."},
                {"type": "document", "title": "report.pdf", "source": source},
            ]))}),
        ),
    ] {
        let answer = world.post(path, &body).await;
        answer.ok();
        assert_eq!(answer.header("x-unified-dropped"), Some("file"), "{path}: pictures and layout are lost");
        let seen = world.stub.take_requests()[0].json();
        let content = seen["messages"][0]["content"].as_array().unwrap().clone();
        let expected = "report.pdf\n\nThe budget is 4200 euros.\n\nSecond page.";
        assert_eq!(content[1], json!({"type": "text", "text": expected}), "{path}");
    }
    let bearer = format!("Bearer {}", world.key);
    let json = ("content-type", "application/json");
    let strict = [("authorization", bearer.as_str()), json, ("x-unified-strict", "true")];
    let answer = world.client.send("POST", CHAT, &strict, asks("my/text", &document).to_string()).await;
    answer.assert_error(400, "invalid_request_error", None, Some("file"));
    assert!(world.stub.take_requests().is_empty());
}

#[tokio::test]
async fn a_model_that_reads_files_gets_the_file_and_is_tried_before_one_that_does_not() {
    let world = World::of(&[]).await;
    let entry = json!({"operations": {"text.generate": {"capabilities": {"pdfInput": true}}}});
    world.gateway.deploy_with("both", "stub-text", json!({"weight": 1000})).await;
    world.gateway.deploy_with("both", "stub-text", json!({"catalogEntry": entry, "weight": 1})).await;
    let document = pdf(&["Hello."]);
    for _ in 0..5 {
        let answer = world.chat(&asks("both", &document)).await;
        answer.ok();
        assert_eq!(answer.header("x-unified-dropped"), None);
        let seen = world.stub.take_requests()[0].json();
        assert_eq!(seen["messages"][0]["content"][1]["file"]["file_data"], as_url("application/pdf", &document));
    }
}

#[tokio::test]
async fn files_of_text_go_as_text_and_what_cannot_is_refused_by_its_place() {
    let world = World::of(&["stub-text"]).await;
    world.once().await;
    let with = |media_type: &str, bytes: &[u8]| {
        let file = json!({"type": "file", "file": {"file_data": as_url(media_type, bytes)}});
        json!({"model": "my/text", "messages": [{"role": "user", "content": [file]}]})
    };
    world.chat(&with("text/csv", "a;b\nGrüße;1".as_bytes())).await.ok();
    let seen = world.stub.take_requests()[0].json();
    assert!(seen.to_string().contains("a;b\\nGrüße;1"), "{seen}");
    let many: Vec<&str> = vec!["x"; 201];
    let long = "word ".repeat(420_000);
    let deep = [b"%PDF-1.4\n1 0 obj\n".to_vec(), b"[".repeat(200_000), b"endobj".to_vec()].concat();
    for (what, bytes, code) in [
        ("a scan", pdf_of(&[b"0 0 10 10 re f".to_vec()], false), "file_parser_no_text"),
        ("no pages", pdf_of(&[], false), "file_parser_no_text"),
        ("not a PDF", b"%PDF-1.7 and then nothing".to_vec(), "file_parser_failed"),
        ("cut", pdf(&["Hello."])[..300].to_vec(), "file_parser_failed"),
        ("deeply nested", deep, "file_parser_failed"),
        ("too many pages", pdf(&many), "file_too_large"),
        ("too much text", pdf(&[long.as_str()]), "file_too_large"),
        ("empty", Vec::new(), "file_parser_failed"),
    ] {
        let answer = world.chat(&with("application/pdf", &bytes)).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        answer.assert_error(400, "invalid_request_error", Some(code), Some("messages[0].content[0]"));
    }
    world.chat(&with("application/zip", b"PK")).await.assert_error(
        400,
        "invalid_request_error",
        Some("unsupported_file_type"),
        Some("messages[0].content[0]"),
    );
    let named = json!([{"type": "file", "file": {"file_id": "file-1"}}]);
    world.chat(&json!({"model": "my/text", "messages": [{"role": "user", "content": named}]})).await.assert_error(
        400,
        "invalid_request_error",
        Some("unsupported_file_reference"),
        Some("messages[0].content[0]"),
    );
    assert!(world.stub.take_requests().is_empty(), "nothing reached the provider");
}

#[tokio::test]
async fn a_hard_budget_is_not_overdrawn_by_a_document_that_unfolds() {
    let mut world = World::of(&[]).await;
    let entry = json!({
        "operations": {"text.generate": {"maxInputTokens": 1_000_000, "maxOutputTokens": 100}},
        "pricing": {"inputCentsPerMTokens": "100", "outputCentsPerMTokens": "100"},
    });
    world.gateway.deploy_with("priced", "stub-text", json!({"catalogEntry": entry})).await;
    let hard = json!({"name": "hard", "maxBudgetCents": 1000, "budgetMode": "hard"});
    (_, world.key) = world.gateway.create_key(&hard).await;
    let text = format!("BT /F 12 Tf 20 200 Td ({}) Tj ET", "word ".repeat(2_000));
    let mut compressed = ZlibEncoder::new(Vec::new(), Compression::best());
    compressed.write_all(text.as_bytes()).unwrap();
    let unfolds = pdf_of(&[compressed.finish().unwrap()], true);
    let mut asked = asks("priced", &unfolds);
    asked["max_tokens"] = json!(9);
    let answer = world.chat(&asked).await;
    answer.assert_error(400, "invalid_request_error", Some("file_too_large"), Some("messages[0].content[1]"));
    assert!(answer.text().contains("what a hard budget holds for it"), "{}", answer.text());
    let mut asked = asks("priced", &pdf(&["Hello."]));
    asked["max_tokens"] = json!(9);
    world.chat(&asked).await.ok();
}

#[tokio::test]
async fn a_hostile_document_takes_its_reader_down_and_nothing_else() {
    let world = World::of(&["stub-text"]).await;
    world.once().await;
    // Three megabytes that become three gigabytes.
    let bomb = spaces_compressed(3_000);
    assert!(bomb.len() < 6_000_000, "{}", bomb.len());
    let bomb = pdf_of(&[bomb], true);
    let began = Instant::now();
    let (bomb, plain) = (asks("my/text", &bomb), asks("my/text", &pdf(&["Hello."])));
    let (bombed, others) = tokio::join!(world.chat(&bomb), async {
        let mut served = 0;
        for _ in 0..5 {
            world.chat(&plain).await.ok();
            served += 1;
        }
        served
    });
    bombed.assert_error(400, "invalid_request_error", Some("file_parser_failed"), Some("messages[0].content[1]"));
    assert_eq!(others, 5);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_reader_has_no_environment_no_arguments_of_ours_and_dies_with_its_time() {
    let folder = TempDir::new().unwrap();
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let shows =
        Documents::new(Some(script("shows", "/usr/bin/env; echo \"arguments: $@\"; pwd; ls /proc/self/fd | wc -l")));
    let shown = shows.text_of(b"%PDF-1.7").await.unwrap();
    let variables: Vec<&str> = shown.lines().filter(|line| line.contains('=')).collect();
    assert!(variables.iter().all(|line| ["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|own| line.starts_with(own))));
    assert!(shown.contains("arguments: read-pdf\n/\n"), "{shown}");
    let floods = Documents::new(Some(script("floods", "exec /usr/bin/yes")));
    assert_eq!(floods.text_of(b"%PDF-1.7").await, Err(Unreadable::TooMuchText));
    let marker = folder.path().join("alive");
    let stays = format!("sleep 1; echo > {}", marker.display());
    let stays = Documents::new(Some(script("stays", &stays)));
    let cancelled = tokio::time::timeout(Duration::from_millis(200), stays.text_of(b"%PDF-1.7")).await;
    assert!(cancelled.is_err());
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(!marker.exists(), "a reader that nobody waits for is killed");
}
