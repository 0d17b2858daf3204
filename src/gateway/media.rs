//! Sound and pictures in the frame that all operations share.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::dispatch::{Answer, Call};
use super::exif::{self, Stripped};
use super::failure::{Failure, Repeat};
use super::form::{Uploaded, write_multipart};
use super::prepare::{Manner, Prepared};
use super::query::NOTHING_KNOWN;
use super::refusals::Intake;
use super::sniff::{MediaKind, sniff_media};
use super::task::Task;
use super::{Denied, Gateway, Parts, sound};
use crate::canonical::text::Steps;
use crate::canonical::{BodyPart, TokenUsage};
use crate::dialects::media::{
    self, Drawing, Found, MediaRecipient, Medium, Penned, PennedBody, Speech, SpeechAnswer, Transcription,
};
use crate::dialects::native::{NativeReply, NativeStream, ProviderError, ReplyError};
use crate::dialects::question::{self, Answered, Sending};
use crate::domain::operation::{Operation, Transport};
use crate::domain::settings::ParameterStrategy;
use crate::fault::{Fault, Kind, Outcome};
use crate::ledger::estimate::Size;
use crate::providers::echo::{self, Options};
use crate::providers::{self, Provider};
use crate::routing::{Candidate, Target};
use crate::transport::RemoteContent;

/// Largest picture that is fetched from a provider.
const MAX_PICTURE_BYTES: usize = 32 * 1024 * 1024;
/// Largest picture that a client names by URL.
const MAX_NAMED_BYTES: usize = 20 * 1024 * 1024;
/// Bytes of text that a token is, about.
const BYTES_PER_TOKEN: u64 = 3;
/// Most pictures that are fetched for one request.
const MAX_FETCHES: usize = 16;

impl Gateway {
    /// Makes a transcript, or a translation, of an uploaded sound.
    ///
    /// # Errors
    /// What the caller is to be told; nothing of the answer was sent.
    pub async fn transcribe(&self, call: Call, form: Uploaded, is_translation: bool) -> Result<Answer, Denied> {
        let read = Transcription::read(form.form().clone(), is_translation);
        let mut asked = self.in_scope(&call, Operation::AudioTranscribe, form.bytes(), read)?;
        if let Some(file) = form.file(asked.place())
            && let Some(ms) = sound::length_ms(file).await
        {
            asked.lasts(ms);
        }
        self.serve(call, Box::new(asked), Some(form)).await
    }

    /// Makes speech of a text.
    ///
    /// # Errors
    /// What the caller is to be told; nothing of the answer was sent.
    pub async fn speak(&self, mut call: Call) -> Result<Answer, Denied> {
        let body = std::mem::take(&mut call.body);
        let bytes = body.len() as u64;
        let asked = self.in_scope(&call, Operation::AudioSpeech, bytes, Speech::scan(body))?;
        self.serve(call, Box::new(asked), None).await
    }

    /// Makes images of a text.
    ///
    /// # Errors
    /// What the caller is to be told; nothing of the answer was sent.
    pub async fn draw(&self, mut call: Call) -> Result<Answer, Denied> {
        let body = std::mem::take(&mut call.body);
        let bytes = body.len() as u64;
        let asked = self.in_scope(&call, Operation::ImageGenerate, bytes, Drawing::of_text(body))?;
        self.serve(call, Box::new(asked), None).await
    }

    /// Makes images of images: of a form, or of the JSON body of the call.
    ///
    /// # Errors
    /// What the caller is to be told; nothing of the answer was sent.
    pub async fn edit(&self, mut call: Call, form: Option<Uploaded>) -> Result<Answer, Denied> {
        let body = std::mem::take(&mut call.body);
        let (bytes, read) = match &form {
            Some(form) => (form.bytes(), Drawing::of_form(form.form().clone())),
            None => (body.len() as u64, Drawing::of_images(body)),
        };
        let asked = self.in_scope(&call, Operation::ImageEdit, bytes, read)?;
        self.serve(call, Box::new(asked), form).await
    }

    /// A request that could be read and whose model the caller may call; another one is recorded as refused.
    fn in_scope<M: Medium>(
        &self,
        call: &Call,
        operation: Operation,
        request_bytes: u64,
        read: Outcome<M>,
    ) -> Result<M, Denied> {
        let mut public_model = String::new();
        let read = read.and_then(|asked| {
            asked.model().clone_into(&mut public_model);
            call.caller.check_model(asked.model()).map(|()| asked)
        });
        read.map_err(|fault| {
            let intake = self.intake(&call.snapshot, &call.caller, operation.as_str(), &call.request_id);
            let tags = call.tags.clone();
            self.refused(Intake { operation, public_model, tags, request_bytes, ..intake }, &fault);
            fault.into()
        })
    }

