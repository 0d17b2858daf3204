//! Speech made of a text.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::stream::{BytesRelay, SpeechRelay, write_speech_events};
use super::{Found, MediaRecipient, Medium, Penned, SpeechAnswer, check_value, google, unsupported};
use crate::canonical::{Operation, TokenUsage, Transport};
use crate::dialects::native::{NativeReply, NativeStream, ReplyError};
use crate::dialects::node::Node;
use crate::dialects::openai_chat::fault::read_error;
use crate::dialects::question::Answered;
use crate::dialects::raw::{RawObject, json_string};
use crate::fault::{Fault, Outcome};

const KNOWN: [&str; 7] = ["model", "input", "voice", "instructions", "response_format", "speed", "stream_format"];
/// Fields that are read where speech is content that is generated; others are named.
const READ: [&str; 6] = ["model", "input", "voice", "instructions", "response_format", "stream_format"];
const FORMATS: [&str; 6] = ["mp3", "opus", "aac", "flac", "wav", "pcm"];
/// How fast people speak, for sound whose length nothing tells.
const MS_PER_CHARACTER: u64 = 70;

/// A request for speech.
#[derive(Debug, Clone)]
pub struct Speech {
    raw: RawObject,
    model: String,
    input: String,
    voice: Option<String>,
    /// Whether the voice is one of the maker's, and not the client's own.
    is_named_voice: bool,
    instructions: Option<String>,
    /// `None`: whatever the provider likes best.
    format: Option<String>,
    is_events: bool,
}

impl Speech {
    /// Scans a body.
    ///
    /// # Errors
    /// `InvalidJson`, or `BadRequest` that names the field.
    pub fn scan(body: Bytes) -> Outcome<Self> {
        let raw = RawObject::scan_request(body, &KNOWN)?;
        let text = |key: &str| raw.read::<String>(key).map_err(|_| Fault::invalid(key, "must be a string"));
        let need = |key: &str| {
            text(key)?
                .filter(|text| !text.is_empty())
                .ok_or_else(|| Fault::invalid(key, "is required and must not be empty"))
        };
        let (model, input) = (need("model")?, need("input")?);
        let voice = match raw.get("voice") {
            Some(json @ [b'{', ..]) => {
                let json = std::str::from_utf8(json).unwrap_or_default();
                Some(Node::at(json, "voice").object()?.need("id")?.text()?)
            }
            _ => text("voice")?,
        };
        let format = text("response_format")?;
        if let Some(format) = &format
            && !FORMATS.contains(&format.as_str())
        {
            return Err(Fault::invalid("response_format", format!("must be one of {}", FORMATS.join(", "))));
        }
        let is_events = match text("stream_format")?.as_deref() {
            None | Some("audio") => false,
            Some("sse") => true,
            Some(_) => return Err(Fault::invalid("stream_format", "must be `audio` or `sse`")),
        };
        if raw.read::<f64>("speed").ok().flatten().is_none() && raw.get("speed").is_some_and(|speed| speed != b"null") {
            return Err(Fault::invalid("speed", "must be a number from 0.25 to 4"));
        }
        let instructions = text("instructions")?;
        let is_named_voice = raw.get("voice").is_some_and(|json| json.first() == Some(&b'"'));
        Ok(Self { model, input, voice, is_named_voice, instructions, format, is_events, raw })
    }

    fn characters(&self) -> u64 {
        self.input.chars().count() as u64
    }

    /// The format that a provider is asked for; `None`: its own choice.
    fn asked_of(&self, to: &MediaRecipient<'_>) -> Outcome<Option<String>> {
        let stated: Option<Vec<&str>> =
            to.profile.values.get("response_format").map(|known| known.iter().map(String::as_str).collect());
        let known = stated.unwrap_or_else(|| to.ways.speech_formats.to_vec());
        match &self.format {
            Some(format) if known.is_empty() || known.contains(&format.as_str()) => Ok(Some(format.clone())),
            Some(format) => Err(unsupported("response_format", format, &known.join(", "))),
            None if known.is_empty() || known.contains(&"mp3") => Ok(None),
            // The contract's own default is not there: the first that is. The answer's type says what it is.
            None => Ok(known.first().map(|first| (*first).to_owned())),
        }
    }

