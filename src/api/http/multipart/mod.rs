//! Reads `multipart/form-data` bodies: text into memory, files to disk as they come, all of it under caps.
//!
//! The parser buffers whatever its stream has, so it is fed a piece at a time, and never more than a head's worth without
//! progress: a part that never begins, or a head that never ends, costs no more memory than that.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use multer::{Field, Multipart};

use super::body::{BROKEN, BodyReader, Share};
use crate::fault::{Fault, Kind, Outcome};
use crate::gateway::Uploads;
use crate::gateway::form::{Carries, Uploaded};

/// Most parts of a form.
const MAX_PARTS: usize = 1_000;
/// Longest name of a field, in bytes.
const MAX_NAME_BYTES: usize = 200;
/// Most bytes before a part begins, or of its head.
const MAX_HEAD_BYTES: usize = 256 * 1024;
/// Largest text: a sample of a voice as a data URL.
const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;
/// All texts together.
const MAX_TEXTS_BYTES: usize = 16 * 1024 * 1024;
/// What boundaries and heads may add to a form's files.
const MAX_FRAMING_BYTES: usize = MAX_TEXTS_BYTES + 4 * 1024 * 1024;

/// Takes forms.
#[derive(Debug, Clone)]
pub struct FormReader {
    /// Keeps files.
    pub uploads: Uploads,
    /// Largest form of sound, in bytes of files.
    pub max_audio_bytes: usize,
    /// Largest form of pictures.
    pub max_image_bytes: usize,
}

/// A form, and its texts' share of the bytes in flight until it is dropped.
#[derive(Debug)]
pub struct HeldForm {
    /// The form.
    pub form: Uploaded,
    share: Share,
}

impl FormReader {
    /// Reads a form. `lists` are the fields that may occur several times.
    ///
    /// # Errors
    /// `MediaType`, `TooLarge`, `BadRequest` that names the field where there is one, `RequestTimeout`, `Unavailable`.
    pub(super) async fn read(
        &self,
        bodies: &BodyReader,
        headers: &HeaderMap,
        body: Body,
        carries: Carries,
        lists: &[&str],
    ) -> Outcome<HeldForm> {
        let max_bytes = match carries {
            Carries::Sound => self.max_audio_bytes,
            Carries::Pictures => self.max_image_bytes,
        };
        let boundary = boundary(headers)?;
        let stated = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if stated.is_some_and(|stated| stated > max_bytes.saturating_add(MAX_FRAMING_BYTES)) {
            return Err(too_large(max_bytes));
        }
        let unread = Arc::new(AtomicUsize::new(0));
        let stream = Paced { body: body.into_data_stream(), unread: Arc::clone(&unread), has_given: false };
        let mut reading = Reading {
            uploads: &self.uploads,
            bodies,
            parts: Multipart::new(stream, boundary),
            unread,
            carries,
            max_bytes,
            file_bytes: 0,
            text_bytes: 0,
        };
        let mut held = HeldForm { form: Uploaded::default(), share: bodies.share() };
        let mut count = 0;
        while let Some(part) = reading.next().await? {
            count += 1;
            if count > MAX_PARTS {
                return Err(Fault::new(Kind::BadRequest).say(format!("The form has more than {MAX_PARTS} parts.")));
            }
            reading.take(part, &mut held).await?;
        }
        held.form.check(lists)?;
        Ok(held)
    }
}

/// A form under way.
struct Reading<'a> {
    uploads: &'a Uploads,
    bodies: &'a BodyReader,
    parts: Multipart<'static>,
    unread: Arc<AtomicUsize>,
    carries: Carries,
    max_bytes: usize,
    file_bytes: usize,
    text_bytes: usize,
}

