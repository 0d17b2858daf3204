//! Transcriptions and translations of sound.

use std::borrow::Cow;

use bytes::Bytes;

use super::stream::{TranscriptRelay, write_transcript_events};
use super::transcript::{Format, Transcript};
use super::{
    Found, MediaRecipient, Medium, Penned, PennedBody, TranscriptAnswer, check_value, google, read_switch, unsupported,
};
use crate::canonical::{Field, FieldValue, FileRef, Form, Operation, TokenUsage, Transport};
use crate::dialects::native::{NativeReply, NativeStream, ReplyError};
use crate::dialects::node::Node;
use crate::dialects::openai_chat::fault::read_error;
use crate::dialects::question::Answered;
use crate::fault::{Fault, Outcome};

/// Fields that may occur several times.
pub const LISTS: [&str; 6] =
    ["timestamp_granularities", "include", "keywords", "languages", "known_speaker_names", "known_speaker_references"];
const GRANULARITIES: &str = "timestamp_granularities";
/// Milliseconds of sound that are thought to be in a byte where nothing tells its length: one at eight kilobits.
const MS_PER_BYTE: u64 = 1;

/// A request for the text of a sound.
#[derive(Debug, Clone)]
pub struct Transcription {
    form: Form,
    model: String,
    file: FileRef,
    format: Format,
    is_stream: bool,
    is_translation: bool,
    /// The length of the sound, where the file tells it.
    audio_ms: Option<u64>,
}

