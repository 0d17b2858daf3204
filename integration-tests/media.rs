//! Sound and pictures from end to end: uploads, every wire, streams, and the frame that they share with text: keys, limits,
//! records, retries.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::stub_provider::media::{PHOTO, PIXEL};
use crate::support::wait::{soon, until};
use crate::support::{Answer, MASTER_KEY, TestGateway};
use crate::world::World;

/// What is left of [`PHOTO`] without its EXIF.
const BARE_PHOTO: &str = "/9j/2gACBAUG/9k=";
const LISTEN: &str = "/v1/audio/transcriptions";
const SPEAK: &str = "/v1/audio/speech";
const DRAW: &str = "/v1/images/generations";
const EDIT: &str = "/v1/images/edits";

/// A second and a half of silence: one channel of 16 bits, 8,000 samples a second.
fn wav() -> Vec<u8> {
    let mut file = b"RIFF".to_vec();
    file.extend(24_036_u32.to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(8_000_u32.to_le_bytes());
    file.extend(16_000_u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(24_000_u32.to_le_bytes());
    file.resize(file.len() + 24_000, 0);
    file
}

fn png(fill: usize) -> Vec<u8> {
    let mut file = BASE64_STANDARD.decode(PIXEL).unwrap();
    file.resize(file.len() + fill, 7);
    file
}

#[derive(Clone)]
enum Field<'a> {
    Text(&'a str, &'a str),
    File(&'a str, &'a str, &'a [u8]),
}
use Field::{File, Text};

fn form(fields: &[Field<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for field in fields {
        match field {
            Text(name, text) => body
                .extend(format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}").into_bytes()),
            File(name, file_name, content) => {
                let head = format!(
                    "--XX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
                );
                body.extend(head.into_bytes());
                body.extend(*content);
            }
        }
        body.extend(b"\r\n");
    }
    body.extend(b"--XX--\r\n");
    body
}

async fn upload(world: &World, path: &str, fields: &[Field<'_>]) -> Answer {
    let bearer = format!("Bearer {}", world.key);
    let headers = [("authorization", bearer.as_str()), ("content-type", "multipart/form-data; boundary=XX")];
    world.client.send("POST", path, &headers, form(fields)).await
}

fn told(bytes: &[u8], name: &str, kind: &str) -> String {
    format!("file({name},{kind},{},{:08x})", bytes.len(), crc32fast::hash(bytes))
}

fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")), "{}", answer.text());
    let text = answer.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))).collect()
}

fn gemini(world: &World) -> Value {
    let base = format!("http://{}", world.stub.address());
    json!({"provider": "googleaistudio", "credentials": {"apiKey": "sk-stub", "baseUrl": base}})
}

#[tokio::test]
async fn an_upload_reaches_the_provider_whole_with_its_fields_in_order() {
    let world = World::of(&["stub-listen"]).await;
    let sound = wav();
    let fields = [
        Text("model", "my/listen"),
        File("file", "../../Grüße.mp3", &sound),
        Text("x_unknown", "stays"),
        Text("timestamp_granularities[]", "word"),
        Text("timestamp_granularities[]", "segment"),
        Text("keywords[]", "Zürich"),
    ];
    let answer = upload(&world, LISTEN, &fields).await.ok();
    let file = told(&sound, "Grüße.wav", "audio/wav");
    assert_eq!(
        answer["text"],
        format!(
            "model=stub-listen; file={file}; x_unknown=stays; timestamp_granularities[]=word; \
             timestamp_granularities[]=segment; keywords[]=Zürich"
        )
    );
    // What the provider says besides passes.
    assert_eq!((&answer["x_own"], &answer["usage"]["input_tokens"]), (&json!(1.0), &json!(14)));
    let sent = &world.stub.requests()[0];
    assert_eq!(sent.path, "/v1/audio/transcriptions");
    let kind = sent.header("content-type").unwrap();
    assert!(kind.starts_with("multipart/form-data; boundary=unified-"), "{kind}");
    assert_eq!(sent.header("content-length").unwrap().parse::<usize>().unwrap(), sent.body.len());
    let answer =
        upload(&world, "/v1/audio/translations", &[Text("model", "my/listen"), File("file", "a", &sound)]).await;
    answer.ok();
    assert_eq!(world.stub.requests()[1].path, "/v1/audio/translations");
}

