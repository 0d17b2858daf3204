//! Reads JSON bodies strictly: every wrong, repeated or unknown field is named, all of them at once, with what was sent
//! and what is expected. Numbers stay text until someone asks, so money never passes through a float.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::api::problems::Problems;
use crate::domain::money::NanoCents;
use crate::domain::patch::Patch;
use crate::fault::{Fault, Kind, Outcome};

/// Longest piece of a wrong value that is shown back.
const SHOWN_CHARS: usize = 40;

/// A JSON object being read.
#[derive(Debug)]
pub(super) struct Object<'a> {
    path: String,
    fields: BTreeMap<String, &'a RawValue>,
    known: Vec<&'static str>,
    secret: bool,
}

/// One value of it.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    /// Its path in the body.
    pub(super) path: String,
    raw: &'a str,
    secret: bool,
}

/// Reads a body: syntax first, then the fields through `read`, then what is left over.
///
/// # Errors
/// `InvalidJson` with line and column; `BadRequest` with every field that is wrong.
pub(super) fn read<T>(text: &str, read: impl FnOnce(&mut Object<'_>, &mut Problems) -> T) -> Outcome<T> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
        Fault::new(Kind::InvalidJson).say(format!("The body is not valid JSON: {error}.")).because(error)
    })?;
    let whole = Field { path: String::new(), raw: raw.get().trim(), secret: false };
    let mut problems = Problems::default();
    let mut object =
        whole.object().map_err(|problem| Fault::new(Kind::BadRequest).say(format!("The body {problem}.")))?;
    let value = read(&mut object, &mut problems);
    object.finish(&mut problems);
    problems.finish(value)
}

