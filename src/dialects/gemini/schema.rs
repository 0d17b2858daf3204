//! JSON Schemas as this wire takes them (`parametersJsonSchema`, `responseJsonSchema`). Source: the guide on structured
//! output and the `Schema` type of the API reference, which list the keywords that are understood.
//!
//! A schema of those keywords alone goes out as it was written. Any other is written anew: references inlined, `const` and
//! `oneOf` said in other words, `allOf` merged, and what constrains nothing left out. What constrains and cannot be said
//! is left out and named.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::canonical::Json;
use crate::dialects::node::{Members, Node};
use crate::dialects::out::{self, Out, quoted};

/// Deeper schemas allow anything at this depth.
const MOST_DEPTH: usize = 48;
/// How often a reference is inlined within itself.
const MOST_UNROLLED: usize = 2;
/// Bytes that the schemas of one request may be read over while they are written anew: what references make larger than
/// that allows anything.
pub(super) const BUDGET: usize = 8 << 20;

/// Keywords that are understood and hold no schema.
const PLAIN: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "enum",
    "required",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "pattern",
    "propertyOrdering",
];

/// Keywords that constrain nothing.
const NOTES: &[&str] = &[
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "$ref",
    "allOf",
    "definitions",
    "default",
    "deprecated",
    "example",
    "examples",
    "readOnly",
    "writeOnly",
];

/// The schema as text. `owner` is where a keyword that is left out is named: `tools`, `response_format`. `budget` is what
/// is left of [`BUDGET`].
pub(super) fn adapt(schema: &Json, owner: &str, budget: &mut usize, lost: &mut Vec<Cow<'static, str>>) -> String {
    let root = Node::root(schema.as_str());
    if is_fit(&root, 0) {
        return schema.as_str().to_owned();
    }
    let mut adapter = Adapter {
        root: root.clone(),
        targets: BTreeMap::new(),
        under_way: Vec::new(),
        budget: *budget,
        lost: BTreeSet::new(),
    };
    let text = adapter.schema(&root, 0);
    *budget = adapter.budget;
    lost.extend(adapter.lost.iter().map(|name| Cow::Owned(format!("{owner}.{name}"))));
    text
}

/// Whether all of it is understood as it is.
fn is_fit(node: &Node<'_>, depth: usize) -> bool {
    let Ok(members) = node.object() else { return false };
    depth < MOST_DEPTH
        && members.iter().all(|(name, value)| match name {
            "properties" => value.object().is_ok_and(|all| all.iter().all(|(_, inner)| is_fit(&inner, depth + 1))),
            "items" => is_fit(&value, depth + 1),
            "prefixItems" | "anyOf" => value.list().is_ok_and(|all| all.iter().all(|inner| is_fit(inner, depth + 1))),
            "additionalProperties" => value.read::<bool>().is_some() || is_fit(&value, depth + 1),
            name => PLAIN.contains(&name),
        })
}

struct Adapter<'a> {
    root: Node<'a>,
    /// References that are being inlined, outermost first.
    under_way: Vec<String>,
    /// What references were found to name.
    targets: BTreeMap<String, Option<Node<'a>>>,
    budget: usize,
    lost: BTreeSet<String>,
}

