//! JSON read step by step, each value knowing its path, so that an error names the field and raw text is never lost.
//!
//! Requests are read strictly (`Outcome`), answers of providers leniently (`Option`): both over the same nodes.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::canonical::Json;
use crate::fault::{Fault, Outcome};

/// A value and where it is.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    raw: &'a str,
    path: String,
    unread: Option<Unread>,
}

/// The members of an object. `null` counts as absent.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    entries: Vec<(Cow<'a, str>, &'a str)>,
    path: String,
    pending: Option<Rc<Pending>>,
}

/// Collects the paths of members that nobody looked at while a document was read, so that a field that a reader does not
/// know cannot be lost without a word. Paths have no indices: `tools.defer_loading`.
#[derive(Debug, Clone)]
pub struct Unread {
    paths: Rc<RefCell<Vec<String>>>,
    /// Paths that need no word, and all below them: what others have no use for, or what is read elsewhere.
    known: &'static [&'static str],
}

/// Most paths that are collected; each once.
const MOST_UNREAD: usize = 64;

impl Unread {
    /// A collector that leaves out these paths.
    #[must_use]
    pub fn but(known: &'static [&'static str]) -> Self {
        Self { paths: Rc::default(), known }
    }

    /// What was collected so far. Members count when their object is dropped.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.paths.borrow().clone()
    }

    /// The members of an object that are something to lose, and not looked at yet.
    fn watch(&self, path: &str, entries: &[(Cow<'_, str>, &str)]) -> Rc<Pending> {
        let place = without_indices(path);
        let is_something = |raw: &str| !matches!(raw.trim(), "null" | "false" | "[]" | "{}" | "\"\"");
        let names = entries.iter().filter(|(_, raw)| is_something(raw)).map(|(name, _)| name.clone().into_owned());
        Rc::new(Pending { place, names: RefCell::new(names.collect()), unread: self.clone() })
    }
}

/// Members of one object that nobody looked at yet.
#[derive(Debug)]
struct Pending {
    place: String,
    names: RefCell<Vec<String>>,
    unread: Unread,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut paths = self.unread.paths.borrow_mut();
        for name in self.names.get_mut() {
            let path = if self.place.is_empty() { std::mem::take(name) } else { format!("{}.{name}", self.place) };
            let is_below =
                |known: &&str| path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            if paths.len() < MOST_UNREAD && !self.unread.known.iter().any(is_below) && !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
}

/// `a[0].b[12]` as `a.b`.
fn without_indices(path: &str) -> String {
    let mut pieces = path.split('[');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    pieces.for_each(|piece| plain.push_str(piece.split_once(']').map_or(piece, |(_, rest)| rest)));
    plain
}

impl<'a> Node<'a> {
    /// The whole document. Its text must be well-formed.
    #[must_use]
    pub fn root(raw: &'a str) -> Self {
        Self { raw: raw.trim(), path: String::new(), unread: None }
    }

    /// The whole document, whose members are watched.
    #[must_use]
    pub fn watched(raw: &'a str, unread: &Unread) -> Self {
        Self { unread: Some(unread.clone()), ..Self::root(raw) }
    }

    /// A value at a path.
    #[must_use]
    pub fn at(raw: &'a str, path: impl Into<String>) -> Self {
        Self { raw: raw.trim(), path: path.into(), unread: None }
    }

    /// A value inside this document.
    fn inside(raw: &'a str, path: String, unread: Option<Unread>) -> Self {
        Self { raw: raw.trim(), path, unread }
    }

    /// Where it is: `messages[0].content`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its text as it was written.
    #[must_use]
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// The value, carried.
    #[must_use]
    pub fn json(&self) -> Json {
        serde_json::from_str::<&RawValue>(self.raw).map_or_else(|_| Json::text(""), Json::from)
    }

    /// Whether it is a string.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.raw.starts_with('"')
    }

    /// Whether it is an array.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.raw.starts_with('[')
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.raw.starts_with('{')
    }

    /// A refusal of this value.
    #[must_use]
    pub fn refuse(&self, what: impl fmt::Display) -> Fault {
        Fault::invalid(self.path.clone(), what.to_string())
    }

    /// The string it is.
    ///
    /// # Errors
    /// `BadRequest` that names it.
    pub fn text(&self) -> Outcome<String> {
        self.read().ok_or_else(|| self.refuse("must be a string"))
    }

    /// The whole number it is.
    ///
    /// # Errors
    /// `BadRequest` that names it.
    pub fn whole(&self) -> Outcome<u64> {
        self.read().ok_or_else(|| self.refuse("must be a whole number"))
    }

    /// The truth value it is.
    ///
    /// # Errors
    /// `BadRequest` that names it.
    pub fn boolean(&self) -> Outcome<bool> {
        self.read().ok_or_else(|| self.refuse("must be true or false"))
    }

    /// Its items.
    ///
    /// # Errors
    /// `BadRequest` that names it.
    pub fn list(&self) -> Outcome<Vec<Node<'a>>> {
        let Items(items) = self.read().ok_or_else(|| self.refuse("must be an array"))?;
        let node = |(index, raw): (usize, &'a RawValue)| {
            Node::inside(raw.get(), format!("{}[{index}]", self.path), self.unread.clone())
        };
        Ok(items.into_iter().enumerate().map(node).collect())
    }

    /// Its members.
    ///
    /// # Errors
    /// `BadRequest` that names it, or a key that occurs twice.
    pub fn object(&self) -> Outcome<Members<'a>> {
        let Entries(entries) = self.read().ok_or_else(|| self.refuse("must be an object"))?;
        let pending = self.unread.as_ref().map(|unread| unread.watch(&self.path, &entries));
        Ok(Members { entries, path: self.path.clone(), pending })
    }

    /// The object it is, carried.
    ///
    /// # Errors
    /// `BadRequest` that names it.
    pub fn whole_object(&self) -> Outcome<Json> {
        if self.is_object() { Ok(self.json()) } else { Err(self.refuse("must be an object")) }
    }

    /// Any type; `None` for a value of another one.
    #[must_use]
    pub fn read<T: Deserialize<'a>>(&self) -> Option<T> {
        serde_json::from_str(self.raw).ok()
    }
}

