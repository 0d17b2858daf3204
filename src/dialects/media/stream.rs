//! Streams of sound, pictures and transcripts: relayed as they are, from other words, or told of an answer that came whole.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};

use super::transcript::{Transcript, read_usage};
use crate::canonical::TokenUsage;
use crate::dialects::native::{NativeStream, Signal, StreamError};
use crate::dialects::node::{Members, Node};
use crate::dialects::openai_chat::fault::{read_error, write_fault_event};
use crate::dialects::out;
use crate::fault::Fault;

/// Sound in one event of a stream, in bytes before base64; a multiple of three.
const EVENT_BYTES: usize = 48 * 1024;

/// What all relays keep.
#[derive(Debug, Default)]
struct Seen {
    usage: Option<TokenUsage>,
    bytes: u64,
    is_finished: bool,
}

/// Writes an event.
fn event(out: &mut BytesMut, data: &str) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data.as_bytes());
    out.extend_from_slice(b"\n\n");
}

/// Reads the object of an event, or the error that it states.
fn object<'a>(data: &'a Bytes) -> Result<Members<'a>, StreamError> {
    let text = std::str::from_utf8(data).map_err(|_| StreamError::Malformed("not UTF-8"))?;
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let root = if is_json { Node::root(text).object().ok() } else { None };
    let root = root.ok_or(StreamError::Malformed("an event that is not a JSON object"))?;
    let is_error = root.has("error") || root.any_text("type").as_deref() == Some("error");
    if is_error { Err(StreamError::Provider(Box::new(read_error(data)))) } else { Ok(root) }
}

macro_rules! seen {
    () => {
        fn write_closing(&mut self, _out: &mut BytesMut) {}

        fn write_failure(&mut self, fault: &Fault, out: &mut BytesMut) {
            out.extend_from_slice(&write_fault_event(fault));
        }

        fn is_finished(&self) -> bool {
            self.seen.is_finished
        }

        fn is_complete(&self) -> bool {
            self.seen.is_finished
        }

        fn usage(&self) -> Option<TokenUsage> {
            self.seen.usage
        }

        fn finish_reason(&self) -> Option<&str> {
            self.seen.is_finished.then_some("stop")
        }

        fn output_bytes(&self) -> u64 {
            self.seen.bytes
        }
    };
}

/// A transcript as it is written: the events of OpenAI as they are, those of Mistral in OpenAI's words.
#[derive(Debug)]
pub(super) struct TranscriptRelay {
    seen: Seen,
    /// The length of the sound, where the stream does not say.
    audio_ms: u64,
    segments: usize,
}

impl TranscriptRelay {
    pub(super) fn new(audio_ms: u64) -> Self {
        Self { seen: Seen::default(), audio_ms, segments: 0 }
    }

    fn done(&mut self, root: &Members<'_>) {
        let usage = read_usage(root);
        let audio_ms = if usage.audio_ms > 0 { usage.audio_ms } else { self.audio_ms };
        self.seen.usage = Some(TokenUsage { audio_ms, ..usage });
        self.seen.is_finished = true;
    }
}