impl<'a> Object<'a> {
    /// A field: absent, `null` or a value.
    pub(super) fn take(&mut self, name: &'static str) -> Patch<Field<'a>> {
        self.known.push(name);
        match self.fields.remove(name) {
            None => Patch::Keep,
            Some(raw) if raw.get() == "null" => Patch::Clear,
            Some(raw) => Patch::Set(self.field(name, raw)),
        }
    }

    /// A field read in one way.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        problems: &mut Problems,
        read: impl FnOnce(&Field<'a>) -> Result<T, String>,
    ) -> Patch<T> {
        let path = self.path_of(name);
        let field = self.take(name);
        problems.turn(&path, field, |field| read(&field))
    }

    /// A text.
    pub(super) fn text(&mut self, name: &'static str, problems: &mut Problems) -> Patch<String> {
        self.read(name, problems, Field::text)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, name: &'static str, problems: &mut Problems) -> Patch<bool> {
        self.read(name, problems, Field::boolean)
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&mut self, name: &'static str, problems: &mut Problems) -> Patch<u32> {
        self.read(name, problems, Field::whole)
    }

    /// An amount of money in cents.
    pub(super) fn cents(&mut self, name: &'static str, problems: &mut Problems) -> Patch<NanoCents> {
        self.read(name, problems, Field::cents)
    }

    /// An object inside, read by `read`; what it leaves over is unknown.
    pub(super) fn object<T>(
        &mut self,
        name: &'static str,
        problems: &mut Problems,
        read: impl FnOnce(&mut Object<'a>, &mut Problems) -> T,
    ) -> Patch<T> {
        match self.take(name) {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(field) => field.read_object(problems, read).map_or(Patch::Keep, Patch::Set),
        }
    }

    /// From here on, values are never shown back.
    pub(super) fn hide_values(&mut self) {
        self.secret = true;
    }

    /// Every field that was not taken yet, for objects whose names are data.
    pub(super) fn rest(&mut self) -> Vec<(String, Field<'a>)> {
        let fields = std::mem::take(&mut self.fields);
        fields
            .into_iter()
            .map(|(name, raw)| {
                let field = self.field(&name, raw);
                (name, field)
            })
            .collect()
    }

    fn field(&self, name: &str, raw: &'a RawValue) -> Field<'a> {
        Field { path: self.path_of(name), raw: raw.get(), secret: self.secret }
    }

    /// The path of a field.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn finish(self, problems: &mut Problems) {
        for name in self.fields.keys() {
            let short: String = name.chars().take(80).collect();
            let hint = match self.known.iter().find(|known| are_alike(known, name)) {
                Some(known) => format!("is not a known field; did you mean `{known}`?"),
                None => format!("is not a known field; known are {}", self.known.join(", ")),
            };
            problems.add(self.path_of(&short), hint);
        }
    }
}

impl<'a> Field<'a> {
    /// A text.
    pub(super) fn text(&self) -> Result<String, String> {
        serde_json::from_str(self.raw).map_err(|_| self.not("a text"))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, String> {
        match self.raw {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.not("true or false")),
        }
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&self) -> Result<u32, String> {
        self.raw.parse().map_err(|_| self.not(&format!("a whole number from 0 to {}", u32::MAX)))
    }

    /// A large whole number that is not negative.
    pub(super) fn large(&self) -> Result<u64, String> {
        self.raw.parse().map_err(|_| self.not("a whole number that is not negative"))
    }

    /// A whole number.
    pub(super) fn integer(&self) -> Result<i32, String> {
        self.raw.parse().map_err(|_| self.not(&format!("a whole number from {} to {}", i32::MIN, i32::MAX)))
    }

    /// An amount of money in cents: a number, or a text that is one.
    pub(super) fn cents(&self) -> Result<NanoCents, String> {
        let decimal = match self.raw.bytes().next() {
            Some(b'"') => self.text()?,
            Some(b'0'..=b'9' | b'-') => self.raw.to_owned(),
            Some(_) | None => return Err(self.not("a number of cents, or a text that is one")),
        };
        NanoCents::parse_cents(&decimal).map_err(|error| error.to_string())
    }

    /// A word of a closed list.
    pub(super) fn word<T>(&self, parse: impl FnOnce(&str) -> Option<T>, allowed: &str) -> Result<T, String> {
        let text = self.text()?;
        parse(&text).ok_or_else(|| format!("{allowed}, not {}", self.shown()))
    }

    /// Whether it is `null`.
    pub(super) fn is_null(&self) -> bool {
        self.raw == "null"
    }

    /// The JSON text of an object.
    pub(super) fn json_object(&self) -> Result<String, String> {
        if self.raw.starts_with('{') { Ok(self.raw.to_owned()) } else { Err(self.not("a JSON object")) }
    }

    /// The items of a list.
    pub(super) fn list(&self) -> Result<Vec<Field<'a>>, String> {
        let items: Vec<&'a RawValue> = serde_json::from_str(self.raw).map_err(|_| self.not("a list"))?;
        let item = |(position, raw): (usize, &'a RawValue)| Field {
            path: format!("{}[{position}]", self.path),
            raw: raw.get(),
            secret: self.secret,
        };
        Ok(items.into_iter().enumerate().map(item).collect())
    }

    /// An object inside, read by `read`. `None` when it is none, which is noted.
    pub(super) fn read_object<T>(
        &self,
        problems: &mut Problems,
        read: impl FnOnce(&mut Object<'a>, &mut Problems) -> T,
    ) -> Option<T> {
        let mut object = problems.keep(&self.path, self.object())?;
        let value = read(&mut object, problems);
        object.finish(problems);
        Some(value)
    }

    fn object(&self) -> Result<Object<'a>, String> {
        if !self.raw.starts_with('{') {
            return Err(self.not("a JSON object"));
        }
        let pairs: Pairs<'a> = serde_json::from_str(self.raw).map_err(|error| {
            // The syntax was checked, so what is left is a name given twice.
            let message = error.to_string();
            message.split(" at line").next().unwrap_or("is not an object").to_owned()
        })?;
        Ok(Object { path: self.path.clone(), fields: pairs.0, known: Vec::new(), secret: self.secret })
    }

    fn not(&self, expected: &str) -> String {
        format!("must be {expected}, not {}", self.shown())
    }

    fn shown(&self) -> String {
        match self.raw.bytes().next() {
            Some(b'{') => "an object".to_owned(),
            Some(b'[') => "a list".to_owned(),
            Some(b'"') if self.secret => "a text".to_owned(),
            Some(b't' | b'f' | b'n') => self.raw.to_owned(),
            Some(_) | None if self.secret => "a number".to_owned(),
            Some(_) | None => shorten(self.raw),
        }
    }
}

fn shorten(raw: &str) -> String {
    if raw.chars().count() <= SHOWN_CHARS {
        return raw.to_owned();
    }
    let start: String = raw.chars().take(SHOWN_CHARS).collect();
    format!("{start}…")
}

