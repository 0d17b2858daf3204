//! Requests for images in the wire of the contract, as providers make something of it: JSON, a form, or JSON with pictures
//! as URLs.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::drawing::{Drawing, streams};
use super::given::Picture;
use super::{ImageFormatField, ImageSizeField, MediaRecipient, Penned, PennedBody, unsupported};
use crate::canonical::{BodyPart, Field, FieldValue, Form};
use crate::dialects::out::quoted;
use crate::dialects::raw::{RawObject, json_string};
use crate::fault::{Fault, Outcome};

const PARTIAL_IMAGES: &str = "partial_images";

impl Drawing {
    /// Whether partial images are asked for that nobody is going to send.
    fn loses_partial_images(&self, to: &MediaRecipient<'_>) -> bool {
        !streams(to) && self.stated().iter().any(|name| name == PARTIAL_IMAGES)
    }

    /// The body as it came but for a few fields.
    pub(super) fn write_json(&self, raw: &RawObject, to: &MediaRecipient<'_>) -> Outcome<Penned> {
        let mut splice = raw.splice();
        splice.set("model", json_string(to.model));
        match to.ways.image_format {
            ImageFormatField::Refuses => splice.remove("response_format"),
            ImageFormatField::Asked => splice.set("response_format", Bytes::from_static(b"\"b64_json\"")),
        }
        let mut dropped = Vec::new();
        for field in to.ways.image_refuses.iter().filter(|field| raw.get(field).is_some()) {
            splice.remove(field);
            dropped.push(Cow::Borrowed(*field));
        }
        match to.ways.image_size {
            ImageSizeField::Size if self.wishes.size.is_none() => splice.remove("size"),
            ImageSizeField::SizeOrAuto | ImageSizeField::Size => {}
            ImageSizeField::AspectRatio => {
                splice.remove("size");
                if let Some((shape, resolution)) = self.wishes.resolution(to)? {
                    splice.set("aspect_ratio", json_string(shape));
                    if let Some(resolution) = resolution {
                        splice.set("resolution", json_string(resolution));
                    }
                }
            }
        }
        if !streams(to) {
            // The answer comes whole and is told as a stream.
            splice.remove("stream");
            splice.remove(PARTIAL_IMAGES);
            dropped.extend(self.loses_partial_images(to).then_some(Cow::Borrowed(PARTIAL_IMAGES)));
        }
        Ok(Penned { dropped, ..Penned::json(splice.finish()) })
    }

    /// The form as a provider gets it.
    pub(super) fn write_form(&self, form: &Form, to: &MediaRecipient<'_>) -> Outcome<Penned> {
        let mut form = form.clone();
        form.set("model", to.model);
        match to.ways.image_format {
            ImageFormatField::Refuses => _ = form.remove("response_format"),
            ImageFormatField::Asked => form.set("response_format", "b64_json"),
        }
        if to.ways.image_size == ImageSizeField::Size && self.wishes.size.is_none() {
            form.remove("size");
        }
        let mut dropped = Vec::new();
        for field in to.ways.image_refuses {
            if form.remove(field) {
                dropped.push(Cow::Borrowed(*field));
            }
        }
        if !streams(to) {
            form.remove("stream");
            form.remove(PARTIAL_IMAGES);
            dropped.extend(self.loses_partial_images(to).then_some(Cow::Borrowed(PARTIAL_IMAGES)));
        }
        Ok(Penned { body: PennedBody::Form(form), sibling: None, dropped })
    }

    /// The JSON of the client as a form: texts and numbers as they are, pictures as files.
    pub(super) fn form_of(&self, raw: &RawObject) -> Outcome<Form> {
        let mut form = Form::default();
        for key in raw.keys().filter(|key| !matches!(*key, "images" | "mask")) {
            let json = raw.get(key).unwrap_or_default();
            let text = match raw.read::<String>(key) {
                Ok(None) => continue,
                Ok(Some(text)) => text,
                // A number, a truth value, or JSON that the provider reads as such.
                Err(_) => String::from_utf8_lossy(json).into_owned(),
            };
            form.fields.push(Field { name: key.to_owned(), value: FieldValue::Text(text) });
        }
        let pictures = self.images.iter().map(|image| ("image[]", image));
        for (name, picture) in pictures.chain(self.mask.iter().map(|mask| ("mask", mask))) {
            let Picture::Data { media_type, data } = picture else {
                return Err(unsupported("images", "file_id", "pictures as files, data URLs or URLs"));
            };
            let content = STANDARD.decode(data).map_err(|_| Fault::invalid("images", "must be a picture in base64"))?;
            let extension = media_type.rsplit('/').next().unwrap_or("png");
            let value = FieldValue::Inline {
                name: format!("image.{extension}"),
                media_type: media_type.clone(),
                content: content.into(),
            };
            form.fields.push(Field { name: name.to_owned(), value });
        }
        Ok(form)
    }

    /// JSON with every picture as `{"url","type"}`.
    pub(super) fn write_image_urls(&self, to: &MediaRecipient<'_>) -> Outcome<Penned> {
        self.without_mask()?;
        let mut text = format!("{{\"model\":{},\"prompt\":{}", quoted(to.model), quoted(&self.wishes.prompt));
        if self.wishes.count > 1 {
            text.push_str(&format!(",\"n\":{}", self.wishes.count));
        }
        if let Some((shape, resolution)) = self.wishes.resolution(to)? {
            text.push_str(&format!(",\"aspect_ratio\":{}", quoted(shape)));
            if let Some(resolution) = resolution {
                text.push_str(&format!(",\"resolution\":{}", quoted(resolution)));
            }
        }
        text.push_str(",\"response_format\":\"b64_json\",");
        let is_list = self.images.len() > 1;
        text.push_str(if is_list { "\"images\":[" } else { "\"image\":" });
        let mut parts = Vec::new();
        for (at, picture) in self.images.iter().enumerate() {
            text.push_str(if at > 0 {
                ",{\"type\":\"image_url\",\"url\":"
            } else {
                "{\"type\":\"image_url\",\"url\":"
            });
            picture.push_url(&mut text, &mut parts)?;
            text.push('}');
        }
        text.push_str(if is_list { "]}" } else { "}" });
        parts.push(BodyPart::Bytes(Bytes::from(text)));
        Ok(self.translated(Penned { body: PennedBody::Json(parts), sibling: None, dropped: Vec::new() }, &[]))
    }
}