impl Transcription {
    /// Reads a form.
    ///
    /// # Errors
    /// `BadRequest` that names the field.
    pub fn read(form: Form, is_translation: bool) -> Outcome<Self> {
        let model = form.text("model").filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| Fault::invalid("model", "is required"))?.to_owned();
        let mut files = form.fields.iter().filter_map(|field| match &field.value {
            FieldValue::File(file) => Some((field.base_name(), file)),
            FieldValue::Text(_) | FieldValue::Inline { .. } => None,
        });
        let file = match (files.next(), files.next()) {
            (Some(("file", file)), None) => file.clone(),
            (Some(("file", _)), Some((name, _))) | (Some((name, _)), _) => {
                return Err(Fault::invalid(name, "the form may have one file, in the field `file`"));
            }
            (None, _) if form.text("file").is_some() => {
                return Err(Fault::invalid("file", "must be an uploaded file: its part needs a `filename`"));
            }
            (None, _) => return Err(Fault::invalid("file", "is required")),
        };
        let format = match form.text("response_format") {
            None | Some("") => Format::Json,
            Some(word) => Format::parse(word).ok_or_else(|| {
                let known: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
                Fault::invalid("response_format", format!("must be one of {}", known.join(", ")))
            })?,
        };
        let is_stream = form.text("stream").map_or(Ok(false), |text| read_switch("stream", text))?;
        if is_translation && is_stream {
            return Err(Fault::invalid("stream", "translations are not streamed"));
        }
        if let Some(temperature) = form.text("temperature")
            && !temperature.trim().parse::<f64>().is_ok_and(|value| (0.0..=2.0).contains(&value))
        {
            return Err(Fault::invalid("temperature", "must be a number from 0 to 1"));
        }
        for word in form.texts("timestamp_granularities") {
            if !matches!(word, "word" | "segment") {
                return Err(Fault::invalid("timestamp_granularities", "must be `word` or `segment`"));
            }
        }
        Ok(Self { form, model, file, format, is_stream, is_translation, audio_ms: None })
    }

    /// The place of its file.
    #[must_use]
    pub const fn place(&self) -> usize {
        self.file.place
    }

    /// Notes how long the sound is.
    pub fn lasts(&mut self, ms: u64) {
        self.audio_ms = Some(ms);
    }

    const fn task(&self) -> &'static str {
        if self.is_translation { "translate" } else { "transcribe" }
    }

    /// The format that a provider is asked for: the client's, or one that it can be made of.
    fn asked_of(&self, to: &MediaRecipient<'_>) -> Outcome<Format> {
        let stated: Option<Vec<&str>> =
            to.profile.values.get("response_format").map(|known| known.iter().map(String::as_str).collect());
        let known = stated.unwrap_or_else(|| to.ways.transcripts.to_vec());
        let has = |format: Format| known.is_empty() || known.contains(&format.as_str());
        // Events have a text: what is written around it is nobody's.
        let is_plain = matches!(self.format, Format::Text | Format::Srt | Format::Vtt);
        let wanted = if self.is_stream && is_plain { Format::Json } else { self.format };
        if has(wanted) {
            return Ok(wanted);
        }
        let source = match wanted {
            Format::Text => [Format::Json, Format::VerboseJson].into_iter().find(|format| has(*format)),
            Format::Json | Format::Srt | Format::Vtt => Some(Format::VerboseJson).filter(|format| has(*format)),
            Format::VerboseJson | Format::DiarizedJson => None,
        };
        source.ok_or_else(|| unsupported("response_format", self.format.as_str(), &known.join(", ")))
    }

    fn write_form(&self, to: &MediaRecipient<'_>) -> Outcome<Penned> {
        let mut form = self.form.clone();
        form.set("model", to.model);
        let mut dropped = Vec::new();
        for language in self.form.texts("language").chain(self.form.texts("languages")) {
            check_value(to, "language", language)?;
        }
        for name in to.ways.transcript_refuses {
            if form.remove(name) {
                dropped.push(Cow::Borrowed(*name));
            }
        }
        let streams = to.ways.streams_transcripts
            && to.profile.values.get("stream").is_none_or(|known| known.iter().any(|word| word == "true"));
        if !streams {
            // The answer comes whole and is told as a stream.
            form.remove("stream");
        }
        match to.ways.transcript_answer {
            TranscriptAnswer::AsAsked => {
                let format = self.asked_of(to)?;
                if format != self.format {
                    form.set("response_format", format.as_str());
                }
            }
            TranscriptAnswer::Segments => {
                form.remove("response_format");
                let has_times = !matches!(self.format, Format::Json | Format::Text);
                if has_times && self.form.texts(GRANULARITIES).any(|word| word != "segment") {
                    // Times come of one kind at a time, and segments are what the format is made of.
                    dropped.push(Cow::Borrowed(GRANULARITIES));
                }
                match self.format {
                    Format::Srt | Format::Vtt | Format::VerboseJson => form.set(GRANULARITIES, "segment"),
                    Format::DiarizedJson => {
                        form.set(GRANULARITIES, "segment");
                        form.set("diarize", "true");
                    }
                    Format::Json | Format::Text => {}
                }
            }
        }
        for field in &mut form.fields {
            rename(field, to);
        }
        Ok(Penned { body: PennedBody::Form(form), sibling: self.is_translation.then_some("translations"), dropped })
    }

    /// What was used, unless nothing tells it.
    fn used(&self, usage: TokenUsage, transcript: Option<&Transcript>) -> Option<TokenUsage> {
        let has_times = transcript.is_some_and(|transcript| !transcript.segments.is_empty());
        let is_known = usage.audio_ms > 0 || usage.input + usage.output > 0 || self.audio_ms.is_some() || has_times;
        is_known.then(|| TokenUsage { audio_ms: self.length(usage.audio_ms, transcript), ..usage })
    }

    fn length(&self, stated: u64, transcript: Option<&Transcript>) -> u64 {
        let by_segments =
            || transcript.and_then(|transcript| transcript.segments.last()).map(super::transcript::end_ms);
        let known = Some(stated).filter(|ms| *ms > 0).or(self.audio_ms).or_else(by_segments);
        known.unwrap_or_else(|| self.file.bytes.saturating_mul(MS_PER_BYTE))
    }

    /// The client's answer, made of a transcript.
    fn tell(&self, transcript: &Transcript) -> Result<NativeReply, ReplyError> {
        let audio_ms = self.length(transcript.usage.audio_ms, Some(transcript));
        let usage = self.used(transcript.usage, Some(transcript));
        if self.is_stream {
            let events = write_transcript_events(transcript, audio_ms);
            return Ok(NativeReply {
                usage,
                ..super::whole_reply(events, Some("text/event-stream"), TokenUsage::default())
            });
        }
        let body = transcript.write(self.format, self.task(), audio_ms);
        let body =
            body.ok_or(ReplyError::Malformed("a transcript without times, though a format with times was asked for"))?;
        Ok(NativeReply { usage, ..super::whole_reply(body, self.format.media_type(), TokenUsage::default()) })
    }

    fn read_json(&self, format: Format, body: Bytes, answer: TranscriptAnswer) -> Result<NativeReply, ReplyError> {
        let text = std::str::from_utf8(&body).map_err(|_| ReplyError::Malformed("not UTF-8"))?;
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        let root = if is_json { Node::root(text).object().ok() } else { None };
        let root = root.ok_or(ReplyError::Malformed("not a JSON object"))?;
        let transcript = Transcript::read(&root);
        let Some(transcript) = transcript else {
            return Err(match root.has("error") || root.has("detail") || root.has("message") {
                true => ReplyError::Provider(Box::new(read_error(&body))),
                false => ReplyError::Malformed("a transcript without a text"),
            });
        };
        if answer == TranscriptAnswer::AsAsked && format == self.format && !self.is_stream {
            let usage = self.used(transcript.usage, Some(&transcript));
            return Ok(NativeReply { usage, ..super::whole_reply(body, None, TokenUsage::default()) });
        }
        self.tell(&transcript)
    }
}