impl<'a> Members<'a> {
    /// An object without members.
    #[must_use]
    pub fn none() -> Self {
        Self { entries: Vec::new(), path: String::new(), pending: None }
    }

    /// A member that is there and not `null`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Node<'a>> {
        let (_, raw) = self.entries.iter().find(|(name, _)| name == key)?;
        if let Some(pending) = &self.pending {
            pending.names.borrow_mut().retain(|name| name != key);
        }
        (raw.trim() != "null").then(|| Node::inside(raw, self.path_of(key), self.unread()))
    }

    /// The object whose members these are, carried: all of them have been looked at.
    #[must_use]
    pub fn carried(&self, object: &Node<'a>) -> Json {
        if let Some(pending) = &self.pending {
            pending.names.borrow_mut().clear();
        }
        object.json()
    }

    fn unread(&self) -> Option<Unread> {
        self.pending.as_ref().map(|pending| pending.unread.clone())
    }

    /// Whether there is something else than `null`.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of a member.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A member that must be there.
    ///
    /// # Errors
    /// `BadRequest` that names it.
    pub fn need(&self, key: &str) -> Outcome<Node<'a>> {
        self.get(key).ok_or_else(|| Fault::invalid(self.path_of(key), "is required"))
    }

    /// A string that may be absent.
    ///
    /// # Errors
    /// `BadRequest` that names it.
    pub fn text(&self, key: &str) -> Outcome<Option<String>> {
        self.get(key).map(|node| node.text()).transpose()
    }

    /// A whole number that may be absent.
    ///
    /// # Errors
    /// `BadRequest` that names it.
    pub fn whole(&self, key: &str) -> Outcome<Option<u64>> {
        self.get(key).map(|node| node.whole()).transpose()
    }

    /// A truth value that may be absent.
    ///
    /// # Errors
    /// `BadRequest` that names it.
    pub fn boolean(&self, key: &str) -> Outcome<Option<bool>> {
        self.get(key).map(|node| node.boolean()).transpose()
    }

    /// Items; none when absent.
    ///
    /// # Errors
    /// `BadRequest` that names it.
    pub fn list(&self, key: &str) -> Outcome<Vec<Node<'a>>> {
        self.get(key).map_or_else(|| Ok(Vec::new()), |node| node.list())
    }

    /// An object that may be absent.
    ///
    /// # Errors
    /// `BadRequest` that names it.
    pub fn object(&self, key: &str) -> Outcome<Option<Members<'a>>> {
        self.get(key).map(|node| node.object()).transpose()
    }

    /// A string, or nothing at all.
    #[must_use]
    pub fn any_text(&self, key: &str) -> Option<String> {
        self.get(key)?.read()
    }

    /// A count, or nothing at all. Counts that some hosts write as `12.0` are understood.
    #[must_use]
    pub fn any_count(&self, key: &str) -> Option<u64> {
        let node = self.get(key)?;
        node.read::<u64>().or_else(|| node.raw().strip_suffix(".0")?.parse().ok())
    }

    /// An object; an empty one for anything else.
    #[must_use]
    pub fn any_object(&self, key: &str) -> Members<'a> {
        self.get(key).and_then(|node| node.object().ok()).unwrap_or_else(Members::none)
    }

    /// Items; none for anything else.
    #[must_use]
    pub fn any_list(&self, key: &str) -> Vec<Node<'a>> {
        self.get(key).and_then(|node| node.list().ok()).unwrap_or_default()
    }

    /// All members that are not `null`, in order. Names alone are not looking: a watched member stays unread.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Node<'a>)> {
        let present = self.entries.iter().filter(|(_, raw)| raw.trim() != "null");
        present.map(|(name, raw)| (name.as_ref(), Node::inside(raw, self.path_of(name), self.unread())))
    }
}