#[tokio::test]
async fn a_file_that_is_two_things_goes_as_what_it_begins_as_and_nothing_is_unpacked() {
    let world = World::of(&["stub-listen", "stub-draw"]).await;
    let page = b"<!doctype html><script>alert(1)</script>";
    let picture_and_page = [png(0), page.to_vec(), b"PK\x03\x04".to_vec()].concat();
    // A head that promises a hundred thousand pixels by as many: no decoder of ours believes it.
    let mut bomb = png(0);
    bomb[16..24].copy_from_slice(&[0, 1, 134, 160, 0, 1, 134, 160]);
    for picture in [&picture_and_page, &bomb] {
        let fields = [Text("model", "my/draw"), Text("prompt", "x"), File("image", "../x.html", picture)];
        upload(&world, EDIT, &fields).await.ok();
        let sent = String::from_utf8_lossy(&world.stub.take_requests()[0].body).into_owned();
        assert!(
            sent.contains("filename=\"x.png\"") && sent.contains("image/png") && !sent.contains("x.html"),
            "{sent}"
        );
    }
    let sound_and_page = [b"ID3".to_vec(), page.to_vec(), wav()].concat();
    let fields = [Text("model", "my/listen"), File("file", "x.html", &sound_and_page)];
    let answer = upload(&world, LISTEN, &fields).await.ok();
    assert_eq!(answer["text"], format!("model=stub-listen; file={}", told(&sound_and_page, "x.mp3", "audio/mpeg")));
    for file in [picture_and_page.as_slice(), page] {
        let answer = upload(&world, LISTEN, &[Text("model", "my/listen"), File("file", "a.mp3", file)]).await;
        answer.assert_error(400, "invalid_request_error", None, Some("file"));
    }
}

#[tokio::test]
async fn transcripts_come_in_every_format_from_every_wire() {
    let world = World::of(&[]).await;
    world.deploy("openai", "stub-listen").await;
    world.deploy_with("groq", "whisper-large-v3", json!({"provider": "groq"})).await;
    world.deploy_with("mistral", "voxtral-mini-latest", json!({"provider": "mistral"})).await;
    world.deploy_with("gemini", "gemini-3.5-transcribe", gemini(&world)).await;
    let sound = wav();
    let ask = async |model: &str, format: &str| {
        let fields = [Text("model", model), Text("response_format", format), File("file", "a.wav", &sound)];
        upload(&world, LISTEN, &fields).await
    };
    for (model, formats) in [
        ("openai", &["json", "text", "srt", "vtt", "verbose_json", "diarized_json"][..]),
        ("groq", &["json", "text", "srt", "vtt", "verbose_json"]),
        ("mistral", &["json", "text", "srt", "vtt", "verbose_json", "diarized_json"]),
        ("gemini", &["json", "text"]),
    ] {
        for format in ["json", "text", "srt", "vtt", "verbose_json", "diarized_json"] {
            let answer = ask(model, format).await;
            if !formats.contains(&format) {
                answer.refused((400, "invalid_request_error", "unsupported_parameter", "response_format"));
                continue;
            }
            assert_eq!(answer.status, 200, "{model} {format}: {}", answer.text());
            let is_json = format.ends_with("json");
            let kind = if is_json { "application/json" } else { "text/plain; charset=utf-8" };
            assert_eq!(answer.header("content-type"), Some(kind), "{model} {format}");
            match format {
                "srt" => {
                    assert!(answer.text().starts_with("1\n00:00:00,000 --> 00:00:0"), "{model}: {}", answer.text());
                }
                "vtt" => {
                    assert!(answer.text().starts_with("WEBVTT\n\n00:00:00.000 --> "), "{model}: {}", answer.text());
                }
                "text" => assert!(answer.text().ends_with('\n'), "{model}"),
                _ => assert!(answer.json()["text"].is_string(), "{model} {format}"),
            }
            if format == "diarized_json" {
                assert!(answer.json()["segments"][0]["speaker"].is_string(), "{model}");
            }
        }
    }
    // Times of a provider that has no subtitles, made into subtitles; an arrow in a text is none of its own.
    assert_eq!(
        ask("groq", "srt").await.text(),
        "1\n00:00:00,000 --> 00:00:00,500\nHello ->\n\n2\n00:00:00,500 --> 00:00:01,500\nworld\n\n"
    );
}

