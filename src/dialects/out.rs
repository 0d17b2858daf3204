//! JSON written member by member, so that carried values go out as they came in and members stay in order.

use crate::canonical::Json;

/// An object or a list being written.
#[derive(Debug)]
pub struct Out<'a> {
    text: &'a mut String,
    is_first: bool,
}

/// Writes an object.
pub fn object(fill: impl FnOnce(&mut Out<'_>)) -> String {
    let mut text = String::with_capacity(256);
    write_object(&mut text, fill);
    text
}

fn write_object(text: &mut String, fill: impl FnOnce(&mut Out<'_>)) {
    text.push('{');
    fill(&mut Out { text, is_first: true });
    text.push('}');
}

fn write_list(text: &mut String, fill: impl FnOnce(&mut Out<'_>)) {
    text.push('[');
    fill(&mut Out { text, is_first: true });
    text.push(']');
}

/// A string with its quotes.
#[must_use]
pub fn quoted(value: &str) -> String {
    // A string always serialises.
    serde_json::to_string(value).unwrap_or_else(|_| "\"\"".to_owned())
}

impl Out<'_> {
    fn next(&mut self) -> &mut String {
        if !std::mem::take(&mut self.is_first) {
            self.text.push(',');
        }
        self.text
    }

    fn key(&mut self, key: &str) -> &mut String {
        let text = self.next();
        text.push_str(&quoted(key));
        text.push(':');
        text
    }

    /// A string.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key).push_str(&quoted(value));
        self
    }

    /// A string, or no member.
    pub fn text_if(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(key, value);
        }
        self
    }

    /// A string, or `null`.
    pub fn text_or_null(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(key, value),
            None => self.raw(key, "null"),
        }
    }

    /// A number.
    pub fn number(&mut self, key: &str, value: impl Into<i128>) -> &mut Self {
        let value: i128 = value.into();
        self.key(key).push_str(&value.to_string());
        self
    }

    /// A truth value.
    pub fn boolean(&mut self, key: &str, value: bool) -> &mut Self {
        self.raw(key, if value { "true" } else { "false" })
    }

    /// A value that is written already. It must be well-formed.
    pub fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key).push_str(json);
        self
    }

    /// `null`.
    pub fn null(&mut self, key: &str) -> &mut Self {
        self.raw(key, "null")
    }

    /// A carried value, or no member.
    pub fn json_if(&mut self, key: &str, json: Option<&Json>) -> &mut Self {
        if let Some(json) = json {
            self.raw(key, json.as_str());
        }
        self
    }

    /// An object.
    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut Out<'_>)) -> &mut Self {
        write_object(self.key(key), fill);
        self
    }

    /// A list.
    pub fn list(&mut self, key: &str, fill: impl FnOnce(&mut Out<'_>)) -> &mut Self {
        write_list(self.key(key), fill);
        self
    }

    /// A list of strings.
    pub fn texts<T: AsRef<str>>(&mut self, key: &str, values: &[T]) -> &mut Self {
        self.list(key, |list| {
            for value in values {
                list.item_text(value.as_ref());
            }
        })
    }

    /// An object in a list.
    pub fn item(&mut self, fill: impl FnOnce(&mut Out<'_>)) -> &mut Self {
        write_object(self.next(), fill);
        self
    }

    /// A string in a list.
    pub fn item_text(&mut self, value: &str) -> &mut Self {
        self.next().push_str(&quoted(value));
        self
    }

    /// A value in a list that is written already.
    pub fn item_raw(&mut self, json: &str) -> &mut Self {
        self.next().push_str(json);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_in_order_and_carried_values_as_they_are() {
        let text = object(|out| {
            out.text("z", "a\"\u{7}").number("n", 3_u32).null("x");
            out.list("l", |list| {
                list.item(|item| {
                    item.boolean("b", true);
                });
                list.item_text("t").item_raw("1.0");
            });
            out.object("o", |_| {}).text_or_null("q", None).text_if("gone", None);
            out.raw("r", "{ \"k\" : 1.50 }");
        });
        assert_eq!(
            text,
            r#"{"z":"a\"\u0007","n":3,"x":null,"l":[{"b":true},"t",1.0],"o":{},"q":null,"r":{ "k" : 1.50 }}"#
        );
    }
}