/// Whether two names differ by case, separators or at most two letters.
fn are_alike(known: &str, sent: &str) -> bool {
    let plain = |name: &str| -> Vec<char> {
        name.chars().take(64).filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    let (known, sent) = (plain(known), plain(sent));
    let limit = if known.len() < 5 { 1 } else { 2 };
    known.len().abs_diff(sent.len()) <= limit && distance(&known, &sent) <= limit
}

/// Letters to insert, delete or replace to get from one word to the other.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.iter().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(to) {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The fields of an object; a name given twice is an error.
struct Pairs<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = BTreeMap<String, &'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((name, value)) = access.next_entry::<String, &'de RawValue>()? {
                    if fields.contains_key(&name) {
                        let short = shorten(&name);
                        return Err(serde::de::Error::custom(format_args!("has the field `{short}` twice")));
                    }
                    fields.insert(name, value);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Reader).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str, by: impl FnOnce(&mut Object<'_>, &mut Problems)) -> String {
        read(text, |object, problems| by(object, problems)).unwrap_err().message().to_owned()
    }

    #[test]
    fn a_field_is_kept_cleared_or_set() {
        let states = read(r#"{"a":null,"b":"x"}"#, |object, problems| {
            [object.text("a", problems), object.text("b", problems), object.text("c", problems)]
        });
        assert_eq!(states.unwrap(), [Patch::Clear, Patch::Set("x".to_owned()), Patch::Keep]);
    }

    #[test]
    fn wrong_types_say_where_what_was_sent_and_what_is_expected() {
        let long = format!(r#"{{"rpm":"{}"}}"#, "x".repeat(500));
        let cases = [
            (r#"{"rpm":"ten"}"#, r#"rpm: must be a whole number from 0 to 4294967295, not "ten""#),
            (r#"{"rpm":1.5}"#, "rpm: must be a whole number from 0 to 4294967295, not 1.5"),
            (r#"{"rpm":-1}"#, "rpm: must be a whole number from 0 to 4294967295, not -1"),
            (r#"{"rpm":[1]}"#, "rpm: must be a whole number from 0 to 4294967295, not a list"),
            (r#"{"rpm":{}}"#, "rpm: must be a whole number from 0 to 4294967295, not an object"),
            ("[]", "The body must be a JSON object, not a list."),
            (r#"{"rpm":1,"rpm":2}"#, "The body has the field `rpm` twice."),
        ];
        for (text, expected) in cases {
            assert_eq!(refusal(text, |object, problems| _ = object.whole("rpm", problems)), expected);
        }
        let message = refusal(&long, |object, problems| _ = object.whole("rpm", problems));
        assert!(message.len() < 120 && message.ends_with('…'), "{message}");
    }

    #[test]
    fn unknown_fields_are_named_with_the_likely_one() {
        let message = refusal(r#"{"maxBudgetCent":1,"max_budget_cents":2,"colour":3}"#, |object, problems| {
            _ = object.cents("maxBudgetCents", problems);
        });
        assert_eq!(
            message,
            "colour: is not a known field; known are maxBudgetCents; \
             maxBudgetCent: is not a known field; did you mean `maxBudgetCents`?; \
             max_budget_cents: is not a known field; did you mean `maxBudgetCents`?"
        );
    }

    #[test]
    fn money_is_read_as_decimal_text() {
        let amount = |text: &str| {
            read(text, |object, problems| object.cents("c", problems)).map_err(|fault| fault.message().to_owned())
        };
        assert_eq!(amount(r#"{"c":0.1}"#), Ok(Patch::Set(NanoCents(100_000_000))));
        assert_eq!(amount(r#"{"c":"9000000000.000000001"}"#), Ok(Patch::Set(NanoCents(9_000_000_000_000_000_001))));
        assert_eq!(amount(r#"{"c":9000000000.000000001}"#), Ok(Patch::Set(NanoCents(9_000_000_000_000_000_001))));
        assert_eq!(amount(r#"{"c":-1}"#), Err("c: must not be negative".to_owned()));
        assert_eq!(
            amount(r#"{"c":true}"#),
            Err("c: must be a number of cents, or a text that is one, not true".to_owned())
        );
    }

    #[test]
    fn broken_json_is_located() {
        let fault = read("{\n  \"a\": 1,\n  oops\n}", |_, _| ()).unwrap_err();
        assert_eq!(fault.kind(), Kind::InvalidJson);
        assert!(fault.message().contains("line 3 column 3"), "{fault}");
        assert_eq!(read("", |_, _| ()).unwrap_err().kind(), Kind::InvalidJson);
        assert_eq!(read("{} {}", |_, _| ()).unwrap_err().kind(), Kind::InvalidJson);
    }

    #[test]
    fn secrets_are_not_shown_back() {
        let message = refusal(r#"{"credentials":{"apiKey":12345}}"#, |object, problems| {
            _ = object.object("credentials", problems, |inner, problems| {
                inner.hide_values();
                _ = inner.text("apiKey", problems);
            });
        });
        assert_eq!(message, "credentials.apiKey: must be a text, not a number");
    }
}