#[tokio::test]
async fn streams_of_transcripts_end_with_the_whole_text_and_its_usage() {
    let world = World::of(&[]).await;
    world.deploy("openai", "stub-listen").await;
    world.deploy_with("groq", "whisper-large-v3", json!({"provider": "groq"})).await;
    world.deploy_with("mistral", "voxtral-mini-latest", json!({"provider": "mistral"})).await;
    world.deploy_with("gemini", "gemini-3.5-transcribe", gemini(&world)).await;
    let sound = wav();
    for model in ["openai", "groq", "mistral", "gemini"] {
        let fields = [Text("model", model), Text("stream", "true"), File("file", "a.wav", &sound)];
        let events = events(&upload(&world, LISTEN, &fields).await);
        let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds.last(), Some(&"transcript.text.done"), "{model}: {kinds:?}");
        assert_eq!(kinds[0], "transcript.text.delta", "{model}: {kinds:?}");
        assert!(kinds.iter().all(|kind| kind.starts_with("transcript.text.")), "{model}: {kinds:?}");
        assert!(events.last().unwrap()["usage"].is_object(), "{model}");
    }
}

#[tokio::test]
async fn speech_comes_as_sound_or_as_events_from_every_wire() {
    let world = World::of(&[]).await;
    world.deploy("openai", "stub-speak").await;
    world.deploy_with("mistral", "voxtral-mini-tts-latest", json!({"provider": "mistral"})).await;
    world.deploy_with("gemini", "gemini-3.8-flash-tts", gemini(&world)).await;
    for (model, format, kind, start) in [
        ("openai", None, "audio/mpeg", "ID3:mp3:alloy:Grüße"),
        ("openai", Some("opus"), "audio/mpeg", "ID3:opus:alloy:Grüße"),
        ("mistral", Some("flac"), "audio/flac", "ID3:flac:alloy:Grüße"),
        ("gemini", None, "audio/wav", "RIFF"),
        ("gemini", Some("pcm"), "audio/pcm", "\u{1}\u{1}"),
    ] {
        let mut body = json!({"model": model, "input": "Grüße", "voice": "alloy"});
        if let Some(format) = format {
            body["response_format"] = json!(format);
        }
        let answer = world.post(SPEAK, &body).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{model}: {}", answer.text());
        assert!(
            answer.body.starts_with(start.as_bytes()),
            "{model} {format:?}: {:?}",
            &answer.body[..20.min(answer.body.len())]
        );
        body["stream_format"] = json!("sse");
        let events = events(&world.post(SPEAK, &body).await);
        let sound: Vec<u8> = events
            .iter()
            .filter_map(|event| event["audio"].as_str())
            .flat_map(|audio| BASE64_STANDARD.decode(audio).unwrap())
            .collect();
        assert!(sound.starts_with(start.as_bytes()), "{model}");
        assert_eq!(events.last().unwrap()["type"], "speech.audio.done", "{model}");
        assert!(events.last().unwrap()["usage"]["input_tokens"].is_number(), "{model}");
    }
    let mp3 = json!({"model": "gemini", "input": "x", "voice": "Kore", "response_format": "mp3"});
    world.post(SPEAK, &mp3).await.refused((400, "invalid_request_error", "unsupported_parameter", "response_format"));
}

