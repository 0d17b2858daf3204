//! JSON schemas of the administration's messages, from the descriptor of the protobuf contract and in the words of the REST
//! API. What the REST API shapes otherwise than the contract is written out here.

use std::collections::{BTreeMap, HashMap};

use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use crate::domain::wording::{enum_word, rest_duration, rest_word};

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/admin_v1_descriptor.bin"));
const PACKAGE: &str = "unifiedgateway.admin.v1";
/// Flags of an operation that lie in `capabilities`.
const FLAGS: [&str; 5] = ["tools", "vision", "audio_input", "pdf_input", "structured_outputs"];

/// A reference to a schema of the document.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The names of all schemas that a value refers to.
pub(super) fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
                found.push(name.to_owned());
            }
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The contract's messages as schemas.
pub(super) struct Messages {
    pool: DescriptorPool,
    comments: HashMap<(String, Vec<i32>), String>,
}

impl Messages {
    /// Reads the contract. `None` where it cannot be read, which a test rules out.
    pub(super) fn load() -> Option<Self> {
        let pool = DescriptorPool::decode(DESCRIPTORS).ok()?;
        let mut comments = HashMap::new();
        for file in pool.files() {
            let proto = file.file_descriptor_proto();
            for location in proto.source_code_info.iter().flat_map(|info| &info.location) {
                if let Some(comment) = &location.leading_comments {
                    let text = comment.split_whitespace().collect::<Vec<_>>().join(" ");
                    comments.insert((file.name().to_owned(), location.path.clone()), text);
                }
            }
        }
        Some(Self { pool, comments })
    }

    /// The schema of a message, if there is one of this name.
    pub(super) fn schema(&self, name: &str) -> Option<Value> {
        let message = self.pool.get_message_by_name(&format!("{PACKAGE}.{name}"))?;
        let mut properties = Map::new();
        let mut flags = Map::new();
        let mut required = Vec::new();
        let mut others = None;
        for field in message.fields() {
            let comment = self.comment(field.parent_file().name(), field.path());
            let mut schema = self.field(&field);
            if comment.contains("Output only") {
                annotate(&mut schema, "readOnly", json!(true));
            }
            if comment.contains("Input only") {
                annotate(&mut schema, "writeOnly", json!(true));
            }
            if !comment.is_empty() {
                annotate(&mut schema, "description", json!(comment));
            }
            match (name, field.name()) {
                ("OperationProfile", flag) if FLAGS.contains(&flag) => drop(flags.insert(rest_word(flag), schema)),
                ("Credentials", "extra") => others = Some(json!({"type": "string", "description": comment})),
                _ => {
                    if comment.starts_with("Required.") || comment.starts_with("Required;") {
                        required.push(rest_name(&field));
                    }
                    properties.insert(rest_name(&field), schema);
                }
            }
        }
        if !flags.is_empty() {
            flags.insert("reasoning".to_owned(), json!({"type": "boolean"}));
            properties.insert("capabilities".to_owned(), json!({"type": "object", "properties": flags}));
        }
        let mut schema = json!({"type": "object", "properties": properties});
        let comment = self.comment(message.parent_file().name(), message.path());
        if !comment.is_empty() {
            annotate(&mut schema, "description", json!(comment));
        }
        if let Some(others) = others {
            annotate(&mut schema, "additionalProperties", others);
        }
        // What a resource needs when it is made; a change needs nothing of it.
        if !required.is_empty() {
            annotate(&mut schema, "x-required-on-creation", json!(required));
        }
        Some(schema)
    }

    /// Everything that these schemas refer to and the contract has, with what that refers to.
    pub(super) fn complete(&self, schemas: &mut BTreeMap<String, Value>) {
        loop {
            let mut wanted = Vec::new();
            schemas.values().for_each(|schema| references(schema, &mut wanted));
            wanted.retain(|name| !schemas.contains_key(name));
            let found: Vec<_> = wanted.into_iter().filter_map(|name| Some((self.schema(&name)?, name))).collect();
            if found.is_empty() {
                return;
            }
            schemas.extend(found.into_iter().map(|(schema, name)| (name, schema)));
        }
    }

    fn comment(&self, file: &str, path: &[i32]) -> &str {
        self.comments.get(&(file.to_owned(), path.to_vec())).map_or("", String::as_str)
    }

