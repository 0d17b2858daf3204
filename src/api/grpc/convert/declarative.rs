//! The configuration as a document.

use crate::api::draft;
use crate::api::grpc::convert::{deployment, filled, routing, virtual_key};
use crate::api::grpc::mask::Mask;
use crate::api::grpc::proto;
use crate::control::declarative::{
    Action, Applied, DeclaredChain, DeclaredDeployment, DeclaredKey, Difference, Document, Exported,
};
use crate::domain::ids::{DeploymentId, VirtualKeyId};
use crate::domain::money::NanoCents;
use crate::domain::patch::Patch;
use crate::domain::secret::ExposeSecret;
use crate::fault::{Fault, Outcome};

/// A document from a message.
///
/// # Errors
/// `BadRequest` with every field of the first entry that is wrong, at its place in the document.
pub(crate) fn document_from_proto(message: proto::ConfigDocument) -> Outcome<Document> {
    let entries = message.deployments.into_iter().enumerate();
    let deployments = entries.map(|(position, entry)| at("deployments", position, deployment_from_proto(entry)));
    let entries = message.fallbacks.iter().enumerate();
    let fallbacks = entries.map(|(position, entry)| at("fallbacks", position, chain_from_proto(entry)));
    let entries = message.keys.into_iter().enumerate();
    let keys = entries.map(|(position, entry)| at("keys", position, key_from_proto(entry)));
    Ok(Document {
        deployments: deployments.collect::<Outcome<_>>()?,
        fallbacks: fallbacks.collect::<Outcome<_>>()?,
        settings: message.settings.map(settings_from_proto).transpose().map_err(|fault| fault.within("settings"))?,
        keys: keys.collect::<Outcome<_>>()?,
    })
}

fn at<T>(list: &str, position: usize, entry: Outcome<T>) -> Outcome<T> {
    entry.map_err(|fault| fault.within(&format!("{list}[{position}]")))
}

fn deployment_from_proto(message: proto::Deployment) -> Outcome<DeclaredDeployment> {
    let id = id::<DeploymentId>(&message.id)?;
    let patch = deployment::patch_from_proto(message, &Mask::Populated)?;
    let states_credentials = matches!(patch.credentials, Patch::Set(_));
    let draft = draft::deployment(patch)?;
    Ok(DeclaredDeployment { id, spec: draft.spec, credentials: states_credentials.then_some(draft.credentials) })
}

fn chain_from_proto(message: &proto::Fallback) -> Outcome<DeclaredChain> {
    let (primary, reason, targets) = routing::chain_from_proto(message)?;
    Ok(DeclaredChain { primary, reason, targets })
}

fn key_from_proto(message: proto::VirtualKey) -> Outcome<DeclaredKey> {
    let id = id::<VirtualKeyId>(&message.id)?;
    let patch = virtual_key::patch_from_proto(message, &Mask::Populated)?;
    Ok(DeclaredKey { id, spec: draft::virtual_key(patch)? })
}

/// Fields that are set are changed; what a document does not mention stays.
fn settings_from_proto(message: proto::RouterSettings) -> Outcome<crate::domain::settings::SettingsPatch> {
    routing::patch_from_proto(message, &Mask::Populated)
}

fn id<T: std::str::FromStr>(text: &str) -> Outcome<Option<T>> {
    let given = filled(text.to_owned());
    given.map(|text| text.parse().map_err(|_| Fault::invalid("id", "is not a UUID"))).transpose()
}

/// The configuration as a message.
pub(crate) fn exported_into_proto(exported: Exported) -> proto::ExportConfigResponse {
    let document = proto::ConfigDocument {
        deployments: exported.deployments.into_iter().map(deployment::deployment_into_proto).collect(),
        fallbacks: exported.fallbacks.iter().map(routing::chain_into_proto).collect(),
        settings: Some(routing::settings_into_proto(exported.settings)),
        keys: exported.keys.into_iter().map(|key| virtual_key::key_into_proto(key, NanoCents(0))).collect(),
    };
    proto::ExportConfigResponse { document: Some(document), revision: exported.revision.0 }
}

/// What applying did, as a message.
pub(crate) fn applied_into_proto(applied: Applied) -> proto::ApplyConfigResponse {
    let issued = applied.issued.into_iter().map(|issued| proto::IssuedKey {
        id: issued.id.to_string(),
        name: issued.name,
        key: issued.plaintext.expose_secret().to_owned(),
    });
    proto::ApplyConfigResponse {
        differences: applied.differences.into_iter().map(difference_into_proto).collect(),
        revision: applied.revision.0,
        issued_keys: issued.collect(),
    }
}

fn difference_into_proto(difference: Difference) -> proto::ConfigDifference {
    let action = match difference.action {
        Action::Create => proto::config_difference::Action::Create,
        Action::Update => proto::config_difference::Action::Update,
        Action::Delete => proto::config_difference::Action::Delete,
    };
    let fields = difference.fields.into_iter().map(|field| proto::FieldDifference {
        field: field.field,
        before: field.before,
        after: field.after,
    });
    proto::ConfigDifference {
        action: action.into(),
        kind: difference.kind.as_str().to_owned(),
        id: difference.id,
        name: difference.name,
        fields: fields.collect(),
    }
}