#[tokio::test]
async fn speech_that_breaks_off_does_not_look_whole() {
    let world = World::of(&["stub-speak-cut"]).await;
    let bearer = format!("Bearer {}", world.key);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = json!({"model": "my/speak-cut", "input": "x", "voice": "alloy"}).to_string();
    let mut answer = world.client.open("POST", SPEAK, &headers, body).await;
    let first = answer.next().await.unwrap();
    assert!(first.starts_with(b"ID3"), "{first:?}");
    assert!(answer.finish().await.is_broken, "a broken answer ended as a whole one does");
    assert_eq!(world.stub.requests().len(), 1, "it was asked for twice");
}

#[tokio::test]
async fn a_slow_listener_slows_the_provider_and_one_who_leaves_ends_it() {
    let world = World::of(&["stub-speak-flood"]).await;
    let bearer = format!("Bearer {}", world.key);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = json!({"model": "my/speak-flood", "input": "x", "voice": "alloy"}).to_string();
    let mut answer = world.client.open("POST", SPEAK, &headers, body).await;
    answer.next().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    // All of it would be 256 MiB.
    let sent = world.stub.sent_bytes() >> 20;
    assert!(sent < 64, "{sent} MiB were read for a client that takes nothing");
    drop(answer);
    soon("the provider to be left", world.stub.hang_ups_reach(1)).await;
}

#[tokio::test]
async fn images_come_in_base64_from_every_wire() {
    let world = World::of(&[]).await;
    world.deploy_with("openai", "gpt-image-2", json!({"provider": "openai"})).await;
    world.deploy("plain", "stub-draw").await;
    world.deploy_with("xai", "grok-imagine-image", json!({"provider": "xai"})).await;
    world.deploy_with("openrouter", "google/gemini-3.1-flash-image", json!({"provider": "openrouter"})).await;
    world.deploy_with("gemini", "gemini-3.1-flash-image", gemini(&world)).await;
    for model in ["openai", "plain", "xai", "openrouter", "gemini"] {
        let body = json!({"model": model, "prompt": "a cat", "size": "auto", "response_format": "b64_json"});
        let answer = world.post(DRAW, &body).await.ok();
        assert_eq!(answer["data"][0]["b64_json"], PIXEL, "{model}: {answer}");
        assert!(answer["created"].is_number(), "{model}");
        let picture = png(0);
        let fields = [
            Text("model", model),
            Text("prompt", "a dog"),
            File("image[]", "one.png", &picture),
            File("image[]", "two.png", &picture),
        ];
        let answer = upload(&world, EDIT, &fields).await.ok();
        assert_eq!(answer["data"][0]["b64_json"], PIXEL, "{model}: {answer}");
        let body = json!({"model": model, "prompt": "x", "response_format": "url"});
        world.post(DRAW, &body).await.refused((
            400,
            "invalid_request_error",
            "unsupported_parameter",
            "response_format",
        ));
    }
    let sent = world.stub.requests();
    let of = |model: &str| sent.iter().filter(|request| request.model == model).collect::<Vec<_>>();
    let wide = json!({"model": "gemini", "prompt": "wide", "size": "1536x864"});
    world.post(DRAW, &wide).await.ok();
    let last = world.stub.requests().pop().unwrap().json();
    assert_eq!(last["generationConfig"]["imageConfig"]["aspectRatio"], "16:9", "{last}");
    // `auto` is said to those who know it, and left out elsewhere.
    assert_eq!(of("gpt-image-2")[0].json(), json!({"model": "gpt-image-2", "prompt": "a cat", "size": "auto"}));
    assert_eq!(
        of("stub-draw")[0].json(),
        json!({"model": "stub-draw", "prompt": "a cat", "response_format": "b64_json"})
    );
    let edit = of("grok-imagine-image")[1].json();
    let url = format!("data:image/png;base64,{PIXEL}");
    assert_eq!(edit["images"], json!([{"type": "image_url", "url": url}, {"type": "image_url", "url": url}]));
    let edit = of("gemini-3.1-flash-image")[1].json();
    assert_eq!(edit["contents"][0]["parts"][2]["inlineData"], json!({"mimeType": "image/png", "data": PIXEL}));
}

