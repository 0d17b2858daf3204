//! The configuration as a document: the bodies of creations in lists, and what an export adds to them is ignored.

use std::str::FromStr;

use serde::Serialize;
use serde_json::value::RawValue;

use super::deployment::DeploymentShape;
use super::routing::{ChainShape, SettingsShape};
use super::virtual_key::KeyShape;
use super::{deployment, given, routing, virtual_key};
use crate::api::draft;
use crate::api::problems::Problems;
use crate::api::rest::body::{Field, Object};
use crate::control::declarative::{
    Action, Applied, DeclaredChain, DeclaredDeployment, DeclaredKey, Difference, Document, Exported,
};
use crate::domain::money::NanoCents;
use crate::domain::patch::Patch;
use crate::domain::secret::ExposeSecret;
use crate::fault::Outcome;

/// What an export shows of a deployment and a document may therefore have: it says nothing of what shall be.
const SHOWN_DEPLOYMENT: [&str; 4] = ["etag", "createdAt", "updatedAt", "credentialFields"];
const SHOWN_CHAIN: [&str; 2] = ["etag", "updatedAt"];
const SHOWN_SETTINGS: [&str; 2] = ["etag", "updatedAt"];
const SHOWN_KEY: [&str; 6] = ["etag", "createdAt", "updatedAt", "keyPrefix", "spendCents", "previousSecretExpiresAt"];

/// Reads a document. What is missing in an entry is found after the syntax of all of them.
pub(crate) fn read(object: &mut Object<'_>, problems: &mut Problems) -> Outcome<Document> {
    let deployments = entries(object, "deployments", problems, |entry, problems| {
        ignore(entry, &SHOWN_DEPLOYMENT);
        (read_id(entry, problems), deployment::read(entry, problems))
    });
    let fallbacks = entries(object, "fallbacks", problems, |entry, problems| {
        ignore(entry, &SHOWN_CHAIN);
        routing::read_chain(entry, problems)
    });
    let settings = object.object("settings", problems, |entry, problems| {
        ignore(entry, &SHOWN_SETTINGS);
        routing::read_settings(entry, problems)
    });
    let keys = entries(object, "keys", problems, |entry, problems| {
        ignore(entry, &SHOWN_KEY);
        (read_id(entry, problems), virtual_key::read(entry, problems))
    });
    ignore(object, &["revision"]);
    let deployments = deployments.into_iter().map(|(path, (id, patch))| {
        let states_credentials = matches!(patch.credentials, Patch::Set(_));
        let draft = draft::deployment(patch).map_err(|fault| fault.within(&path))?;
        Ok(DeclaredDeployment { id, spec: draft.spec, credentials: states_credentials.then_some(draft.credentials) })
    });
    let keys = keys.into_iter().map(|(path, (id, patch))| {
        Ok(DeclaredKey { id, spec: draft::virtual_key(patch).map_err(|fault| fault.within(&path))? })
    });
    Ok(Document {
        deployments: deployments.collect::<Outcome<_>>()?,
        fallbacks: fallbacks
            .into_iter()
            .filter_map(|(_, (primary, reason, targets))| {
                primary.map(|primary| DeclaredChain { primary, reason, targets })
            })
            .collect(),
        settings: given(settings),
        keys: keys.collect::<Outcome<_>>()?,
    })
}

fn entries<'a, T>(
    object: &mut Object<'a>,
    name: &'static str,
    problems: &mut Problems,
    read: impl Fn(&mut Object<'a>, &mut Problems) -> T,
) -> Vec<(String, T)> {
    let items = given(object.read(name, problems, Field::list)).unwrap_or_default();
    let read = |item: Field<'a>| Some((item.path.clone(), item.read_object(problems, &read)?));
    items.into_iter().filter_map(read).collect()
}

fn read_id<T: FromStr>(entry: &mut Object<'_>, problems: &mut Problems) -> Option<T> {
    let parse = |field: &Field<'_>| field.text()?.parse().map_err(|_| "is not a UUID".to_owned());
    given(entry.read("id", problems, parse))
}

fn ignore(entry: &mut Object<'_>, names: &[&'static str]) {
    for name in names {
        drop(entry.take(name));
    }
}

/// A document, and the revision it shows.
#[derive(Debug, Serialize)]
pub(crate) struct ExportedShape {
    deployments: Vec<DeploymentShape>,
    fallbacks: Vec<ChainShape>,
    settings: SettingsShape,
    keys: Vec<KeyShape>,
    revision: i64,
}

/// What applying did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AppliedShape {
    differences: Vec<DifferenceShape>,
    revision: i64,
    issued_keys: Vec<IssuedKeyShape>,
}

#[derive(Debug, Serialize)]
struct DifferenceShape {
    action: &'static str,
    kind: &'static str,
    id: Option<String>,
    name: String,
    fields: Vec<FieldShape>,
}

#[derive(Debug, Serialize)]
struct FieldShape {
    field: String,
    before: Option<Box<RawValue>>,
    after: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct IssuedKeyShape {
    id: String,
    name: String,
    key: String,
}

impl std::fmt::Debug for IssuedKeyShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedKeyShape").field("id", &self.id).finish_non_exhaustive()
    }
}

pub(crate) fn write_exported(exported: Exported) -> ExportedShape {
    ExportedShape {
        deployments: exported.deployments.into_iter().map(deployment::write).collect(),
        fallbacks: exported.fallbacks.iter().map(routing::write_chain).collect(),
        settings: routing::write_settings(exported.settings),
        keys: exported.keys.into_iter().map(|key| virtual_key::write(key, NanoCents(0))).collect(),
        revision: exported.revision.0,
    }
}

pub(crate) fn write_applied(applied: Applied) -> AppliedShape {
    let issued = applied.issued.into_iter().map(|issued| IssuedKeyShape {
        id: issued.id.to_string(),
        name: issued.name,
        key: issued.plaintext.expose_secret().to_owned(),
    });
    AppliedShape {
        differences: applied.differences.into_iter().map(write_difference).collect(),
        revision: applied.revision.0,
        issued_keys: issued.collect(),
    }
}

fn write_difference(difference: Difference) -> DifferenceShape {
    let json = |text: String| RawValue::from_string(text).ok();
    let fields = difference.fields.into_iter().map(|field| FieldShape {
        field: field.field,
        before: json(field.before),
        after: json(field.after),
    });
    DifferenceShape {
        action: match difference.action {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        },
        kind: difference.kind.as_str(),
        id: (!difference.id.is_empty()).then_some(difference.id),
        name: difference.name,
        fields: fields.collect(),
    }
}