    async fn serve(&self, call: Call, asked: Box<dyn Medium>, form: Option<Uploaded>) -> Result<Answer, Denied> {
        let boundary = self.boundary();
        let now = self.parts.clock.now().unix_s();
        Box::pin(self.perform(
            call,
            Arc::new(MediaTask { asked, form, boundary, now, strips_exif: self.parts.strips_exif }),
            None,
        ))
        .await
    }

    /// A boundary that no client can foresee.
    fn boundary(&self) -> String {
        let dice = || (self.parts.dice)(u64::MAX);
        format!("unified-{:016x}{:016x}", dice(), dice())
    }
}

/// A request for or about sound or pictures, on its way to candidates.
pub(super) struct MediaTask {
    asked: Box<dyn Medium>,
    form: Option<Uploaded>,
    boundary: String,
    now: i64,
    strips_exif: bool,
}

impl MediaTask {
    fn is_of_pictures(&self) -> bool {
        matches!(self.asked.operation(), Operation::ImageGenerate | Operation::ImageEdit)
    }

    fn recipient<'a>(&self, candidate: &'a Candidate, provider: &'a Provider) -> MediaRecipient<'a> {
        let target = &candidate.target;
        let found = target.resolved.operations.get(&self.asked.operation());
        MediaRecipient {
            transport: candidate.transport,
            model: &target.upstream_model,
            profile: found.map_or(&NOTHING_KNOWN, |found| &found.profile),
            ways: &provider.media,
            now: self.now,
        }
    }

    /// Writes it, with pictures in the place of URLs that the provider does not read.
    async fn write(&self, remote: &RemoteContent, to: &MediaRecipient<'_>) -> Result<Penned, Fault> {
        let urls = self.asked.urls();
        if urls.is_empty() || self.asked.reads_urls(to) {
            return self.asked.write(to);
        }
        let mut pictures = Vec::with_capacity(urls.len().min(MAX_FETCHES));
        for url in urls.into_iter().take(MAX_FETCHES) {
            let refuse = |why: String| Fault::invalid("images", format!("a picture could not be fetched: {why}"));
            let content = remote.fetch(&url, MAX_NAMED_BYTES).await.map_err(|error| refuse(error.to_string()))?;
            let media = sniff_media(&content).filter(|media| media.kind == MediaKind::Picture);
            let media_type = media.ok_or_else(|| refuse("it is not a picture".to_owned()))?.media_type;
            pictures.push(Found { url, media_type, content });
        }
        self.asked.with_pictures(&pictures).write(to)
    }

    fn sending(&self, penned: PennedBody, sibling: Option<&'static str>) -> Sending {
        let (parts, media_type) = match penned {
            PennedBody::Form(form) => {
                let media_type = format!("multipart/form-data; boundary={}", self.boundary);
                (write_multipart(&form, &self.boundary), Some(media_type))
            }
            PennedBody::Json(parts) => (parts, None),
        };
        if self.form.is_some() {
            return Sending { body: Vec::new(), media_type, parts, sibling };
        }
        let bytes = |part| match part {
            BodyPart::Bytes(bytes) => Some(bytes),
            // Without a form there are no files.
            BodyPart::File(_) | BodyPart::Base64(_) => None,
        };
        Sending { body: parts.into_iter().filter_map(bytes).collect(), media_type, parts: Vec::new(), sibling }
    }
}

#[async_trait]
impl Task for MediaTask {
    fn operation(&self) -> Operation {
        self.asked.operation()
    }

