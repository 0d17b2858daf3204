//! A transcript apart from its format: read from any JSON with a text and its segments, written in any format.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::canonical::TokenUsage;
use crate::dialects::node::{Members, Node};
use crate::dialects::out;

/// A format of transcripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Text,
    Srt,
    Vtt,
    VerboseJson,
    DiarizedJson,
}

impl Format {
    pub(super) const ALL: [Self; 6] =
        [Self::Json, Self::Text, Self::Srt, Self::Vtt, Self::VerboseJson, Self::DiarizedJson];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::VerboseJson => "verbose_json",
            Self::DiarizedJson => "diarized_json",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }

    /// The media type of an answer; `None`: JSON.
    pub(super) const fn media_type(self) -> Option<&'static str> {
        match self {
            Self::Json | Self::VerboseJson | Self::DiarizedJson => None,
            Self::Text | Self::Srt | Self::Vtt => Some("text/plain; charset=utf-8"),
        }
    }

    pub(super) const fn is_json(self) -> bool {
        self.media_type().is_none()
    }
}

/// A transcript.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Transcript {
    pub text: String,
    pub language: Option<String>,
    /// Seconds, as stated.
    pub duration: Option<f64>,
    pub segments: Vec<Segment>,
    /// Words with their times, as JSON.
    pub words: Option<String>,
    pub usage: TokenUsage,
}

/// A part of a transcript.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Segment {
    pub start: f64,
    pub end: f64,
    pub text: String,
    pub speaker: Option<String>,
}

impl Transcript {
    /// Reads JSON in the shapes of OpenAI and Mistral; `None` when it has no text.
    pub(super) fn read(root: &Members<'_>) -> Option<Self> {
        let text = root.any_text("text")?;
        let segments = root.any_list("segments");
        let segments = segments.iter().filter_map(|segment| read_segment(&segment.object().ok()?));
        let duration = root.get("duration").and_then(|duration| read_seconds(&duration));
        Some(Self {
            text,
            language: root.any_text("language"),
            duration,
            segments: segments.collect(),
            words: root.get("words").filter(Node::is_list).map(|words| words.raw().to_owned()),
            usage: read_usage(root),
        })
    }

    /// Writes it. `None`: the format needs times that it does not have.
    pub(super) fn write(&self, format: Format, task: &str, audio_ms: u64) -> Option<Bytes> {
        let needs_times = matches!(format, Format::Srt | Format::Vtt | Format::DiarizedJson);
        if needs_times && self.segments.is_empty() && !self.text.trim().is_empty() {
            return None;
        }
        Some(Bytes::from(match format {
            Format::Text => format!("{}\n", self.text.trim_end_matches('\n')),
            Format::Srt => self.subtitles("", ','),
            Format::Vtt => self.subtitles("WEBVTT\n\n", '.'),
            Format::Json => out::object(|out| {
                out.text("text", &self.text);
                self.write_usage(out, audio_ms);
            }),
            Format::VerboseJson => self.verbose(task, audio_ms),
            Format::DiarizedJson => self.diarized(task, audio_ms),
        }))
    }

    fn subtitles(&self, head: &str, point: char) -> String {
        let mut text = head.to_owned();
        for (number, segment) in self.segments.iter().enumerate() {
            if point == ',' {
                // Writing to a string cannot fail.
                _ = writeln!(text, "{}", number + 1);
            }
            let (start, end) = (timestamp(segment.start, point), timestamp(segment.end, point));
            // An empty line ends a subtitle, and an arrow begins its times.
            let lines: Vec<&str> = segment.text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            _ = write!(text, "{start} --> {end}\n{}\n\n", lines.join("\n").replace("-->", "->"));
        }
        text
    }

    fn verbose(&self, task: &str, audio_ms: u64) -> String {
        out::object(|out| {
            out.text("task", task).text("language", self.language.as_deref().unwrap_or_default());
            out.raw("duration", &number(self.seconds(audio_ms))).text("text", &self.text);
            out.list("segments", |list| {
                for (id, segment) in self.segments.iter().enumerate() {
                    list.item(|out| {
                        out.number("id", id as u64).number("seek", 0);
                        out.raw("start", &number(segment.start)).raw("end", &number(segment.end));
                        out.text("text", &segment.text).raw("tokens", "[]").number("temperature", 0);
                        out.number("avg_logprob", 0).number("compression_ratio", 0).number("no_speech_prob", 0);
                    });
                }
            });
            if let Some(words) = &self.words {
                out.raw("words", words);
            }
            self.write_usage(out, audio_ms);
        })
    }

    fn diarized(&self, task: &str, audio_ms: u64) -> String {
        out::object(|out| {
            out.text("task", task).raw("duration", &number(self.seconds(audio_ms))).text("text", &self.text);
            out.list("segments", |list| {
                for (id, segment) in self.segments.iter().enumerate() {
                    list.item(|out| {
                        out.text("type", "transcript.text.segment").text("id", &format!("seg_{id:03}"));
                        out.raw("start", &number(segment.start)).raw("end", &number(segment.end));
                        out.text("text", &segment.text);
                        out.text("speaker", segment.speaker.as_deref().unwrap_or("A"));
                    });
                }
            });
            self.write_usage(out, audio_ms);
        })
    }

