//! Messages of the contract in the shape of the REST API, both ways, by reflection.
//!
//! Names: camel case; `create_time` is `createdAt`; `…_nanocents` is `…Cents`, a decimal; durations say their unit; words of
//! enumerations are in lower case without their prefix. Two shapes differ: credentials of a preset lie beside the others,
//! and what a model can do lies in `capabilities`.

use std::collections::HashMap;

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value as Proto,
};
use serde_json::{Map, Number, Value};

use crate::domain::money::NanoCents;
use crate::domain::wording::{enum_word, rest_duration, rest_word};
use crate::time::Timestamp;

const FLAGS: [&str; 5] = ["tools", "vision", "audioInput", "pdfInput", "structuredOutputs"];

/// A message in the shape of the REST API. What is not set is left out.
pub(super) fn write(message: &DynamicMessage) -> Value {
    let descriptor = message.descriptor();
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => return write_timestamp(message),
        "google.protobuf.Duration" => {
            return Value::from(whole(message, "seconds") * 1_000 + whole(message, "nanos") / 1_000_000);
        }
        "google.protobuf.Struct" => return write_struct(message),
        "google.protobuf.Value" => return write_free(message),
        "google.protobuf.ListValue" => return write_list(message),
        _ => {}
    }
    let mut object = Map::new();
    for (field, value) in message.fields() {
        let value = write_value(&field, value);
        match (descriptor.name(), field.name(), value) {
            ("Credentials", "extra", Value::Object(extra)) => object.extend(extra),
            ("FieldDifference", "before" | "after", Value::String(text)) => {
                let value = serde_json::from_str(&text).unwrap_or(Value::Null);
                object.insert(field.name().to_owned(), value);
            }
            (_, _, value) => drop(object.insert(rest_name(&field), value)),
        }
    }
    if descriptor.name() == "OperationProfile" {
        let mut flags = Map::new();
        for name in FLAGS {
            flags.insert(name.to_owned(), object.remove(name).unwrap_or(Value::Bool(false)));
        }
        flags.insert("reasoning".to_owned(), Value::Bool(object.contains_key("reasoning")));
        object.insert("capabilities".to_owned(), Value::Object(flags));
    }
    Value::Object(object)
}

fn whole(message: &DynamicMessage, name: &str) -> i64 {
    match message.get_field_by_name(name).as_deref() {
        Some(Proto::I64(number)) => *number,
        Some(Proto::I32(number)) => (*number).into(),
        _ => 0,
    }
}

fn write_timestamp(message: &DynamicMessage) -> Value {
    let ms = whole(message, "seconds") * 1_000 + whole(message, "nanos") / 1_000_000;
    Value::from(Timestamp::from_unix_ms(ms).to_rfc3339())
}

fn write_struct(message: &DynamicMessage) -> Value {
    let mut object = Map::new();
    if let Some(Proto::Map(fields)) = message.get_field_by_name("fields").as_deref() {
        for (key, value) in fields {
            if let (MapKey::String(key), Proto::Message(value)) = (key, value) {
                object.insert(key.clone(), write_free(value));
            }
        }
    }
    Value::Object(object)
}

fn write_list(message: &DynamicMessage) -> Value {
    match message.get_field_by_name("values").as_deref() {
        Some(Proto::List(values)) => values.iter().filter_map(Proto::as_message).map(write_free).collect(),
        _ => Value::Array(Vec::new()),
    }
}

fn write_free(message: &DynamicMessage) -> Value {
    let Some((_, value)) = message.fields().next() else { return Value::Null };
    match value {
        Proto::Bool(value) => Value::Bool(*value),
        Proto::F64(number) => {
            let is_whole = number.fract() == 0.0 && number.abs() < 9.0e15;
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and far below the limit")]
            let whole = is_whole.then_some(*number as i64).map(Number::from);
            whole.or_else(|| Number::from_f64(*number)).map_or(Value::Null, Value::Number)
        }
        Proto::String(text) => Value::from(text.as_str()),
        Proto::Message(inner) => write(inner),
        _ => Value::Null,
    }
}