#[tokio::test]
async fn exif_passes_unless_the_operator_wants_it_gone() {
    for (setting, photo) in [("false", PHOTO), ("true", BARE_PHOTO)] {
        let gateway = TestGateway::with(&[("IMAGES_STRIP_EXIF", setting)]).await;
        let (_, key) = gateway.create_key(&json!({"name": "test"})).await;
        let world = World { gateway, key };
        world.deploy_with("openai", "gpt-image-2", json!({"provider": "openai"})).await;
        let body = json!({"model": "openai", "prompt": "a photo", "n": 2});
        let drawn = world.post(DRAW, &body).await.ok();
        assert_eq!((&drawn["data"][0]["b64_json"], &drawn["data"][1]["b64_json"]), (&json!(photo), &json!(photo)));
        let body = json!({"model": "openai", "prompt": "a photo", "stream": true, "partial_images": 2});
        let drawn = events(&world.post(DRAW, &body).await);
        assert_eq!(drawn.len(), 3);
        assert!(drawn.iter().all(|event| event["b64_json"] == photo), "{setting}: {drawn:?}");
    }
}

#[tokio::test]
async fn images_are_streamed_and_whole_ones_are_told_as_streams() {
    let world = World::of(&[]).await;
    world.deploy_with("openai", "gpt-image-2", json!({"provider": "openai"})).await;
    world.deploy_with("gemini", "gemini-3.1-flash-image", gemini(&world)).await;
    let body = json!({"model": "openai", "prompt": "a cat", "stream": true, "partial_images": 2});
    let drawn = events(&world.post(DRAW, &body).await);
    let kinds: Vec<&str> = drawn.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["image_generation.partial_image", "image_generation.partial_image", "image_generation.completed"]
    );
    assert_eq!(drawn[2]["usage"]["output_tokens"], 1_056);
    let body = json!({"model": "gemini", "prompt": "a cat", "stream": true, "partial_images": 2});
    let told = world.post(DRAW, &body).await;
    assert_eq!(told.header("x-unified-dropped"), None);
    let told = events(&told);
    let kinds: Vec<&str> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["image_generation.partial_image", "image_generation.partial_image", "image_generation.completed"]
    );
    assert_eq!((&told[2]["b64_json"], &told[2]["usage"]["output_tokens"]), (&json!(PIXEL), &json!(1_290)));
    let last = world.stub.requests().pop().unwrap();
    assert!(last.path.ends_with("gemini-3.1-flash-image:streamGenerateContent?alt=sse"), "{}", last.path);
    world.deploy_with("openrouter", "google/gemini-3.1-flash-image", json!({"provider": "openrouter"})).await;
    let body = json!({"model": "openrouter", "prompt": "a cat", "stream": true});
    let told = events(&world.post(DRAW, &body).await);
    assert_eq!((told.len(), &told[0]["type"]), (1, &json!("image_generation.completed")));
    assert_eq!(told[0]["usage"]["output_tokens"], 1_290);
    // What refuses before anything was drawn is an error like any other.
    let body = json!({"model": "gemini", "prompt": "refuse", "stream": true});
    let refused = world.post(DRAW, &body).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("content_policy_violation")));
    let picture = png(0);
    for model in ["openai", "gemini", "openrouter"] {
        let fields =
            [Text("model", model), Text("prompt", "x"), Text("stream", "true"), File("image", "a.png", &picture)];
        let edited = events(&upload(&world, EDIT, &fields).await);
        assert_eq!(edited.last().unwrap()["type"], "image_edit.completed", "{model}");
    }
}

#[tokio::test]
async fn a_stream_of_pictures_that_is_cut_ends_with_an_error_and_counts_against_the_deployment() {
    let world = World::of(&[]).await;
    world.deploy_with("gemini", "gemini-3.1-flash-image-cut", custom_gemini(&world, "generate_content")).await;
    world.deploy_with("openrouter", "x/image-cut", json!({"provider": "openrouter"})).await;
    for model in ["gemini", "openrouter"] {
        let body = json!({"model": model, "prompt": "a cat", "stream": true, "partial_images": 1});
        let told = events(&world.post(DRAW, &body).await);
        assert_eq!(told.len(), 2, "{model}: {told:?}");
        assert_eq!(told[0]["type"], "image_generation.partial_image", "{model}");
        assert_eq!(told[1]["error"]["code"], "upstream_error", "{model}: {}", told[1]);
        // Without a picture on the way nothing was said yet, and the answer is an error.
        let body = json!({"model": model, "prompt": "a cat", "stream": true});
        assert_eq!(world.post(DRAW, &body).await.status, 502, "{model}");
    }
    assert_eq!(world.stub.requests().len(), 4, "a dear request was repeated");
}

