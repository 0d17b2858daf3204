use std::time::Duration;

use super::*;
use crate::canonical::FieldValue;

const WAV: &[u8] = b"RIFF\x24\x00\x00\x00WAVEfmt rest of it";

struct Bench {
    folder: tempfile::TempDir,
    reader: FormReader,
    bodies: BodyReader,
}

fn bench(max_audio_bytes: usize) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let uploads = Uploads::new(folder.path().to_owned(), 1 << 20);
    let reader = FormReader { uploads, max_audio_bytes, max_image_bytes: 200 };
    Bench { folder, reader, bodies: BodyReader::new(1 << 20, 1 << 20, Duration::from_millis(100)) }
}

impl Bench {
    async fn read(&self, kind: &str, body: Body) -> Outcome<HeldForm> {
        let mut headers = HeaderMap::new();
        if !kind.is_empty() {
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        }
        let read = self.reader.read(&self.bodies, &headers, body, Carries::Sound, &["keywords"]).await;
        assert_eq!(std::fs::read_dir(self.folder.path()).unwrap().count(), 0, "something is left on disk");
        if read.is_err() {
            assert_eq!(self.reader.uploads.bytes(), 0, "room is not given back");
        }
        read
    }

    async fn refused(&self, body: impl Into<Body>) -> (Kind, Option<String>, String) {
        let fault = self.read("multipart/form-data; boundary=B", body.into()).await.unwrap_err();
        (fault.kind(), fault.at().map(str::to_owned), fault.message().to_owned())
    }
}

fn text(name: &str, value: &str) -> Vec<u8> {
    format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes()
}

fn file(name: &str, file_name: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\nContent-Type: audio/mpeg\r\n\r\n"
    );
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn whole(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), b"--B--\r\n".to_vec()].concat()
}

#[tokio::test]
async fn a_form_is_read_however_its_bytes_are_cut() {
    let body = whole(&[
        text("model", "m"),
        file("file", "../talk.mp3", WAV),
        text("keywords[]", "a"),
        text("keywords[]", "b"),
    ]);
    for size in [1, 2, 7, 64, body.len()] {
        let bench = bench(1000);
        let pieces: Vec<_> =
            body.chunks(size).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
        let body = Body::from_stream(futures_util::stream::iter(pieces));
        let held = bench.read("Multipart/Form-Data; boundary=\"B\"", body).await.unwrap();
        let form = held.form.form();
        assert_eq!(form.text("model"), Some("m"));
        assert_eq!(form.texts("keywords").collect::<Vec<_>>(), ["a", "b"]);
        let FieldValue::File(file) = &form.fields[1].value else { panic!("no file") };
        assert_eq!((file.name.as_str(), file.media_type, file.bytes), ("talk.wav", "audio/wav", WAV.len() as u64));
        assert_eq!(&held.form.file(0).unwrap().head()[..], WAV);
        drop(held);
        assert_eq!(bench.reader.uploads.bytes(), 0);
    }
}

#[tokio::test]
async fn what_is_no_form_is_refused_by_its_type() {
    let bench = bench(1000);
    for (kind, expected) in [
        ("", Kind::MediaType),
        ("application/json", Kind::MediaType),
        ("multipart/mixed; boundary=B", Kind::MediaType),
        ("multipart/form-data", Kind::BadRequest),
        ("multipart/form-data; boundary=", Kind::BadRequest),
    ] {
        let fault = bench.read(kind, Body::from(whole(&[text("model", "m")]))).await.unwrap_err();
        assert_eq!(fault.kind(), expected, "{kind}");
    }
}

#[tokio::test]
async fn what_breaks_off_anywhere_is_refused() {
    let bench = bench(1000);
    let body = whole(&[text("model", "m"), file("file", "a.wav", WAV)]);
    // Whole from the first byte of the closing delimiter's end on.
    for length in (0..body.len() - 4).step_by(3) {
        let (kind, _, sentence) = bench.refused(body[..length].to_vec()).await;
        assert_eq!(kind, Kind::BadRequest, "{length}: {sentence}");
    }
    assert_eq!(bench.refused("not a form at all").await.0, Kind::BadRequest);
}