impl Reading<'_> {
    async fn next(&mut self) -> Outcome<Option<Field<'static>>> {
        let next = tokio::time::timeout(self.bodies.read_timeout, self.parts.next_field()).await;
        let next = next.map_err(|_| Fault::new(Kind::RequestTimeout))?.map_err(broken);
        self.unread.store(0, Ordering::Relaxed);
        next
    }

    async fn chunk(&mut self, part: &mut Field<'static>) -> Outcome<Option<Bytes>> {
        let next = tokio::time::timeout(self.bodies.read_timeout, part.chunk()).await;
        let next = next.map_err(|_| Fault::new(Kind::RequestTimeout))?.map_err(broken);
        self.unread.store(0, Ordering::Relaxed);
        next
    }

    async fn take(&mut self, mut part: Field<'static>, held: &mut HeldForm) -> Outcome<()> {
        let name = part.name().unwrap_or_default().to_owned();
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(char::is_control) {
            let sentence =
                format!("A part of the form has no name, or one that cannot be read (1 to {MAX_NAME_BYTES} bytes).");
            return Err(Fault::new(Kind::BadRequest).say(sentence));
        }
        // Only a file name makes a part a file: many clients state a type for texts, too.
        match part.file_name().map(str::to_owned) {
            None => self.take_text(name, &mut part, held).await,
            Some(file_name) => self.take_file(name, &file_name, &mut part, held).await,
        }
    }

    async fn take_text(&mut self, name: String, part: &mut Field<'static>, held: &mut HeldForm) -> Outcome<()> {
        let mut text = Vec::new();
        while let Some(bytes) = self.chunk(part).await? {
            self.text_bytes += bytes.len();
            if text.len() + bytes.len() > MAX_TEXT_BYTES || self.text_bytes > MAX_TEXTS_BYTES {
                let sentence = format!(
                    "{name}: the text is larger than {MAX_TEXT_BYTES} bytes, or all texts together than {MAX_TEXTS_BYTES}."
                );
                return Err(Fault::new(Kind::TooLarge).param(name).say(sentence));
            }
            self.bodies.add_to(&mut held.share, bytes.len())?;
            text.extend_from_slice(&bytes);
        }
        let text = String::from_utf8(text)
            .map_err(|_| Fault::invalid(name.clone(), "must be UTF-8 text, or have a file name"))?;
        held.form.push_text(name, text);
        Ok(())
    }

    async fn take_file(
        &mut self,
        name: String,
        file_name: &str,
        part: &mut Field<'static>,
        held: &mut HeldForm,
    ) -> Outcome<()> {
        let mut writer = self.uploads.create().await?;
        while let Some(bytes) = self.chunk(part).await? {
            self.file_bytes += bytes.len();
            if self.file_bytes > self.max_bytes {
                return Err(too_large(self.max_bytes).param(name));
            }
            self.uploads.write(&mut writer, &bytes).await?;
        }
        let file = writer.finish().await?;
        held.form.push_file(name, Some(file_name), file, self.carries)
    }
}

fn too_large(max_bytes: usize) -> Fault {
    Fault::new(Kind::TooLarge).say(format!("The files of the form are larger than {max_bytes} bytes."))
}

fn boundary(headers: &HeaderMap) -> Outcome<String> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("multipart/form-data") {
        let shown: String = essence.chars().take(100).collect();
        let sent = if shown.is_empty() { "none".to_owned() } else { format!("`{shown}`") };
        let sentence = format!("The content-type must be multipart/form-data; the request has {sent}.");
        return Err(Fault::new(Kind::MediaType).say(sentence));
    }
    // Encodings that are read were taken off before; what is still stated here is not one of them.
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Fault::new(Kind::MediaType).say("The content-encoding must be gzip, br, zstd or none."));
    }
    let boundary = multer::parse_boundary(kind).ok().filter(|boundary| (1..=200).contains(&boundary.len()));
    boundary.ok_or_else(|| {
        Fault::new(Kind::BadRequest).say("The content-type states no usable boundary of the form's parts.")
    })
}

fn broken(error: multer::Error) -> Fault {
    match error {
        multer::Error::StreamReadFailed(cause) if cause.is::<HeadTooLarge>() => {
            let sentence =
                format!("A part of the form does not begin, or its head does not end, within {MAX_HEAD_BYTES} bytes.");
            Fault::new(Kind::BadRequest).say(sentence)
        }
        multer::Error::StreamReadFailed(cause) => Fault::new(Kind::BadRequest).say(BROKEN).because(cause),
        multer::Error::IncompleteStream | multer::Error::IncompleteFieldData { .. } => {
            Fault::new(Kind::BadRequest).say("The form breaks off, or is not divided by its boundary.").because(error)
        }
        other => {
            Fault::new(Kind::BadRequest).say("The form cannot be read: a head of a part is malformed.").because(other)
        }
    }
}

/// More came than a head may have, and nothing was made of it.
#[derive(Debug, thiserror::Error)]
#[error("the head of a part is too large")]
struct HeadTooLarge;

/// A body that gives one piece each time it is asked.
struct Paced {
    body: BodyDataStream,
    /// Bytes given since something was made of them.
    unread: Arc<AtomicUsize>,
    has_given: bool,
}

impl Stream for Paced {
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.has_given) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = std::task::ready!(Pin::new(&mut self.body).poll_next(context));
        if let Some(Ok(bytes)) = &next {
            self.has_given = true;
            if self.unread.fetch_add(bytes.len(), Ordering::Relaxed) > MAX_HEAD_BYTES {
                return Poll::Ready(Some(Err(HeadTooLarge.into())));
            }
        }
        Poll::Ready(next.map(|next| next.map_err(Into::into)))
    }
}

#[cfg(test)]
mod tests;
