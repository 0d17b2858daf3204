//! Fields from the command line and from files, and credentials that are named instead of written.

use std::io::{BufRead as _, Read as _};
use std::path::Path;

use serde_json::{Map, Value};

use super::{Done, Failure};
use crate::config::admin::Body;

/// Largest file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// Reads a YAML or JSON file, or standard input for `-`.
pub(super) fn load(path: &Path) -> Done<Value> {
    let name = path.display();
    let wrong = |error: &dyn std::fmt::Display| Failure(format!("{name} cannot be read: {error}"));
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(MAX_BYTES).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    } else {
        let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    }
    if let Ok(value) = serde_json::from_str(&text) {
        return Ok(value);
    }
    // The parser's words can quote the text; its place cannot.
    serde_saphyr::from_str(&text).map_err(|error| match error.location() {
        Some(place) => {
            Failure(format!("{name} is neither YAML nor JSON: line {} column {}", place.line(), place.column()))
        }
        None => Failure(format!("{name} is neither YAML nor JSON")),
    })
}

/// The fields of a body: those of its file, then those of the command line.
pub(super) fn body(body: &Body) -> Done<Map<String, Value>> {
    let mut fields = match &body.file {
        None => Map::new(),
        Some(path) => match load(path)? {
            Value::Object(fields) => fields,
            _ => return Err(Failure(format!("{} must hold one object", path.display()))),
        },
    };
    assign(&mut fields, &body.fields)?;
    resolve_credentials(&mut fields, "")?;
    Ok(fields)
}

/// `name=value` for each; values are JSON or else text.
pub(super) fn assignments(texts: &[String]) -> Done<Map<String, Value>> {
    let mut fields = Map::new();
    assign(&mut fields, texts)?;
    Ok(fields)
}

fn assign(fields: &mut Map<String, Value>, texts: &[String]) -> Done {
    for text in texts {
        let Some((path, value)) = text.split_once('=') else {
            return Err(Failure(format!("`{text}` is no field: write name=value")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        put(fields, path, value).ok_or_else(|| Failure(format!("{path}: is inside something that is no object")))?;
    }
    Ok(())
}

fn put(fields: &mut Map<String, Value>, path: &str, value: Value) -> Option<()> {
    match path.split_once('.') {
        None => drop(fields.insert(path.to_owned(), value)),
        Some((first, rest)) => {
            let inner = fields.entry(first).or_insert_with(|| Value::Object(Map::new()));
            put(inner.as_object_mut()?, rest, value)?;
        }
    }
    Some(())
}

/// Replaces `env:NAME` and `-` in `credentials` by what they stand for; `keep` is as if nothing stood there.
pub(super) fn resolve_credentials(fields: &mut Map<String, Value>, place: &str) -> Done {
    if fields.get("credentials").and_then(Value::as_str) == Some("keep") {
        fields.remove("credentials");
    }
    let Some(credentials) = fields.get_mut("credentials").and_then(Value::as_object_mut) else { return Ok(()) };
    credentials.retain(|_, value| value.as_str() != Some("keep"));
    resolve(credentials, &format!("{place}credentials"))?;
    if credentials.is_empty() {
        fields.remove("credentials");
    }
    Ok(())
}

fn resolve(object: &mut Map<String, Value>, place: &str) -> Done {
    for (name, value) in object {
        let place = format!("{place}.{name}");
        if let Value::Object(inner) = value {
            resolve(inner, &place)?;
            continue;
        }
        let Some(text) = value.as_str() else { continue };
        if let Some(variable) = text.strip_prefix("env:") {
            let found = crate::config::variable(variable);
            let found = found.ok_or_else(|| Failure(format!("{place}: the variable {variable} is not set")))?;
            *value = Value::from(found);
        } else if text == "-" {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            read.map_err(|error| Failure(format!("{place}: standard input cannot be read: {error}")))?;
            *value = Value::from(line.trim_end_matches(['\r', '\n']));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_json_or_text_and_dots_lead_inside() {
        let texts =
            ["name=my app", "rpm=60", "enabled=false", "models=[\"a\"]", "credentials.apiKey=sk=1", "label=null"];
        let fields = assignments(&texts.map(str::to_owned)).unwrap();
        let expected = json!({"name": "my app", "rpm": 60, "enabled": false, "models": ["a"],
            "credentials": {"apiKey": "sk=1"}, "label": null});
        assert_eq!(Value::Object(fields), expected);
        assert!(assignments(&["weight".to_owned()]).is_err());
        assert!(assignments(&["a=1".to_owned(), "a.b=2".to_owned()]).is_err());
    }

    #[test]
    fn credentials_are_named_and_kept() {
        let mut fields = json!({"credentials": {"apiKey": "keep", "baseUrl": "http://h"}}).as_object().unwrap().clone();
        resolve_credentials(&mut fields, "").unwrap();
        assert_eq!(fields["credentials"], json!({"baseUrl": "http://h"}));
        let mut fields =
            json!({"credentials": {"apiKey": "env:NO_SUCH_VARIABLE_OF_OURS"}}).as_object().unwrap().clone();
        let failure = resolve_credentials(&mut fields, "deployments[2].").unwrap_err();
        assert!(failure.0.starts_with("deployments[2].credentials.apiKey: the variable NO_SUCH_VARIABLE_OF_OURS"));
        let mut fields = json!({"credentials": "keep"}).as_object().unwrap().clone();
        resolve_credentials(&mut fields, "").unwrap();
        assert!(fields.is_empty());
    }
}