fn write_value(field: &FieldDescriptor, value: &Proto) -> Value {
    let is_money = is_money(field);
    let one = |value: &Proto| match value {
        Proto::I64(number) if is_money => cents(*number),
        Proto::EnumNumber(number) => Value::from(word(field, *number)),
        other => write_scalar(other),
    };
    match value {
        Proto::List(items) => items.iter().map(one).collect(),
        Proto::Map(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                if let MapKey::String(key) = key {
                    object.insert(key.clone(), one(value));
                }
            }
            Value::Object(object)
        }
        other => one(other),
    }
}

fn write_scalar(value: &Proto) -> Value {
    match value {
        Proto::Bool(value) => Value::Bool(*value),
        Proto::I32(number) => Value::from(*number),
        Proto::I64(number) => Value::from(*number),
        Proto::U32(number) => Value::from(*number),
        Proto::U64(number) => Value::from(*number),
        Proto::F32(number) => Value::from(*number),
        Proto::F64(number) => Value::from(*number),
        Proto::String(text) => Value::from(text.as_str()),
        Proto::Message(message) => write(message),
        Proto::Bytes(_) | Proto::EnumNumber(_) | Proto::List(_) | Proto::Map(_) => Value::Null,
    }
}

/// A decimal number where it can be exact, else text.
fn cents(nanocents: i64) -> Value {
    let text = NanoCents(nanocents).to_cents_text();
    match text.parse::<Number>() {
        Ok(number) if number.to_string() == text => Value::Number(number),
        _ => Value::from(text),
    }
}

fn is_money(field: &FieldDescriptor) -> bool {
    field.name().contains("nanocents") || (field.name() == "units" && field.is_map())
}

fn word(field: &FieldDescriptor, number: i32) -> String {
    let Kind::Enum(kind) = field.kind() else { return number.to_string() };
    let Some(value) = kind.get_value(number) else { return number.to_string() };
    enum_word(kind.name(), value.name())
}

/// The REST name of a field.
pub(super) fn rest_name(field: &FieldDescriptor) -> String {
    let is_duration = matches!(field.kind(), Kind::Message(kind) if kind.full_name() == "google.protobuf.Duration");
    if is_duration { rest_duration(field.name()) } else { rest_word(field.name()) }
}

/// The contract's name of a field of the message in `field` of a request.
pub(super) fn contract_name(request: &MessageDescriptor, field: &str, name: &str) -> Result<String, String> {
    let holder = request.fields().find(|known| rest_name(known) == field).map(|known| known.kind());
    let Some(Kind::Message(resource)) = holder else { return Err(format!("{field}: is not a known field")) };
    let found = resource.fields().find(|known| rest_name(known) == name);
    found.map(|known| known.name().to_owned()).ok_or_else(|| unknown(&resource, name, name))
}

/// A path in the contract's names as one in the REST API's: without the name of the resource in front.
pub(super) fn rest_path(path: &str) -> String {
    let path = path.split_once('.').map_or(path, |(first, rest)| {
        let is_wrapper = ["deployment", "virtual_key", "fallback", "settings", "document", "filter"].contains(&first);
        if is_wrapper { rest } else { path }
    });
    path.split('.').map(rest_word).collect::<Vec<_>>().join(".")
}

/// Reads a message from the shape of the REST API. The error names every field that is wrong.
pub(super) fn read(descriptor: &MessageDescriptor, value: &Value) -> Result<DynamicMessage, String> {
    let mut problems = Vec::new();
    let message = read_message(descriptor, value, "", &mut problems);
    if problems.is_empty() { Ok(message) } else { Err(problems.join("\n  ")) }
}

