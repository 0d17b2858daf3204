//! What providers make of the wires for sound and pictures: a row of data for each, no provider is named here.

/// How a provider answers transcriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TranscriptAnswer {
    /// In the format that is asked for.
    AsAsked,
    /// In JSON with a text and its segments, whatever is asked for: it knows no `response_format`.
    Segments,
}

/// How a provider answers speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeechAnswer {
    /// With the sound.
    Bytes,
    /// With JSON that has the sound in `audio_data`, in base64.
    Json,
}

/// What a provider makes of the `response_format` of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormatField {
    /// It refuses the field, and answers in base64.
    Refuses,
    /// It answers with URLs unless `b64_json` is asked for.
    Asked,
}

/// How a provider is told the size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageSizeField {
    /// `size`, where `auto` is a value.
    SizeOrAuto,
    /// `size` in pixels; `auto` is its absence.
    Size,
    /// `aspect_ratio` and `resolution`.
    AspectRatio,
}

/// How a provider takes edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditBody {
    /// As a form or as JSON.
    Either,
    /// As a form.
    Form,
    /// As JSON with `image`, or `images` for several, as `{url, type}`.
    ImageUrl,
}

/// What a provider makes of the wires for sound and pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaWays {
    /// Formats of transcripts that it writes; empty: not known, all are asked for.
    pub transcripts: &'static [&'static str],
    /// How it answers transcriptions.
    pub transcript_answer: TranscriptAnswer,
    /// Whether it streams transcripts.
    pub streams_transcripts: bool,
    /// Whether lists of a form have `[]` behind their names.
    pub brackets: bool,
    /// Fields of a transcription under other names.
    pub transcript_renames: &'static [(&'static str, &'static str)],
    /// Fields of a transcription that it refuses.
    pub transcript_refuses: &'static [&'static str],
    /// How it answers speech.
    pub speech_answer: SpeechAnswer,
    /// Formats of speech that it writes; empty: all.
    pub speech_formats: &'static [&'static str],
    /// Fields of speech under other names.
    pub speech_renames: &'static [(&'static str, &'static str)],
    /// Fields of speech that it refuses.
    pub speech_refuses: &'static [&'static str],
    /// What it makes of `response_format` of images.
    pub image_format: ImageFormatField,
    /// How it is told the size of an image.
    pub image_size: ImageSizeField,
    /// Fields of images that it refuses.
    pub image_refuses: &'static [&'static str],
    /// Whether it streams images.
    pub streams_images: bool,
    /// How it takes edits.
    pub edits: EditBody,
    /// Most images of one request.
    pub most_images: u64,
}

impl MediaWays {
    /// OpenAI itself.
    pub const REFERENCE: Self = Self {
        transcripts: &[],
        transcript_answer: TranscriptAnswer::AsAsked,
        streams_transcripts: true,
        brackets: true,
        transcript_renames: &[],
        transcript_refuses: &[],
        speech_answer: SpeechAnswer::Bytes,
        speech_formats: &[],
        speech_renames: &[],
        speech_refuses: &[],
        image_format: ImageFormatField::Refuses,
        image_size: ImageSizeField::SizeOrAuto,
        image_refuses: &[],
        streams_images: true,
        edits: EditBody::Either,
        most_images: 10,
    };

    /// A host that speaks the wires of OpenAI.
    pub const HOST: Self = Self {
        transcript_refuses: &["chunking_strategy", "known_speaker_names", "known_speaker_references"],
        image_format: ImageFormatField::Asked,
        image_size: ImageSizeField::Size,
        edits: EditBody::Form,
        ..Self::REFERENCE
    };
}