impl NativeStream for TranscriptRelay {
    fn relay(&mut self, _event: Option<&[u8]>, data: &Bytes, out: &mut BytesMut) -> Result<Signal, StreamError> {
        if data.as_ref() == b"[DONE]" {
            return Ok(Signal::Done);
        }
        let root = object(data)?;
        self.seen.bytes += data.len() as u64;
        let text = || root.any_text("text").unwrap_or_default();
        match root.any_text("type").unwrap_or_default().as_str() {
            "transcription.text.delta" => {
                event(
                    out,
                    &out::object(|out| {
                        out.text("type", "transcript.text.delta").text("delta", &text());
                    }),
                );
                Ok(Signal::Output)
            }
            "transcription.segment" => {
                self.segments += 1;
                let copy = |out: &mut out::Out<'_>, name: &str| {
                    if let Some(value) = root.get(name) {
                        out.raw(name, value.raw());
                    }
                };
                event(
                    out,
                    &out::object(|out| {
                        out.text("type", "transcript.text.segment").text("id", &format!("seg_{:03}", self.segments));
                        copy(out, "start");
                        copy(out, "end");
                        out.text("text", &text());
                        out.text("speaker", &root.any_text("speaker_id").unwrap_or_else(|| "A".to_owned()));
                    }),
                );
                Ok(Signal::Output)
            }
            "transcription.done" => {
                self.done(&root);
                let transcript = Transcript::read(&root).unwrap_or_default();
                event(out, &done_event(&transcript, self.seen.usage.unwrap_or_default().audio_ms));
                Ok(Signal::Done)
            }
            "transcript.text.done" => {
                self.done(&root);
                event(out, &String::from_utf8_lossy(data));
                Ok(Signal::Done)
            }
            // The language of the sound, and what may come to be.
            kind if kind.starts_with("transcription.") => Ok(Signal::Nothing),
            kind => {
                event(out, &String::from_utf8_lossy(data));
                Ok(if kind.starts_with("transcript.text.") { Signal::Output } else { Signal::Nothing })
            }
        }
    }

    seen!();
}

fn done_event(transcript: &Transcript, audio_ms: u64) -> String {
    out::object(|out| {
        out.text("type", "transcript.text.done").text("text", &transcript.text);
        transcript.write_usage(out, audio_ms);
    })
}

/// A whole transcript as a stream.
pub(super) fn write_transcript_events(transcript: &Transcript, audio_ms: u64) -> Bytes {
    let mut events = BytesMut::new();
    event(
        &mut events,
        &out::object(|out| {
            out.text("type", "transcript.text.delta").text("delta", &transcript.text);
        }),
    );
    event(&mut events, &done_event(transcript, audio_ms));
    events.freeze()
}

/// Speech in events, as they come.
#[derive(Debug, Default)]
pub(super) struct SpeechRelay {
    seen: Seen,
    expected: TokenUsage,
}

impl SpeechRelay {
    pub(super) fn new(expected: TokenUsage) -> Self {
        Self { seen: Seen::default(), expected }
    }
}

impl NativeStream for SpeechRelay {
    fn relay(&mut self, _event: Option<&[u8]>, data: &Bytes, out: &mut BytesMut) -> Result<Signal, StreamError> {
        if data.as_ref() == b"[DONE]" {
            return Ok(Signal::Done);
        }
        let root = object(data)?;
        self.seen.bytes += data.len() as u64;
        event(out, &String::from_utf8_lossy(data));
        match root.any_text("type").unwrap_or_default().as_str() {
            "speech.audio.delta" => Ok(Signal::Output),
            "speech.audio.done" => {
                let usage = read_usage(&root);
                let stated = TokenUsage { audio_output: usage.output, ..usage };
                self.seen.usage = Some(TokenUsage {
                    characters: self.expected.characters,
                    audio_output_ms: self.expected.audio_output_ms,
                    ..if usage.input + usage.output > 0 { stated } else { self.expected }
                });
                self.seen.is_finished = true;
                Ok(Signal::Done)
            }
            _ => Ok(Signal::Nothing),
        }
    }

    seen!();
}

/// Whole speech as events.
pub(super) fn write_speech_events(sound: &[u8], usage: &TokenUsage) -> Bytes {
    let mut events = BytesMut::with_capacity(sound.len() / 3 * 4 + 256);
    for piece in sound.chunks(EVENT_BYTES) {
        let audio = STANDARD.encode(piece);
        event(
            &mut events,
            &out::object(|out| {
                out.text("type", "speech.audio.delta").text("audio", &audio);
            }),
        );
    }
    event(
        &mut events,
        &out::object(|out| {
            out.text("type", "speech.audio.done");
            out.object("usage", |out| {
                out.number("input_tokens", usage.input).number("output_tokens", usage.output);
                out.number("total_tokens", usage.input.saturating_add(usage.output));
            });
        }),
    );
    events.freeze()
}