    /// The client's answer, made of sound.
    fn tell(&self, sound: Bytes, kind: &str, usage: TokenUsage) -> NativeReply {
        if self.is_events {
            return super::whole_reply(write_speech_events(&sound, &usage), Some("text/event-stream"), usage);
        }
        super::whole_reply(sound, Some(kind), usage)
    }

    /// The same of sound whose provider has not said what was used.
    fn told(&self, sound: Bytes, kind: &str) -> NativeReply {
        NativeReply { usage: None, ..self.tell(sound, kind, self.expects(self.text_bytes().div_ceil(3))) }
    }

    fn read_base64(&self, body: &Bytes, format: &str) -> Result<NativeReply, ReplyError> {
        let root = RawObject::scan(body.clone()).map_err(|_| ReplyError::Malformed("not a JSON object"))?;
        let data = root.read::<Cow<'_, str>>("audio_data").ok().flatten();
        let Some(data) = data else { return Err(ReplyError::Provider(Box::new(read_error(body)))) };
        let sound = STANDARD.decode(data.as_bytes()).map_err(|_| ReplyError::Malformed("sound that is not base64"))?;
        Ok(self.told(sound.into(), media_type(format)))
    }
}

/// The media type of a format.
fn media_type(format: &str) -> &'static str {
    match format {
        "opus" => "audio/ogg",
        "aac" => "audio/aac",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "pcm" => "audio/pcm",
        _ => "audio/mpeg",
    }
}

impl Medium for Speech {
    fn operation(&self) -> Operation {
        Operation::AudioSpeech
    }

    fn contract(&self) -> &'static str {
        "audio_speech"
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn is_stream(&self) -> bool {
        true
    }

    fn is_bytes(&self) -> bool {
        !self.is_events
    }