/// A deployment of a model at Google that the catalog does not know.
fn custom_gemini(world: &World, wire: &str) -> Value {
    let mut body = gemini(world);
    body["catalogEntry"] = json!({"operations": {"image.generate": {}}, "pricing": {"units": {"per_image": "4"}}});
    body["transportOverrides"] = json!({"image.generate": wire});
    body
}

#[tokio::test]
async fn imagen_is_told_in_its_own_words_and_charged_by_the_image() {
    let world = World::of(&[]).await;
    world.deploy_with("imagen", "imagen-4.0-generate-001", gemini(&world)).await;
    world.deploy_with("own", "imagen-9", custom_gemini(&world, "predict")).await;
    let body = json!({"model": "imagen", "prompt": "a cat", "n": 2, "size": "2048x2048", "output_format": "jpeg",
        "output_compression": 80, "person_generation": "dont_allow", "user": "u", "quality": "auto"});
    let answer = world.post(DRAW, &body).await;
    assert_eq!(answer.header("x-unified-dropped"), Some("user"));
    let answer = answer.ok();
    assert_eq!((answer["data"].as_array().unwrap().len(), &answer["data"][1]["b64_json"]), (2, &json!(PIXEL)));
    assert_eq!(answer["output_format"], "jpeg");
    let sent = world.stub.requests().pop().unwrap();
    assert!(sent.path.ends_with("/models/imagen-4.0-generate-001:predict"), "{}", sent.path);
    assert_eq!(
        sent.json(),
        json!({"instances": [{"prompt": "a cat"}], "parameters": {"sampleCount": 2, "aspectRatio": "1:1",
            "sampleImageSize": "2K", "personGeneration": "dont_allow",
            "outputOptions": {"mimeType": "image/jpeg", "compressionQuality": 80}, "includeRaiReason": true}})
    );
    let told = events(&world.post(DRAW, &json!({"model": "imagen", "prompt": "a cat", "stream": true})).await);
    assert_eq!((told.len(), &told[0]["type"]), (1, &json!("image_generation.completed")));
    let before = world.stub.requests().len();
    for (field, value) in [
        ("n", json!(5)),
        ("size", json!("1536x1024")),
        ("size", json!("512x512")),
        ("size", json!("4096x4096")),
        ("output_format", json!("webp")),
        ("output_compression", json!(80)),
        ("person_generation", json!("all")),
    ] {
        let mut body = json!({"model": "imagen", "prompt": "a cat"});
        body[field] = value;
        world.post(DRAW, &body).await.refused((400, "invalid_request_error", "unsupported_parameter", field));
    }
    assert_eq!(world.stub.requests().len(), before, "a provider was called");
    let refused = world.post(DRAW, &json!({"model": "own", "prompt": "refuse"})).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("content_policy_violation")));
    let (_, key) = world.create_key(&json!({"name": "paying", "maxBudgetCents": 100})).await;
    let world = World { gateway: world.gateway, key };
    world.post(DRAW, &json!({"model": "own", "prompt": "a cat", "n": 3})).await.ok();
    let last = world.post(DRAW, &json!({"model": "own", "prompt": "a cat"})).await;
    // Three images at four cents were paid, one is held.
    assert_eq!(last.header("x-ratelimit-remaining-budget-cents"), Some("84"), "{:?}", last.headers);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_by_its_field_and_nothing_is_left_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let uploads = folder.path().to_str().unwrap();
    let gateway =
        crate::support::TestGateway::with(&[("UPLOAD_DIR", uploads), ("MAX_AUDIO_UPLOAD_BYTES", "100000")]).await;
    let (_, key) = gateway.create_key(&json!({"name": "test"})).await;
    let world = World { gateway, key };
    world.deploy("m", "stub-listen").await;
    let (sound, large) = (wav(), [wav(), vec![0; 100_000]].concat());
    for (fields, expected) in [
        (vec![File("file", "a.wav", &sound)], (400, "model")),
        (vec![Text("model", "m")], (400, "file")),
        (vec![Text("model", "m"), Text("file", "not a file")], (400, "file")),
        (vec![Text("model", "m"), File("file", "a.wav", b"")], (400, "file")),
        (vec![Text("model", "m"), File("file", "a.wav", b"MZ\x90 a program")], (400, "file")),
        (vec![Text("model", "m"), File("file", "a.wav", &large)], (413, "file")),
        (vec![Text("model", "m"), File("file", "a", &sound), File("file", "b", &sound)], (400, "file")),
        (vec![Text("model", "m"), Text("model", "n"), File("file", "a", &sound)], (400, "model")),
        (vec![Text("Model", "m"), File("file", "a", &sound)], (400, "Model")),
        (
            vec![Text("model", "m"), Text("response_format", "docx"), File("file", "a", &sound)],
            (400, "response_format"),
        ),
        (vec![Text("model", "m"), Text("stream", "maybe"), File("file", "a", &sound)], (400, "stream")),
    ] {
        let answer = upload(&world, LISTEN, &fields).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, error["param"].as_str().unwrap_or_default()), expected, "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    for (path, body, param) in [
        (SPEAK, json!({"model": "m", "voice": "x"}), "input"),
        (SPEAK, json!({"model": "m", "input": "x", "response_format": "ogg"}), "response_format"),
        (DRAW, json!({"model": "m"}), "prompt"),
        (DRAW, json!({"model": "m", "prompt": "x", "n": 11}), "n"),
        (DRAW, json!({"model": "m", "prompt": "x", "size": "big"}), "size"),
        (EDIT, json!({"model": "m", "prompt": "x"}), "images"),
        (EDIT, json!({"model": "m", "prompt": "x", "images": [{"image_url": "http://127.0.0.1/x.png"}]}), "images[0]"),
    ] {
        let answer = world.post(path, &body).await;
        assert_eq!((answer.status, answer.json()["error"]["param"].as_str()), (400, Some(param)), "{}", answer.text());
    }
    assert!(world.stub.requests().is_empty(), "a provider was called");
    // Whoever has no key costs nothing.
    let headers = [("content-type", "multipart/form-data; boundary=XX")];
    let answer = world.client.send("POST", LISTEN, &headers, form(&[File("file", "a", &sound)])).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn dear_requests_are_not_repeated_and_are_paid_once() {
    let world = World::of(&[]).await;
    world.deploy("broken", "stub-reset-before").await;
    world
        .configure(
            "PUT",
            "/admin/router-settings",
            &json!({"executionPolicies": {"image.generate": {"maxAttempts": 4}}}),
        )
        .await;
    let answer = world.post(DRAW, &json!({"model": "broken", "prompt": "x"})).await;
    assert!(answer.status >= 500, "{}", answer.text());
    assert_eq!(world.stub.requests().len(), 1, "an image was asked for again");
}