/// A schema with what it refers to, members in order, the first of each name.
#[derive(Default)]
struct Flat<'a> {
    members: Vec<(String, Node<'a>)>,
    properties: Vec<(String, Node<'a>)>,
    required: Vec<String>,
}

impl<'a> Adapter<'a> {
    fn lose(&mut self, name: &str) {
        self.lost.insert(name.chars().filter(|sign| sign.is_ascii_graphic()).take(40).collect());
    }

    fn affords(&mut self, node: &Node<'_>) -> bool {
        let left = self.budget.checked_sub(node.raw().len());
        self.budget = left.unwrap_or_default();
        left.is_some()
    }

    fn schema(&mut self, node: &Node<'a>, depth: usize) -> String {
        if depth >= MOST_DEPTH || !self.affords(node) {
            self.lose("depth");
            return "{}".to_owned();
        }
        let Ok(members) = node.object() else {
            if node.raw() == "false" {
                self.lose("false");
            }
            return "{}".to_owned();
        };
        let outer = self.under_way.len();
        let mut flat = Flat::default();
        self.flatten(&members, &mut flat, depth);
        let text = out::object(|out| self.write(out, &flat, depth));
        self.under_way.truncate(outer);
        text
    }

    fn flatten(&mut self, members: &Members<'a>, flat: &mut Flat<'a>, depth: usize) {
        let required = members.any_list("required");
        for name in required.iter().filter_map(|name| name.read::<String>()) {
            if !flat.required.contains(&name) {
                flat.required.push(name);
            }
        }
        for (name, value) in members.any_object("properties").iter() {
            if !flat.properties.iter().any(|(known, _)| known == name) {
                flat.properties.push((name.to_owned(), value));
            }
        }
        for (name, value) in members.iter().filter(|(name, _)| !matches!(*name, "required" | "properties")) {
            if !flat.members.iter().any(|(known, _)| known == name) {
                flat.members.push((name.to_owned(), value));
            }
        }
        if depth + self.under_way.len() >= MOST_DEPTH {
            if members.has("$ref") || members.has("allOf") {
                self.lose("depth");
            }
            return;
        }
        if let Some(reference) = members.any_text("$ref") {
            match self.resolve(&reference) {
                Some(target) => {
                    self.under_way.push(reference);
                    self.flatten(&target, flat, depth);
                }
                None => self.lose("$ref"),
            }
        }
        for part in members.any_list("allOf") {
            if let Ok(part) = part.object() {
                self.flatten(&part, flat, depth + 1);
            }
        }
    }

    /// What a reference within the schema names, unless it was inlined within itself often enough.
    fn resolve(&mut self, reference: &str) -> Option<Members<'a>> {
        if self.under_way.iter().filter(|known| *known == reference).count() >= MOST_UNROLLED {
            return None;
        }
        let target = match self.targets.get(reference) {
            Some(known) => known.clone(),
            None => {
                let root = self.root.clone();
                let found = if self.affords(&root) { find(root, reference) } else { None };
                self.targets.insert(reference.to_owned(), found.clone());
                found
            }
        }?;
        if self.affords(&target) { target.object().ok() } else { None }
    }

    fn write(&mut self, out: &mut Out<'_>, flat: &Flat<'a>, depth: usize) {
        let has = |name: &str| flat.members.iter().any(|(known, _)| known == name);
        for (name, value) in &flat.members {
            match name.as_str() {
                "const" if !has("enum") => {
                    out.raw("enum", &format!("[{}]", value.raw()));
                }
                "const" => {}
                "items" if value.is_list() => {
                    self.list(out, "prefixItems", value, depth);
                }
                "items" => {
                    let items = self.schema(value, depth + 1);
                    out.raw("items", &items);
                }
                "oneOf" if has("anyOf") => self.lose("oneOf"),
                "anyOf" | "oneOf" => self.list(out, "anyOf", value, depth),
                "prefixItems" => self.list(out, "prefixItems", value, depth),
                "additionalProperties" if value.read::<bool>().is_some() => {
                    out.raw(name, value.raw());
                }
                "additionalProperties" => {
                    let inner = self.schema(value, depth + 1);
                    out.raw(name, &inner);
                }
                name if PLAIN.contains(&name) => {
                    out.raw(name, value.raw());
                }
                name if NOTES.contains(&name) => {}
                name => self.lose(name),
            }
        }
        if !flat.properties.is_empty() {
            let written = flat.properties.iter().map(|(name, value)| {
                let inner = self.schema(value, depth + 1);
                format!("{}:{inner}", quoted(name))
            });
            let written: Vec<String> = written.collect();
            out.raw("properties", &format!("{{{}}}", written.join(",")));
        }
        if !flat.required.is_empty() {
            out.texts("required", &flat.required);
        }
    }

    fn list(&mut self, out: &mut Out<'_>, name: &str, value: &Node<'a>, depth: usize) {
        let items = value.list().unwrap_or_default();
        let written: Vec<String> = items.iter().map(|item| self.schema(item, depth + 1)).collect();
        out.raw(name, &format!("[{}]", written.join(",")));
    }
}

/// What a JSON pointer names.
fn find<'a>(root: Node<'a>, reference: &str) -> Option<Node<'a>> {
    let mut node = root;
    for step in reference.strip_prefix('#')?.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        node = match step.parse::<usize>() {
            Ok(index) if node.is_list() => node.list().ok()?.into_iter().nth(index)?,
            _ => node.object().ok()?.get(&step)?,
        };
    }
    Some(node)
}