/// Sound as it comes. Its end is that of the body, which the connection frames.
#[derive(Debug, Default)]
pub(super) struct BytesRelay {
    bytes: u64,
}

impl NativeStream for BytesRelay {
    fn relay(&mut self, _event: Option<&[u8]>, data: &Bytes, out: &mut BytesMut) -> Result<Signal, StreamError> {
        self.bytes += data.len() as u64;
        out.extend_from_slice(data);
        Ok(if data.is_empty() { Signal::Nothing } else { Signal::Output })
    }

    fn write_closing(&mut self, _out: &mut BytesMut) {}

    // Nothing can be said amid sound: the connection is cut instead.
    fn write_failure(&mut self, _fault: &Fault, _out: &mut BytesMut) {}

    fn is_finished(&self) -> bool {
        false
    }

    fn is_complete(&self) -> bool {
        self.bytes > 0
    }

    // Sound does not say what it costs: what the request was expected to use is what is paid.
    fn usage(&self) -> Option<TokenUsage> {
        None
    }

    fn finish_reason(&self) -> Option<&str> {
        (self.bytes > 0).then_some("stop")
    }

    fn output_bytes(&self) -> u64 {
        self.bytes
    }
}

/// Images as they take shape.
#[derive(Debug)]
pub(super) struct ImageRelay {
    seen: Seen,
    /// Images that are still to come.
    left: u64,
}

impl ImageRelay {
    pub(super) fn new(images: u64) -> Self {
        Self { seen: Seen::default(), left: images }
    }
}

impl NativeStream for ImageRelay {
    fn relay(&mut self, event: Option<&[u8]>, data: &Bytes, out: &mut BytesMut) -> Result<Signal, StreamError> {
        if data.as_ref() == b"[DONE]" {
            return Ok(Signal::Done);
        }
        let root = object(data)?;
        self.seen.bytes += data.len() as u64;
        if let Some(name) = event {
            out.extend_from_slice(b"event: ");
            out.extend_from_slice(name);
            out.extend_from_slice(b"\n");
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(data);
        out.extend_from_slice(b"\n\n");
        let kind = root.any_text("type").unwrap_or_default();
        if kind.ends_with(".completed") {
            let known = self.seen.usage.unwrap_or_default();
            let usage = super::picture::read_usage(&root.any_object("usage"), 1);
            self.seen.usage = Some(super::picture::sum(known, usage));
            self.left = self.left.saturating_sub(1);
            if self.left == 0 {
                self.seen.is_finished = true;
                return Ok(Signal::Done);
            }
            return Ok(Signal::Output);
        }
        Ok(if kind.ends_with(".partial_image") { Signal::Output } else { Signal::Nothing })
    }

    seen!();
}

/// An answer that came whole, told as a stream: its bytes as they are.
#[derive(Debug)]
pub struct Told {
    seen: Seen,
    finish: Option<String>,
}

impl Told {
    /// With what the answer used.
    #[must_use]
    pub fn new(usage: Option<TokenUsage>, finish: Option<String>) -> Self {
        Self { seen: Seen { usage, ..Seen::default() }, finish }
    }
}

impl NativeStream for Told {
    fn relay(&mut self, _event: Option<&[u8]>, data: &Bytes, out: &mut BytesMut) -> Result<Signal, StreamError> {
        self.seen.bytes += data.len() as u64;
        out.extend_from_slice(data);
        Ok(Signal::Output)
    }

    fn write_closing(&mut self, _out: &mut BytesMut) {}

    fn write_failure(&mut self, _fault: &Fault, _out: &mut BytesMut) {}

    fn is_finished(&self) -> bool {
        false
    }

    fn is_complete(&self) -> bool {
        true
    }

    fn usage(&self) -> Option<TokenUsage> {
        self.seen.usage
    }

    fn finish_reason(&self) -> Option<&str> {
        self.finish.as_deref()
    }

    fn output_bytes(&self) -> u64 {
        self.seen.bytes
    }
}