    fn field(&self, field: &FieldDescriptor) -> Value {
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else { return json!({"type": "object"}) };
            let inner = one(&entry.map_entry_value_field(), is_money(field));
            return json!({"type": ["object", "null"], "additionalProperties": inner});
        }
        if field.is_list() {
            return json!({"type": ["array", "null"], "items": one(field, is_money(field))});
        }
        // Only what the contract can leave unset is ever null.
        let schema = one(field, is_money(field));
        let is_unset_somewhere = field.supports_presence() || matches!(field.kind(), Kind::Enum(_) | Kind::String);
        if is_unset_somewhere { nullable(schema) } else { schema }
    }
}

/// One value of a field.
fn one(field: &FieldDescriptor, is_money: bool) -> Value {
    match field.kind() {
        Kind::Message(message) => of_message(&message),
        Kind::Enum(kind) => json!({"type": "string", "enum": words(&kind)}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::String | Kind::Bytes => json!({"type": "string"}),
        Kind::Double | Kind::Float => json!({"type": "number"}),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 if is_money => reference("Cents"),
        Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => json!({"type": "integer", "minimum": 0}),
        Kind::Int32 | Kind::Int64 | Kind::Sint32 | Kind::Sint64 | Kind::Sfixed32 | Kind::Sfixed64 => {
            json!({"type": "integer"})
        }
    }
}

fn of_message(message: &MessageDescriptor) -> Value {
    match message.full_name() {
        "google.protobuf.Timestamp" => json!({"type": "string", "format": "date-time"}),
        "google.protobuf.Duration" => json!({"type": "integer", "minimum": 0}),
        "google.protobuf.Struct" => json!({"type": "object"}),
        "google.protobuf.Value" => json!({}),
        // The contract has no map of lists, JSON has.
        "unifiedgateway.admin.v1.FieldValues" => json!({"type": "array", "items": {"type": "string"}}),
        name => reference(name.strip_prefix(PACKAGE).map_or(name, |name| name.trim_start_matches('.'))),
    }
}

fn words(kind: &EnumDescriptor) -> Vec<String> {
    let stated = kind.values().filter(|value| value.number() != 0);
    stated.map(|value| enum_word(kind.name(), value.name())).collect()
}

/// The same, or null.
fn nullable(schema: Value) -> Value {
    match schema.get("type").and_then(Value::as_str).map(str::to_owned) {
        Some(kind) => {
            let mut schema = schema;
            annotate(&mut schema, "type", json!([kind, "null"]));
            if let Some(Value::Array(words)) = schema.get_mut("enum") {
                words.push(Value::Null);
            }
            schema
        }
        None => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

fn annotate(schema: &mut Value, name: &str, value: Value) {
    if let Some(members) = schema.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn is_money(field: &FieldDescriptor) -> bool {
    field.name().contains("nanocents") || (field.name() == "units" && field.is_map())
}

fn rest_name(field: &FieldDescriptor) -> String {
    let is_duration = matches!(field.kind(), Kind::Message(kind) if kind.full_name() == "google.protobuf.Duration");
    if is_duration { rest_duration(field.name()) } else { rest_word(field.name()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_described_in_the_words_of_the_rest_api() {
        let messages = Messages::load().unwrap();
        let key = messages.schema("VirtualKey").unwrap();
        let property = |name: &str| key["properties"][name].clone();
        assert_eq!(property("rpm")["description"], "Requests per minute.");
        assert_eq!(property("expiresAt")["format"], "date-time");
        assert_eq!(property("budgetReset")["enum"], json!(["hourly", "daily", "weekly", "monthly", null]));
        assert_eq!(property("keyPrefix")["readOnly"], true);
        assert_eq!(property("maxBudgetCents")["anyOf"][0], reference("Cents"));
        assert_eq!(key["x-required-on-creation"], json!(["name"]));
        let operation = messages.schema("OperationProfile").unwrap();
        assert!(operation["properties"]["capabilities"]["properties"]["pdfInput"].is_object());
        assert_eq!(operation["properties"]["values"]["additionalProperties"]["type"], "array");
        assert!(messages.schema("Nothing").is_none());
    }
}
