//! A request in parts: a `multipart/form-data` form as it came, and the body of a request that is written with its files.
//! Files are spoken of by their place; where their bytes lie is the gateway's business.

use bytes::Bytes;

/// A form, its fields in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Form {
    /// The fields. A name may occur several times.
    pub fields: Vec<Field>,
}

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name, as sent: `file`, `timestamp_granularities[]`.
    pub name: String,
    /// What it holds.
    pub value: FieldValue,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldValue {
    /// Text.
    Text(String),
    /// A file.
    File(FileRef),
    /// A file whose bytes are at hand: one that came inside JSON.
    Inline {
        /// A name with the extension of what it is.
        name: String,
        /// What it is.
        media_type: String,
        /// Its bytes.
        content: Bytes,
    },
}

/// A file of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// Its place among the files of the request.
    pub place: usize,
    /// A name without a path, with the extension of what it is.
    pub name: String,
    /// What its bytes are, as a media type; what the client called them does not count.
    pub media_type: &'static str,
    /// Its size.
    pub bytes: u64,
}

/// A part of a body that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyPart {
    /// These bytes.
    Bytes(Bytes),
    /// The file at this place.
    File(usize),
    /// The file at this place, in base64.
    Base64(usize),
}

impl Form {
    /// The text of the first field of this name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).next()
    }

    /// The texts of all fields of this name, with or without `[]` behind it.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |field| field.is(name)).filter_map(|field| match &field.value {
            FieldValue::Text(text) => Some(text.as_str()),
            FieldValue::File(_) | FieldValue::Inline { .. } => None,
        })
    }

    /// The files of all fields of this name, with or without `[]` behind it.
    pub fn files(&self, name: &str) -> impl Iterator<Item = &FileRef> {
        self.fields.iter().filter(move |field| field.is(name)).filter_map(|field| match &field.value {
            FieldValue::File(file) => Some(file),
            FieldValue::Text(_) | FieldValue::Inline { .. } => None,
        })
    }

    /// Sets a text field: in the place of the first of this name, whose others go, or at the end.
    pub fn set(&mut self, name: &str, text: impl Into<String>) {
        let place = self.fields.iter().position(|field| field.is(name));
        let field = Field { name: name.to_owned(), value: FieldValue::Text(text.into()) };
        self.remove(name);
        match place {
            Some(place) => self.fields.insert(place.min(self.fields.len()), field),
            None => self.fields.push(field),
        }
    }

    /// Takes all fields of this name out. Answers whether there were any.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.fields.len();
        self.fields.retain(|field| !field.is(name));
        before != self.fields.len()
    }
}

impl Field {
    /// Whether it has this name, with or without `[]` behind it.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.base_name() == name
    }

    /// Its name without `[]`.
    #[must_use]
    pub fn base_name(&self) -> &str {
        self.name.strip_suffix("[]").unwrap_or(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, text: &str) -> Field {
        Field { name: name.to_owned(), value: FieldValue::Text(text.to_owned()) }
    }

    #[test]
    fn a_field_is_replaced_where_it_is_and_others_keep_their_order() {
        let mut form = Form { fields: vec![text("a", "1"), text("model", "x"), text("k[]", "1"), text("k[]", "2")] };
        form.set("model", "y");
        form.set("new", "z");
        let names: Vec<&str> = form.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["a", "model", "k[]", "k[]", "new"]);
        assert_eq!(form.text("model"), Some("y"));
        assert_eq!(form.texts("k").collect::<Vec<_>>(), ["1", "2"]);
        assert!(form.remove("k"));
        assert!(!form.remove("k"));
    }
}