#[tokio::test]
async fn parts_that_are_too_large_too_many_empty_or_false_are_refused() {
    let bench = bench(100);
    let field = |name: &str| Some(name.to_owned());
    let large = [WAV, &[0; 200]].concat();
    let (kind, param, _) = bench.refused(whole(&[file("file", "a.wav", &large)])).await;
    assert_eq!((kind, param), (Kind::TooLarge, field("file")));
    // Two that are small alone.
    let half = [WAV, &[0; 40]].concat();
    let (kind, ..) = bench.refused(whole(&[file("a", "a.wav", &half), file("b", "b.wav", &half)])).await;
    assert_eq!(kind, Kind::TooLarge);
    let many: Vec<Vec<u8>> = (0..10_000).map(|_| text("keywords[]", "x")).collect();
    let (kind, _, sentence) = bench.refused(whole(&many)).await;
    assert_eq!((kind, sentence.as_str()), (Kind::BadRequest, "The form has more than 1000 parts."));
    let (kind, param, _) = bench.refused(whole(&[file("file", "a.wav", b"")])).await;
    assert_eq!((kind, param), (Kind::BadRequest, field("file")));
    let (kind, param, _) = bench.refused(whole(&[file("file", "a.wav", b"<html></html>")])).await;
    assert_eq!((kind, param), (Kind::BadRequest, field("file")));
    let (kind, param, _) = bench.refused(whole(&[text("model", "a"), text("model", "b")])).await;
    assert_eq!((kind, param), (Kind::BadRequest, field("model")));
    assert_eq!(bench.refused(whole(&[text("", "a")])).await.0, Kind::BadRequest);
    assert_eq!(bench.refused(whole(&[text(&"n".repeat(201), "a")])).await.0, Kind::BadRequest);
    let (kind, param, _) = bench.refused(whole(&[text("prompt", &"x".repeat(MAX_TEXT_BYTES + 1))])).await;
    assert_eq!((kind, param), (Kind::TooLarge, field("prompt")));
    let (kind, param, _) = bench.refused(whole(&[text("prompt", &"x".repeat(2 << 20))])).await;
    assert_eq!((kind, param), (Kind::Unavailable, None), "texts count as bodies in flight");
}

#[tokio::test]
async fn a_head_without_an_end_costs_no_memory() {
    let bench = bench(1000);
    let endless = |start: &'static [u8]| {
        let filler = (0..4_096).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 64 * 1024])));
        let start = std::iter::once(Ok(Bytes::from_static(start)));
        Body::from_stream(futures_util::stream::iter(start.chain(filler)))
    };
    for start in [&b"preamble"[..], b"--B\r\nContent-Disposition: form-data; name=\"a", b"--B\r\nX-Endless: "] {
        let (kind, _, sentence) = bench.refused(endless(start)).await;
        assert_eq!(kind, Kind::BadRequest);
        assert!(sentence.contains("does not begin"), "{sentence}");
    }
}

#[tokio::test]
async fn a_form_that_stands_still_or_whose_client_leaves_holds_nothing() {
    let bench = bench(1000);
    let start = Bytes::from(
        [b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n".as_slice(), WAV].concat(),
    );
    let stalled = || {
        use futures_util::StreamExt;
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(start.clone())]);
        Body::from_stream(first.chain(futures_util::stream::pending()))
    };
    assert_eq!(bench.refused(stalled()).await.0, Kind::RequestTimeout);
    let kind = "multipart/form-data; boundary=B";
    let left = tokio::time::timeout(Duration::from_millis(20), bench.read(kind, stalled())).await;
    assert!(left.is_err(), "it was answered");
    assert_eq!(bench.reader.uploads.bytes(), 0);
    let broken = futures_util::stream::iter([Ok(start.clone()), Err(std::io::Error::other("reset"))]);
    assert_eq!(bench.refused(Body::from_stream(broken)).await.0, Kind::BadRequest);
}