fn rename(field: &mut Field, to: &MediaRecipient<'_>) {
    let base = field.base_name();
    let new = to.ways.transcript_renames.iter().find(|(name, _)| *name == base).map_or(base, |(_, new)| *new);
    let is_list = LISTS.contains(&base);
    let brackets = if is_list && to.ways.brackets { "[]" } else { "" };
    if new != base || is_list {
        field.name = format!("{new}{brackets}");
    }
}

impl Medium for Transcription {
    fn operation(&self) -> Operation {
        Operation::AudioTranscribe
    }

    fn contract(&self) -> &'static str {
        if self.is_translation { "audio_translations" } else { "audio_transcriptions" }
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn is_stream(&self) -> bool {
        self.is_stream
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::AudioTranscriptions, Transport::GenerateContent]
    }

    fn text_bytes(&self) -> u64 {
        self.form.texts("prompt").chain(self.form.texts("keywords")).map(|text| text.len() as u64).sum()
    }

    fn write(&self, to: &MediaRecipient<'_>) -> Outcome<Penned> {
        if to.transport == Transport::GenerateContent {
            if !matches!(self.format, Format::Json | Format::Text) {
                return Err(unsupported("response_format", self.format.as_str(), "json, text"));
            }
            return Ok(google::write_transcription(&self.form, &self.file, self.is_translation));
        }
        self.write_form(to)
    }

    fn read(&self, from: &MediaRecipient<'_>, answer: Answered) -> Result<NativeReply, ReplyError> {
        if from.transport == Transport::GenerateContent {
            let content = google::read_content(&answer.body)?;
            let transcript = Transcript { text: content.text, usage: content.usage, ..Transcript::default() };
            return self.tell(&transcript);
        }
        let ways = from.ways.transcript_answer;
        let format = if ways == TranscriptAnswer::Segments {
            Format::VerboseJson
        } else {
            self.asked_of(from).unwrap_or(self.format)
        };
        if format.is_json() {
            return self.read_json(format, answer.body, ways);
        }
        if answer.media_type.as_deref().is_some_and(|kind| kind.starts_with("application/json"))
            && answer.body.first() == Some(&b'{')
        {
            return self.read_json(format, answer.body, TranscriptAnswer::Segments);
        }
        if std::str::from_utf8(&answer.body).is_err() {
            return Err(ReplyError::Malformed("not UTF-8"));
        }
        if self.is_stream {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            return self.tell(&Transcript { text, ..Transcript::default() });
        }
        let usage = self.used(TokenUsage::default(), None);
        Ok(NativeReply { usage, ..super::whole_reply(answer.body, self.format.media_type(), TokenUsage::default()) })
    }

    fn relay(&self, _from: &MediaRecipient<'_>) -> Box<dyn NativeStream> {
        Box::new(TranscriptRelay::new(self.length(0, None)))
    }

    fn expects(&self, input: u64) -> TokenUsage {
        let audio_ms = self.length(0, None);
        // Ten tokens a second of sound, as OpenAI counts them; people speak fewer than five a second.
        let audio_input = audio_ms.div_ceil(100);
        let output = audio_ms.div_ceil(200);
        TokenUsage { input: input.saturating_add(audio_input), audio_input, output, audio_ms, ..TokenUsage::default() }
    }

    fn may_use(&self, input: u64) -> TokenUsage {
        let expected = self.expects(input);
        // Google counts 32 tokens a second.
        let audio_input = expected.audio_ms.div_ceil(1_000).saturating_mul(32);
        TokenUsage {
            input: input.saturating_add(audio_input).saturating_add(100),
            audio_input,
            output: expected.audio_ms.div_ceil(1_000).saturating_mul(20),
            ..expected
        }
    }

    fn with_pictures(&self, _found: &[Found]) -> Box<dyn Medium> {
        Box::new(self.clone())
    }

    fn echo(&self) -> Bytes {
        let text = format!("{} bytes of {}", self.file.bytes, self.file.media_type);
        let transcript = Transcript { text, ..Transcript::default() };
        let format = if self.format.is_json() { Format::Json } else { Format::Text };
        transcript.write(format, self.task(), self.length(0, None)).unwrap_or_default()
    }
}