#[tokio::test]
async fn sound_and_pictures_are_charged_by_their_units() {
    let world = World::of(&[]).await;
    let priced = |units: Value| json!({"pricing": {"units": units}});
    world.deploy_with("minutes", "stub-listen-whisper", priced(json!({"per_minute": "60"}))).await;
    world.deploy_with("images", "stub-draw", priced(json!({"per_image": "2"}))).await;
    world.deploy_with("spoken", "stub-speak", priced(json!({"per_mchar": "1500"}))).await;
    world.deploy("unpriced", "stub-draw").await;
    let (_, key) = world.create_key(&json!({"name": "paying", "maxBudgetCents": 100})).await;
    let world = World { gateway: world.gateway, key };
    let sound = wav();
    upload(&world, LISTEN, &[Text("model", "minutes"), File("file", "a.wav", &sound)]).await.ok();
    world.post(DRAW, &json!({"model": "images", "prompt": "x", "n": 2})).await.ok();
    assert_eq!(
        world.post(SPEAK, &json!({"model": "spoken", "input": "x".repeat(1_000), "voice": "a"})).await.status,
        200
    );
    let unpriced = world.post(DRAW, &json!({"model": "unpriced", "prompt": "x"})).await;
    assert_eq!((unpriced.status, unpriced.json()["error"]["param"].as_str()), (400, Some("model")));
    // Two seconds at 60 cents a minute are 2 cents, two images 4, a thousand characters at 1,500 a million 1.5; one image is held.
    let last = world.post(DRAW, &json!({"model": "images", "prompt": "x"})).await;
    assert_eq!(last.header("x-ratelimit-remaining-budget-cents"), Some("90.5"), "{:?}", last.headers);
}