fn read_message(
    descriptor: &MessageDescriptor,
    value: &Value,
    path: &str,
    problems: &mut Vec<String>,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            match value.as_str().and_then(Timestamp::parse_rfc3339) {
                Some(time) => set_seconds(&mut message, time.unix_ms()),
                None => problems.push(format!("{path}: must be a time such as 2030-01-31T12:00:00Z")),
            }
            return message;
        }
        "google.protobuf.Duration" => {
            let unit = if path.ends_with("Seconds") { 1_000 } else { 1 };
            match value.as_i64() {
                Some(number) => set_seconds(&mut message, number.saturating_mul(unit)),
                None => problems.push(format!("{path}: must be a whole number")),
            }
            return message;
        }
        "google.protobuf.Struct" => {
            match value.as_object() {
                Some(object) => set_struct(&mut message, object),
                None => problems.push(format!("{path}: must be an object")),
            }
            return message;
        }
        _ => {}
    }
    let Some(object) = value.as_object() else {
        problems.push(format!("{}: must be an object", if path.is_empty() { "the document" } else { path }));
        return message;
    };
    let flat = unnested(descriptor, object);
    let object = flat.as_ref().unwrap_or(object);
    let mut extra = HashMap::new();
    for (name, value) in object {
        let place = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if value.is_null() {
            continue;
        }
        let field = descriptor.fields().find(|field| rest_name(field) == *name);
        match field {
            Some(field) => {
                if let Some(value) = read_field(&field, value, &place, problems) {
                    message.set_field(&field, value);
                }
            }
            None if descriptor.name() == "Credentials" => match text_of(value) {
                Some(text) => drop(extra.insert(MapKey::String(name.clone()), Proto::String(text))),
                None => problems.push(format!("{place}: must be text")),
            },
            None => problems.push(unknown(descriptor, name, &place)),
        }
    }
    if !extra.is_empty() {
        message.set_field_by_name("extra", Proto::Map(extra));
    }
    message
}

/// `capabilities` of an operation, beside the other fields.
fn unnested(descriptor: &MessageDescriptor, object: &Map<String, Value>) -> Option<Map<String, Value>> {
    let flags = (descriptor.name() == "OperationProfile").then(|| object.get("capabilities")?.as_object()).flatten()?;
    let mut flat = object.clone();
    flat.remove("capabilities");
    // Whether it reasons is said by `reasoning` itself.
    flat.extend(flags.iter().filter(|(name, _)| *name != "reasoning").map(|(name, flag)| (name.clone(), flag.clone())));
    Some(flat)
}

