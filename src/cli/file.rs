//! `unified-gateway config …`: the configuration as a file.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::call::Client;
use super::print::{Output, json, say};
use super::{Done, Failure, fields};
use crate::config::admin::{ConfigVerb, Document};

/// What an export shows and a file need not say.
const SHOWN: [&str; 7] =
    ["etag", "createdAt", "updatedAt", "keyPrefix", "spendCents", "credentialFields", "previousSecretExpiresAt"];
const DIFFERS: u8 = 1;

pub(super) async fn run(client: &Client, output: Output, verb: ConfigVerb) -> Done<ExitCode> {
    match verb {
        ConfigVerb::Export { include_keys, output: path } => {
            let answer = client.call("SystemService/ExportConfig", &json!({"includeKeys": include_keys})).await?;
            let document = bare(&answer["document"]);
            let text = if output.json {
                serde_json::to_string_pretty(&document).map_err(|error| Failure(error.to_string()))? + "\n"
            } else {
                let yaml = serde_saphyr::to_string(&document).map_err(|error| Failure(error.to_string()))?;
                format!("# Revision {}. Credentials are not shown; absent ones are kept.\n{yaml}", answer["revision"])
            };
            match path {
                None => say(&text)?,
                Some(path) => std::fs::write(&path, text)
                    .map_err(|error| Failure(format!("{} cannot be written: {error}", path.display())))?,
            }
            Ok(ExitCode::SUCCESS)
        }
        ConfigVerb::Diff(document) => {
            let answer = apply(client, &document, &load(&document)?, true, None).await?;
            if output.json {
                json(&answer)?;
            } else {
                say(&render(&answer))?;
            }
            let differs = answer["differences"].as_array().is_some_and(|all| !all.is_empty());
            Ok(if differs { ExitCode::from(DIFFERS) } else { ExitCode::SUCCESS })
        }
        ConfigVerb::Apply { document, revision, yes } => {
            // Once: standard input cannot be read again.
            let content = load(&document)?;
            let seen = apply(client, &document, &content, true, None).await?;
            let revision = revision.or_else(|| seen["revision"].as_i64().filter(|_| document.prune));
            if !output.json {
                say(&render(&seen))?;
            }
            let deletes = seen["differences"].as_array().into_iter().flatten().any(|one| one["action"] == "delete");
            if deletes && !yes && !confirm()? {
                return Err(Failure::new("nothing was changed"));
            }
            let answer = apply(client, &document, &content, false, revision).await?;
            if output.json {
                json(&answer)?;
            } else {
                say(&format!("Applied: revision {}.\n", answer["revision"]))?;
                for issued in answer["issuedKeys"].as_array().into_iter().flatten() {
                    let (name, key) = (issued["name"].as_str(), issued["key"].as_str());
                    say(&format!(
                        "The key of {}, shown this once:\n  {}\n",
                        name.unwrap_or_default(),
                        key.unwrap_or_default()
                    ))?;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What a file says, its credentials in place.
fn load(document: &Document) -> Done<Value> {
    let mut content = fields::load(&document.file)?;
    let Some(kinds) = content.as_object_mut() else {
        return Err(Failure(format!("{} must hold one object", document.file.display())));
    };
    kinds.remove("revision");
    for (index, deployment) in
        kinds.get_mut("deployments").and_then(Value::as_array_mut).into_iter().flatten().enumerate()
    {
        if let Some(deployment) = deployment.as_object_mut() {
            fields::resolve_credentials(deployment, &format!("deployments[{index}]."))?;
        }
    }
    Ok(bare(&content))
}

async fn apply(
    client: &Client,
    document: &Document,
    content: &Value,
    validate_only: bool,
    revision: Option<i64>,
) -> Done<Value> {
    let request = json!({
        "document": content, "validateOnly": validate_only, "prune": document.prune,
        "revision": revision, "includeKeys": document.include_keys,
    });
    client.call("SystemService/ApplyConfig", &request).await
}

/// A document without what is only shown.
fn bare(document: &Value) -> Value {
    let strip = |resource: &Value| -> Value {
        let Some(fields) = resource.as_object() else { return resource.clone() };
        let kept = fields.iter().filter(|(name, _)| !SHOWN.contains(&name.as_str()));
        Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
    };
    let Some(kinds) = document.as_object() else { return document.clone() };
    let kinds = kinds.iter().map(|(kind, resources)| {
        let stripped = match resources {
            Value::Array(resources) => resources.iter().map(strip).collect(),
            other => strip(other),
        };
        (kind.clone(), stripped)
    });
    Value::Object(kinds.collect())
}

/// `+` for what is created, `-` for what is deleted, `~` with its fields for what changes.
fn render(answer: &Value) -> String {
    let mut text = String::new();
    for one in answer["differences"].as_array().into_iter().flatten() {
        let sign = match one["action"].as_str() {
            Some("create") => '+',
            Some("delete") => '-',
            _ => '~',
        };
        let (kind, name) = (one["kind"].as_str().unwrap_or_default(), one["name"].as_str().unwrap_or_default());
        let id = one["id"].as_str().map(|id| format!(" ({id})")).unwrap_or_default();
        text.push_str(&format!("{sign} {kind} {name}{id}\n"));
        for field in one["fields"].as_array().into_iter().flatten() {
            let name = field["field"].as_str().unwrap_or_default();
            text.push_str(&format!("    {name}: {} -> {}\n", field["before"], field["after"]));
        }
    }
    if text.is_empty() { "Nothing differs.\n".to_owned() } else { text }
}

fn confirm() -> Done<bool> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Failure::new("this would delete something: say --yes"));
    }
    let mut err = std::io::stderr();
    _ = write!(err, "Delete what is marked with -? [y/N] ").and_then(|()| err.flush());
    let mut line = String::new();
    input.lock().read_line(&mut line).map_err(|error| Failure(format!("standard input cannot be read: {error}")))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