    fn contract(&self) -> &'static str {
        self.asked.contract()
    }

    fn model(&self) -> &str {
        self.asked.model()
    }

    fn size(&self) -> Size {
        let text_bytes = self.asked.text_bytes();
        let bytes = text_bytes.saturating_add(self.form.as_ref().map_or(0, Uploaded::file_bytes));
        // With a payload, nothing is learned of how many bytes of words a token is.
        Size { bytes, text_bytes, media: 1, ..Size::of(&[]) }
    }

    fn is_stream(&self) -> bool {
        self.asked.is_stream()
    }

    fn asks_stream(&self, candidate: &Candidate) -> bool {
        find(&candidate.target).is_ok_and(|provider| self.asked.asks_stream(&self.recipient(candidate, provider)))
    }

    fn transports(&self) -> &'static [Transport] {
        self.asked.transports()
    }

    fn expects(&self, _target: &Target, _input: u64) -> Option<TokenUsage> {
        // What was learned of the model counts sound and pictures, too; its text is what is estimated here.
        Some(self.asked.expects(self.asked.text_bytes().div_ceil(BYTES_PER_TOKEN)))
    }

    fn may_use(&self, _target: &Target, _input: u64) -> Option<TokenUsage> {
        // No token of a text is shorter than a byte.
        Some(self.asked.may_use(self.asked.text_bytes()))
    }

    fn streams_as(&self) -> Option<&'static str> {
        self.asked.is_bytes().then(|| self.asked.stream_type())
    }

    fn flows(&self, candidate: &Candidate, media_type: Option<&str>) -> bool {
        let kind = media_type.unwrap_or_default();
        if !self.asked.is_bytes() {
            return kind.starts_with("text/event-stream");
        }
        let gives_bytes = find(&candidate.target).is_ok_and(|found| found.media.speech_answer == SpeechAnswer::Bytes);
        candidate.transport == Transport::AudioSpeech && gives_bytes && !kind.starts_with("application/json")
    }

    fn tells(&self) -> bool {
        true
    }

    fn uploaded(&self) -> Option<&Uploaded> {
        self.form.as_ref()
    }

    async fn prepare(
        &self,
        parts: &Parts,
        candidate: &Candidate,
        manner: Manner,
        _end: Instant,
    ) -> Result<Prepared, Failure> {
        let provider = find(&candidate.target)?;
        let penned = self.write(&parts.remote, &self.recipient(candidate, provider)).await;
        let penned = penned.and_then(|penned| follow(manner, penned)).map_err(|fault| Failure::refused(&fault))?;
        let is_echo = provider.name == echo::PROVIDER.name;
        let sends = if is_echo { Vec::new() } else { vec![self.sending(penned.body, penned.sibling)] };
        Ok(Prepared { sends, dropped: penned.dropped, steps: Steps::default(), is_native: false })
    }

    fn read_error(&self, transport: Transport, body: &[u8]) -> ProviderError {
        question::read_error(transport, body)
    }

    fn read_reply(&self, candidate: &Candidate, mut answers: Vec<Answered>) -> Result<NativeReply, ReplyError> {
        let provider = find(&candidate.target).map_err(|_| ReplyError::Malformed("nobody has answered"))?;
        self.asked.read(&self.recipient(candidate, provider), answers.pop().unwrap_or_default())
    }

    fn relay(&self, candidate: &Candidate) -> Option<Box<dyn NativeStream>> {
        let provider = find(&candidate.target).ok()?;
        let relay = self.asked.relay(&self.recipient(candidate, provider));
        Some(if self.strips_exif && self.is_of_pictures() { Box::new(Stripped(relay)) } else { relay })
    }

    async fn complete(&self, parts: &Parts, reply: NativeReply) -> Result<NativeReply, Failure> {
        if !self.is_of_pictures() {
            return Ok(reply);
        }
        let reply = with_pictures(parts, reply).await?;
        if !self.strips_exif {
            return Ok(reply);
        }
        let body = Bytes::from(reply.body.concat());
        Ok(NativeReply { body: vec![exif::without_exif(&body).unwrap_or(body)], ..reply })
    }

    fn echo(&self, _candidate: &Candidate, _options: &Options) -> Result<VecDeque<Bytes>, Failure> {
        Ok(VecDeque::from([self.asked.echo()]))
    }
}

/// Pictures at URLs of the provider are fetched: the contract's answer is base64.
async fn with_pictures(parts: &Parts, reply: NativeReply) -> Result<NativeReply, Failure> {
    if reply.media_type.is_some() {
        return Ok(reply);
    }
    let body = Bytes::from(reply.body.concat());
    let urls = media::urls(&body);
    if urls.is_empty() {
        return Ok(NativeReply { body: vec![body], ..reply });
    }
    let failed = |why: String| Failure::transient(Repeat::Once, format!("an image could not be fetched: {why}"));
    let mut pictures = Vec::with_capacity(urls.len().min(MAX_FETCHES));
    for url in urls.iter().take(MAX_FETCHES) {
        let content = parts.remote.fetch(url, MAX_PICTURE_BYTES).await;
        pictures.push(content.map_err(|error| failed(error.to_string()))?);
    }
    let body =
        media::replace_urls(body, &pictures).ok_or_else(|| failed("the answer is not what it was".to_owned()))?;
    Ok(NativeReply { body: vec![body], ..reply })
}

fn find(target: &Target) -> Result<&'static Provider, Failure> {
    providers::find(&target.provider)
        .ok_or_else(|| Failure::configuration(format!("unknown provider `{}`", target.provider)))
}

/// The parameter policy, and the client's own wish.
fn follow(manner: Manner, penned: Penned) -> Result<Penned, Fault> {
    let Some(first) = penned.dropped.first() else { return Ok(penned) };
    let names = penned.dropped.join(", ");
    if manner.is_strict {
        let sentence = format!("With x-unified-strict nothing may be left out; this model cannot take: {names}");
        return Err(Fault::new(Kind::BadRequest).param(first.clone().into_owned()).say(sentence));
    }
    match manner.strategy {
        ParameterStrategy::Drop | ParameterStrategy::Allow => Ok(penned),
        ParameterStrategy::Error => {
            let sentence = format!("This model does not support: {names}");
            Err(Fault::new(Kind::UnsupportedParameter).param(first.clone().into_owned()).say(sentence))
        }
    }
}