fn unknown(descriptor: &MessageDescriptor, name: &str, place: &str) -> String {
    let known: Vec<String> = descriptor.fields().map(|field| rest_name(&field)).collect();
    let shared = |known: &&String| {
        let same = known.chars().zip(name.chars()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
        same * 2 >= known.len().max(name.len()) && same >= 3
    };
    match known.iter().find(shared) {
        Some(near) => format!("{place}: is not a known field; did you mean `{near}`?"),
        None => format!("{place}: is not a known field; known: {}", known.join(", ")),
    }
}

fn read_field(field: &FieldDescriptor, value: &Value, place: &str, problems: &mut Vec<String>) -> Option<Proto> {
    if field.is_map() {
        let Some(object) = value.as_object() else {
            problems.push(format!("{place}: must be an object"));
            return None;
        };
        let Kind::Message(entry) = field.kind() else { return None };
        let inner = entry.map_entry_value_field();
        let is_money = is_money(field);
        let mut map = HashMap::new();
        for (key, value) in object {
            let read = read_one(&inner, is_money, value, &format!("{place}.{key}"), problems);
            map.extend(read.map(|value| (MapKey::String(key.clone()), value)));
        }
        return Some(Proto::Map(map));
    }
    if field.is_list() {
        let Some(items) = value.as_array() else {
            problems.push(format!("{place}: must be a list"));
            return None;
        };
        let read = |(index, value): (usize, &Value)| {
            read_one(field, is_money(field), value, &format!("{place}[{index}]"), problems)
        };
        return Some(Proto::List(items.iter().enumerate().filter_map(read).collect()));
    }
    read_one(field, is_money(field), value, place, problems)
}

fn read_one(
    field: &FieldDescriptor,
    is_money: bool,
    value: &Value,
    place: &str,
    problems: &mut Vec<String>,
) -> Option<Proto> {
    let whole = || value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let (read, wanted) = match field.kind() {
        Kind::Message(descriptor) => return Some(Proto::Message(read_message(&descriptor, value, place, problems))),
        Kind::Enum(kind) => {
            let known: Vec<_> = kind.values().filter(|known| known.number() != 0).collect();
            let named = |known: &&prost_reflect::EnumValueDescriptor| {
                value.as_str() == Some(enum_word(kind.name(), known.name()).as_str())
            };
            if let Some(found) = known.iter().find(named) {
                return Some(Proto::EnumNumber(found.number()));
            }
            let words: Vec<String> = known.iter().map(|known| word(field, known.number())).collect();
            problems.push(format!("{place}: must be one of {}", words.join(", ")));
            return None;
        }
        Kind::Bool => (value.as_bool().map(Proto::Bool), "true or false"),
        Kind::String => (text_of(value).map(Proto::String), "text"),
        Kind::Int64 if is_money => {
            let text = text_of(value);
            let parsed = text.and_then(|text| NanoCents::parse_cents(&text).ok());
            (parsed.map(|money| Proto::I64(money.0)), "an amount of cents")
        }
        Kind::Int64 => (whole().map(Proto::I64), "a whole number"),
        Kind::Uint64 => (whole().and_then(|n| u64::try_from(n).ok()).map(Proto::U64), "a whole number, not negative"),
        Kind::Int32 => (whole().and_then(|n| i32::try_from(n).ok()).map(Proto::I32), "a whole number"),
        Kind::Uint32 => (whole().and_then(|n| u32::try_from(n).ok()).map(Proto::U32), "a whole number, not negative"),
        _ => (None, "of another type"),
    };
    if read.is_none() {
        problems.push(format!("{place}: must be {wanted}"));
    }
    read
}

/// Text; a number that stands where text is wanted is what was written.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn set_seconds(message: &mut DynamicMessage, ms: i64) {
    message.set_field_by_name("seconds", Proto::I64(ms.div_euclid(1_000)));
    let nanos = i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or_default();
    message.set_field_by_name("nanos", Proto::I32(nanos));
}

fn set_struct(message: &mut DynamicMessage, object: &Map<String, Value>) {
    let Some(field) = message.descriptor().get_field_by_name("fields") else { return };
    let Kind::Message(entry) = field.kind() else { return };
    let Kind::Message(free) = entry.map_entry_value_field().kind() else { return };
    let entries =
        object.iter().map(|(key, value)| (MapKey::String(key.clone()), Proto::Message(free_value(&free, value))));
    message.set_field(&field, Proto::Map(entries.collect()));
}

fn free_value(descriptor: &MessageDescriptor, value: &Value) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let inner = |name: &str| match descriptor.get_field_by_name(name).map(|field| field.kind()) {
        Some(Kind::Message(inner)) => Some(DynamicMessage::new(inner)),
        _ => None,
    };
    match value {
        Value::Null => message.set_field_by_name("null_value", Proto::EnumNumber(0)),
        Value::Bool(value) => message.set_field_by_name("bool_value", Proto::Bool(*value)),
        Value::Number(number) => {
            message.set_field_by_name("number_value", Proto::F64(number.as_f64().unwrap_or_default()));
        }
        Value::String(text) => message.set_field_by_name("string_value", Proto::String(text.clone())),
        Value::Array(items) => {
            if let Some(mut list) = inner("list_value") {
                let items = items.iter().map(|item| Proto::Message(free_value(descriptor, item)));
                list.set_field_by_name("values", Proto::List(items.collect()));
                message.set_field_by_name("list_value", Proto::Message(list));
            }
        }
        Value::Object(object) => {
            if let Some(mut inner) = inner("struct_value") {
                set_struct(&mut inner, object);
                message.set_field_by_name("struct_value", Proto::Message(inner));
            }
        }
    }
    message
}