    fn seconds(&self, audio_ms: u64) -> f64 {
        self.duration.unwrap_or_else(|| seconds(audio_ms))
    }

    pub(super) fn write_usage(&self, out: &mut out::Out<'_>, audio_ms: u64) {
        let usage = &self.usage;
        if usage.input + usage.output > 0 {
            out.object("usage", |out| {
                out.text("type", "tokens").number("input_tokens", usage.input).number("output_tokens", usage.output);
                out.number("total_tokens", usage.input.saturating_add(usage.output));
                out.object("input_token_details", |out| {
                    out.number("audio_tokens", usage.audio_input);
                    out.number("text_tokens", usage.input.saturating_sub(usage.audio_input));
                });
            });
        } else if audio_ms > 0 {
            out.object("usage", |out| {
                out.text("type", "duration").raw("seconds", &number(seconds(audio_ms)));
            });
        }
    }
}

fn read_segment(segment: &Members<'_>) -> Option<Segment> {
    let at = |name: &str| segment.get(name).and_then(|at| read_seconds(&at));
    let speaker = segment.any_text("speaker").or_else(|| segment.any_text("speaker_id"));
    Some(Segment { start: at("start")?, end: at("end")?, text: segment.any_text("text")?, speaker })
}

/// Seconds as a number, or as a number in a text.
fn read_seconds(node: &Node<'_>) -> Option<f64> {
    let seconds = node.read::<f64>().or_else(|| node.read::<String>()?.parse().ok())?;
    (seconds.is_finite() && seconds >= 0.0).then_some(seconds)
}

/// What an answer states of tokens and of the length of the sound, in the shapes of OpenAI and Mistral.
pub(super) fn read_usage(root: &Members<'_>) -> TokenUsage {
    let usage = root.any_object("usage");
    let count = |names: [&str; 2]| names.iter().find_map(|name| usage.any_count(name)).unwrap_or_default();
    let details = usage.any_object("input_token_details");
    let stated = ["seconds", "prompt_audio_seconds"].iter().find_map(|name| read_seconds(&usage.get(name)?));
    let seconds = stated.or_else(|| read_seconds(&root.get("duration")?));
    TokenUsage {
        input: count(["input_tokens", "prompt_tokens"]),
        output: count(["output_tokens", "completion_tokens"]),
        audio_input: details.any_count("audio_tokens").unwrap_or_default(),
        audio_ms: seconds.map(to_ms).unwrap_or_default(),
        ..TokenUsage::default()
    }
}

/// Milliseconds, rounded up: what is begun is paid.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float is saturated, and none is negative"
)]
fn to_ms(seconds: f64) -> u64 {
    // Thousandths are not exact in binary: what is over by less than one of a thousandth is not over.
    (seconds * 1_000.0 - 0.000_1).ceil() as u64
}

#[expect(clippy::cast_precision_loss, reason = "no sound is long enough")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value}") } else { "0".to_owned() }
}

/// `00:01:02,345`
fn timestamp(at: f64, point: char) -> String {
    let ms = to_ms(at);
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    format!("{hours:02}:{minutes:02}:{:02}{point}{:03}", ms / 1_000 % 60, ms % 1_000)
}

/// When a segment ends.
pub(super) fn end_ms(segment: &Segment) -> u64 {
    to_ms(segment.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_subtitles_have_them() {
        for (at, text) in
            [(0.0, "00:00:00,000"), (1.5, "00:00:01,500"), (0.1 + 0.2, "00:00:00,300"), (3_661.25, "01:01:01,250")]
        {
            assert_eq!(timestamp(at, ','), text);
        }
        assert_eq!((to_ms(2.0), to_ms(2.0001), to_ms(0.0), to_ms(f64::MAX)), (2_000, 2_001, 0, u64::MAX));
    }

    #[test]
    fn a_format_with_times_is_not_made_of_none() {
        let bare = Transcript { text: "Hi".to_owned(), ..Transcript::default() };
        for format in [Format::Srt, Format::Vtt, Format::DiarizedJson] {
            assert_eq!(bare.write(format, "transcribe", 5), None);
        }
        assert_eq!(bare.write(Format::Text, "transcribe", 5).as_deref(), Some(&b"Hi\n"[..]));
        let json = bare.write(Format::Json, "transcribe", 1_500).unwrap();
        assert_eq!(&json[..], br#"{"text":"Hi","usage":{"type":"duration","seconds":1.5}}"#);
        // Silence has no subtitles, and that is whole.
        assert_eq!(Transcript::default().write(Format::Vtt, "transcribe", 5).as_deref(), Some(&b"WEBVTT\n\n"[..]));
    }
}