#[tokio::test]
async fn an_image_at_a_url_of_the_provider_is_fetched_under_guard() {
    let world = World::of(&["stub-draw-url"]).await;
    // The address is not public: the answer is the provider's failure and never its URL.
    let answer = world.post(DRAW, &json!({"model": "my/draw-url", "prompt": "x"})).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(!answer.text().contains("one.png"), "{}", answer.text());
}

/// Long: 150 MB of pictures go through, and memory stays what it was.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_stays_flat_while_pictures_are_uploaded() {
    #[expect(clippy::disallowed_methods, reason = "what `make reliability` asks for is no setting")]
    let is_long = std::env::var("UNIFIED_RELIABILITY").is_ok_and(|form| form == "long");
    let megabytes = if is_long { 30 } else { 4 };
    let world = World::of(&[]).await;
    world
        .deploy_with("cut", "stub-draw", json!({"credentials": {"apiKey": "x", "baseUrl": "http://127.0.0.1:9/v1"}}))
        .await;
    let picture = png(megabytes << 20);
    let fields: Vec<Field<'_>> = (0..5).map(|_| File("image[]", "a.png", &picture)).collect();
    let body = form(&[vec![Text("model", "cut"), Text("prompt", "x")], fields].concat());
    let before = resident_mib();
    let bearer = format!("Bearer {}", world.key);
    let headers = [("authorization", bearer.as_str()), ("content-type", "multipart/form-data; boundary=XX")];
    // The provider cannot be reached: all of it is read, kept and let go.
    let answer = world.client.send("POST", EDIT, &headers, body).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let grown = resident_mib().saturating_sub(before);
    assert!(grown < megabytes.max(24), "memory has grown by {grown} MiB");
}

/// Resident memory of this process, in MiB.
#[cfg(target_os = "linux")]
fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[tokio::test]
async fn what_is_refused_is_recorded_with_its_size() {
    let world = World::of(&[]).await;
    let pdf = [b"%PDF-1.7".to_vec(), vec![b' '; 5_000]].concat();
    let form_of = |fields: &[Field<'_>]| form(fields).len();
    let unread = [Text("model", "listen"), File("file", "a.wav", &pdf)];
    let sound = wav();
    let wrong = [Text("model", "listen"), Text("temperature", "hot"), File("file", "a.wav", &sound)];
    let no_prompt = json!({"model": "draw", "promt": "a cat"});
    let refused = [
        // What was read when it was clear: all of it, as it lies in one piece.
        (upload(&world, LISTEN, &unread).await, form_of(&unread)),
        (upload(&world, LISTEN, &wrong).await, "listen".len() + "hot".len() + sound.len()),
        (world.post(DRAW, &no_prompt).await, no_prompt.to_string().len()),
    ];
    for (answer, bytes) in refused {
        assert!((400..500).contains(&answer.status), "{}", answer.text());
        let id = answer.header("x-request-id").unwrap();
        let path = format!("/admin/logs/{id}");
        until("the record", async || world.client.get(&path, Some(MASTER_KEY)).await.status == 200).await;
        let record = world.configure("GET", &path, &Value::Null).await;
        assert_eq!(record["requestBytes"], json!(bytes), "{record}");
    }
}