struct Items<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items<'de>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Collect)
    }
}

struct Entries<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<super::raw::Key<'de>, &'de RawValue>()? {
                    entries.push((key.0, value.get()));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_place() {
        let root = Node::root(r#"{"messages":[{"role":"user"},{"role":7}],"n":null}"#).object().unwrap();
        let messages = root.list("messages").unwrap();
        let fault = messages[1].object().unwrap().need("role").unwrap().text().unwrap_err();
        assert_eq!(fault.at(), Some("messages[1].role"));
        assert_eq!(root.need("n").unwrap_err().at(), Some("n"));
        assert!(!root.has("n"));
    }

    #[test]
    fn raw_text_is_kept() {
        let root = Node::root(r#"{"a": {"z": 1.0, "b":  [ ]}, "n": 12.0}"#).object().unwrap();
        assert_eq!(root.get("a").unwrap().json().as_str(), r#"{"z": 1.0, "b":  [ ]}"#);
        assert_eq!(root.any_count("n"), Some(12));
        assert_eq!(root.any_count("a"), None);
    }

    #[test]
    fn what_nobody_looks_at_is_collected_once_and_without_indices() {
        let unread = Unread::but(&["stream", "list.id"]);
        let text = r#"{"stream":true,"n":1,"list":[{"id":1,"a":{"b":1,"c":2},"d":false,"e":7},{"e":8,"f":[]}],"whole":{"x":1}}"#;
        let root = Node::watched(text, &unread).object().unwrap();
        for item in root.list("list").unwrap() {
            assert!(item.object().unwrap().any_object("a").any_count("b").is_none_or(|b| b == 1));
        }
        assert_eq!(root.get("whole").unwrap().json().as_str(), r#"{"x":1}"#);
        assert_eq!(unread.paths(), ["list.a.c", "list.e"]);
        drop(root);
        assert_eq!(unread.paths(), ["list.a.c", "list.e", "n"]);
    }
}