    fn stream_type(&self) -> &'static str {
        if self.is_events { "text/event-stream" } else { media_type(self.format.as_deref().unwrap_or("mp3")) }
    }

    fn transports(&self) -> &'static [Transport] {
        &[Transport::AudioSpeech, Transport::GenerateContent]
    }

    fn text_bytes(&self) -> u64 {
        self.input.len() as u64 + self.instructions.as_ref().map_or(0, String::len) as u64
    }

    fn write(&self, to: &MediaRecipient<'_>) -> Outcome<Penned> {
        if let Some(voice) = self.voice.as_ref().filter(|_| self.is_named_voice) {
            check_value(to, "voice", voice)?;
        }
        if to.transport == Transport::GenerateContent {
            if let Some(format) = self.format.as_deref().filter(|format| !matches!(*format, "wav" | "pcm")) {
                return Err(unsupported("response_format", format, "wav, pcm"));
            }
            let mut penned = google::write_speech(&self.input, self.instructions.as_deref(), self.voice.as_deref());
            let is_stated = |name: &str| self.raw.get(name).is_some_and(|json| json != b"null");
            let unread = self.raw.keys().filter(|name| !READ.contains(name) && is_stated(name));
            penned.dropped.extend(unread.map(|name| Cow::Owned(name.to_owned())));
            return Ok(penned);
        }
        let mut splice = self.raw.splice();
        splice.set("model", json_string(to.model));
        if let Some(format) = self.asked_of(to)?.filter(|format| Some(format) != self.format.as_ref()) {
            splice.set("response_format", json_string(&format));
        }
        let mut dropped = Vec::new();
        for field in to.ways.speech_refuses {
            if self.raw.get(field).is_some() {
                splice.remove(field);
                dropped.push(Cow::Borrowed(*field));
            }
        }
        let streams_events =
            to.profile.values.get("stream_format").is_none_or(|known| known.iter().any(|word| word == "sse"));
        if to.ways.speech_answer == SpeechAnswer::Json || (self.is_events && !streams_events) {
            // The sound comes as it is, and is told as events.
            splice.remove("stream_format");
        }
        for (name, new) in to.ways.speech_renames {
            if let Some(value) = self.raw.get(name) {
                let value = match (&self.voice, value) {
                    // A voice of the client's own is an object in the contract, and its id where the field has another name.
                    (Some(id), [b'{', ..]) if *name == "voice" => json_string(id),
                    _ => Bytes::copy_from_slice(value),
                };
                splice.set(new, value);
                splice.remove(name);
            }
        }
        Ok(Penned { dropped, ..Penned::json(splice.finish()) })
    }

    fn read(&self, from: &MediaRecipient<'_>, answer: Answered) -> Result<NativeReply, ReplyError> {
        let wanted = self.format.as_deref();
        if from.transport == Transport::GenerateContent {
            let content = google::read_content(&answer.body)?;
            let sound = content.files.into_iter().next().ok_or(ReplyError::Malformed("an answer without sound"))?;
            let pcm = STANDARD.decode(sound.data.as_bytes());
            let pcm = pcm.map_err(|_| ReplyError::Malformed("sound that is not base64"))?;
            let rate = google::sample_rate(&sound.media_type);
            let audio_output_ms = (pcm.len() as u64).saturating_mul(500) / u64::from(rate.max(1));
            let usage = TokenUsage { audio_output_ms, characters: self.characters(), ..content.usage };
            let usage = TokenUsage { audio_output: usage.output.saturating_sub(usage.reasoning), ..usage };
            let sound = if wanted == Some("pcm") { pcm } else { google::wav(&pcm, rate) };
            return Ok(self.tell(sound.into(), media_type(wanted.unwrap_or("wav")), usage));
        }
        let format = self.asked_of(from).ok().flatten().unwrap_or_else(|| "mp3".to_owned());
        let is_json = answer.body.first() == Some(&b'{');
        if from.ways.speech_answer == SpeechAnswer::Json || is_json {
            return self.read_base64(&answer.body, &format);
        }
        if answer.body.is_empty() {
            return Err(ReplyError::Malformed("no sound"));
        }
        let is_wav = answer.body.starts_with(b"RIFF");
        let stated = answer.media_type.filter(|kind| kind.starts_with("audio/"));
        let stated = stated.or_else(|| is_wav.then(|| "audio/wav".to_owned()));
        let kind = stated.unwrap_or_else(|| media_type(&format).to_owned());
        Ok(self.told(answer.body, &kind))
    }

    fn relay(&self, _from: &MediaRecipient<'_>) -> Box<dyn NativeStream> {
        let expected = self.expects(0);
        if self.is_events {
            return Box::new(SpeechRelay::new(expected));
        }
        Box::new(BytesRelay::default())
    }

    fn expects(&self, input: u64) -> TokenUsage {
        let characters = self.characters();
        let audio_output_ms = characters.saturating_mul(MS_PER_CHARACTER);
        // Twenty-five tokens a second of sound is what makers of such models state.
        let output = audio_output_ms.div_ceil(40);
        TokenUsage { input, output, audio_output: output, characters, audio_output_ms, ..TokenUsage::default() }
    }

    fn may_use(&self, input: u64) -> TokenUsage {
        let expected = self.expects(input);
        let output = expected.output.saturating_mul(3).saturating_add(1_000);
        let audio_output_ms = expected.audio_output_ms.saturating_mul(3).saturating_add(10_000);
        TokenUsage { output, audio_output: output, audio_output_ms, ..expected }
    }

    fn with_pictures(&self, _found: &[Found]) -> Box<dyn Medium> {
        Box::new(self.clone())
    }

    fn echo(&self) -> Bytes {
        // A tenth of a second of silence.
        google::wav(&[0; 4_800], 24_000).into()
    }
}
