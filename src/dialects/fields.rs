//! Request fields that are carried by name: what a wire calls each canonical parameter.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::node::Members;
use super::out::Out;
use crate::canonical::Json;
use crate::canonical::text::{Parameter, Request};

/// A wire's names of the parameters it knows.
pub(super) type Names = &'static [(&'static str, Parameter)];

/// Reads the parameters that are there.
#[must_use]
pub(super) fn read(root: &Members<'_>, names: Names) -> BTreeMap<Parameter, Json> {
    names.iter().filter_map(|(name, parameter)| Some((*parameter, root.get(name)?.json()))).collect()
}

/// Writes the parameters that the wire knows, and names the others.
pub(super) fn write(
    out: &mut Out<'_>,
    request: &Request,
    names: &[(&'static str, Parameter)],
    dropped: &mut Vec<Cow<'static, str>>,
) {
    for (parameter, json) in &request.parameters {
        match names.iter().find(|(_, known)| known == parameter) {
            Some((name, _)) => {
                out.raw(name, json.as_str());
            }
            None if is_default(*parameter, json) => {}
            None => dropped.push(Cow::Borrowed(parameter.as_str())),
        }
    }
    dropped.extend(request.unknown.iter().map(|name| Cow::Owned(name.chars().take(64).collect())));
}

/// Whether leaving a parameter out means what it says.
pub(super) fn is_default(parameter: Parameter, json: &Json) -> bool {
    let text = json.as_str();
    match parameter {
        Parameter::PresencePenalty | Parameter::FrequencyPenalty => matches!(text, "0" | "0.0"),
        Parameter::Logprobs => text == "false",
        Parameter::Choices => text == "1",
        Parameter::Modalities => text.replace(' ', "") == "[\"text\"]",
        Parameter::Truncation => text == "\"disabled\"",
        Parameter::ServiceTier => matches!(text, "\"auto\"" | "\"default\""),
        Parameter::Include | Parameter::McpServers => text == "[]",
        Parameter::Metadata | Parameter::LogitBias => text == "{}",
        Parameter::Verbosity => text == "\"medium\"",
        _ => false,
    }
}
