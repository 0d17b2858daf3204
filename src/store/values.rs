//! What the backends share: reading rows with distrust, and the values of columns. What does not parse is named by column,
//! without its contents.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::ids::Revision;
use crate::domain::names::PublicModel;
use crate::domain::page::{Page, PageRequest};
use crate::fault::{Fault, Kind, Outcome};
use crate::store::BadRow;

/// Why a row cannot be understood.
pub(super) type Reason = String;

/// The columns of one row of a backend: `readers!(Row, Database)` makes `Fields` and its readers.
macro_rules! readers {
    ($row:ty, $database:ty) => {
        /// The columns of one row.
        pub(super) struct Fields<'r>(pub(super) &'r $row);

        impl<'r> Fields<'r> {
            fn get<T>(&self, column: &'static str) -> Result<T, Reason>
            where
                T: Decode<'r, $database> + Type<$database>,
            {
                self.0.try_get(column).map_err(|_| format!("{column} has another type"))
            }

            pub(super) fn text(&self, column: &'static str) -> Result<&'r str, Reason> {
                self.get(column)
            }

            pub(super) fn owned(&self, column: &'static str) -> Result<String, Reason> {
                self.get(column)
            }

            pub(super) fn optional_owned(&self, column: &'static str) -> Result<Option<String>, Reason> {
                self.get(column)
            }

            pub(super) fn flag(&self, column: &'static str) -> Result<bool, Reason> {
                self.get(column)
            }

            pub(super) fn bytes(&self, column: &'static str) -> Result<&'r [u8], Reason> {
                self.get(column)
            }

            pub(super) fn optional_bytes(&self, column: &'static str) -> Result<Option<&'r [u8]>, Reason> {
                self.get(column)
            }

            pub(super) fn number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, Reason> {
                T::try_from(self.get(column)?).map_err(|_| format!("{column} is out of range"))
            }

            pub(super) fn optional_number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>, Reason> {
                let number: Option<i64> = self.get(column)?;
                number.map(T::try_from).transpose().map_err(|_| format!("{column} is out of range"))
            }

            pub(super) fn revision(&self) -> Result<Revision, Reason> {
                self.get("revision").map(Revision)
            }

            pub(super) fn time(&self, column: &'static str) -> Result<Timestamp, Reason> {
                self.get(column).map(Timestamp::from_unix_ms)
            }

            pub(super) fn optional_time(&self, column: &'static str) -> Result<Option<Timestamp>, Reason> {
                let ms: Option<i64> = self.get(column)?;
                Ok(ms.map(Timestamp::from_unix_ms))
            }

            pub(super) fn model(&self, column: &'static str) -> Result<PublicModel, Reason> {
                PublicModel::parse(self.text(column)?).map_err(|why| format!("{column} {why}"))
            }

            pub(super) fn models(&self, column: &'static str) -> Result<Vec<PublicModel>, Reason> {
                let names: Vec<String> = self.json(column)?;
                names
                    .iter()
                    .map(|name| PublicModel::parse(name))
                    .collect::<Result<_, _>>()
                    .map_err(|why| format!("a name in {column} {why}"))
            }

            pub(super) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, Reason> {
                $crate::store::values::from_json(column, self.text(column)?)
            }

            pub(super) fn optional_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>, Reason> {
                let text: Option<&str> = self.get(column)?;
                text.map(|text| $crate::store::values::from_json(column, text)).transpose()
            }

            pub(super) fn optional_word<T>(
                &self,
                column: &'static str,
                parse: impl FnOnce(&str) -> Option<T>,
            ) -> Result<Option<T>, Reason> {
                let word: Option<&str> = self.get(column)?;
                word.map(|word| parse(word).ok_or_else(|| format!("{column} holds an unknown word"))).transpose()
            }
        }
    };
}
pub(super) use readers;

/// A value from the JSON text of a column.
pub(super) fn from_json<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, Reason> {
    // The parser's own words can quote the contents, so they are not passed on.
    serde_json::from_str(text).map_err(|_| format!("{column} is not understood"))
}

/// A value as JSON text for a column.
pub(super) fn to_json(value: &impl Serialize) -> Outcome<String> {
    serde_json::to_string(value).map_err(|error| Fault::new(Kind::Internal).because(error))
}

/// An optional value as JSON text for a column.
pub(super) fn to_optional_json(value: Option<&impl Serialize>) -> Outcome<Option<String>> {
    value.map(to_json).transpose()
}

/// The names of models as JSON text for a column.
pub(super) fn models_to_json(models: &[PublicModel]) -> Outcome<String> {
    to_json(&models.iter().map(PublicModel::as_str).collect::<Vec<_>>())
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// The fault of a single read that met a bad row.
pub(super) fn bad_row(noun: &'static str, bad: &BadRow) -> Fault {
    Fault::new(Kind::Internal)
        .say(format!("The stored {noun} {} cannot be understood ({}); delete it or write it anew.", bad.id, bad.reason))
}

/// How many rows to ask for: one more than the page holds tells whether more follow.
pub(super) fn rows_wanted(page: &PageRequest) -> i64 {
    i64::from(page_len(page)) + 1
}

fn page_len(page: &PageRequest) -> u32 {
    page.limit.clamp(1, PageRequest::MAX_LIMIT)
}

/// Makes a page of the rows that were asked for by [`rows_wanted`].
pub(super) fn to_page<T>(mut items: Vec<T>, total: i64, page: &PageRequest) -> Page<T> {
    let len = usize::try_from(page_len(page)).unwrap_or(usize::MAX);
    let has_more = items.len() > len;
    items.truncate(len);
    Page { items, total: u32::try_from(total).unwrap_or(u32::MAX), has_more }
}

/// Refuses a write that was made for another revision of the row than the stored one.
pub(super) fn check_revision(noun: &'static str, stored: Revision, expected: Option<Revision>) -> Outcome<()> {
    match expected {
        Some(expected) if expected != stored => Err(Fault::new(Kind::Stale)
            .say(format!("The {noun} was changed in between: it is at revision {stored}, not {expected}."))),
        Some(_) | None => Ok(()),
    }
}

/// The fault of a write to a row that is not there.
pub(super) fn missing(noun: &'static str) -> Fault {
    Fault::new(Kind::NotFound).say(format!("There is no such {noun}."))
}
