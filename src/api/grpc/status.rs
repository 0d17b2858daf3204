//! Faults as `google.rpc.Status`: code, our sentence, and details that a program can read.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::auth::Called;
use crate::api::envelope;
use crate::fault::{Fault, Violation};

/// `ErrorInfo.domain` of everything the gateway says.
pub const DOMAIN: &str = "unifiedgateway";

/// The status of a fault. `resource` is the field of the request message that holds the resource, where it has one:
/// paths of the resource's fields start with it.
pub(super) fn from_fault(fault: &Fault, resource: Option<&str>) -> Status {
    let row = fault.kind().row();
    let violations: Vec<Violation> = fault
        .violations()
        .iter()
        .map(|violation| Violation {
            field: proto_path(&violation.field, resource),
            description: violation.description.clone(),
        })
        .collect();
    let mut details = ErrorDetails::new();
    details.set_error_info(row.slug.to_uppercase(), DOMAIN, metadata(fault, resource));
    for violation in &violations {
        details.add_bad_request_violation(&violation.field, &violation.description);
    }
    if let Some(wait) = fault.wait() {
        details.set_retry_info(Some(wait));
    }
    // A fault about fields says them in the words of REST; here they are said in the words of the messages.
    let message = Fault::from_violations(violations)
        .map_or_else(|| fault.message().to_owned(), |translated| translated.message().to_owned());
    Status::with_error_details(code(fault), message, details)
}

/// Logs the private side of a fault once and answers its status.
pub(super) fn refuse(fault: &Fault, called: &Called, resource: Option<&str>) -> Status {
    envelope::log(fault, Some(&called.request_id));
    from_fault(fault, resource)
}

fn code(fault: &Fault) -> Code {
    // The numbers are the standard's own.
    Code::from_i32(fault.kind().row().grpc as i32)
}

/// The code that REST answers, and the field at fault where that is no violation of its own (a name in use, say).
fn metadata(fault: &Fault, resource: Option<&str>) -> HashMap<String, String> {
    let code = fault.error_code().map(|code| ("code".to_owned(), code.to_owned()));
    let field = fault.at().filter(|_| fault.violations().is_empty());
    let field = field.map(|field| ("field".to_owned(), proto_path(field, resource)));
    code.into_iter().chain(field).collect()
}

/// Fields of request messages that are not fields of the resource inside.
const OF_THE_REQUEST: [&str; 7] =
    ["request_id", "update_mask", "validate_only", "page_size", "page_token", "group_by", "after_operation_id"];

/// Turns a field path as REST writes it into the path inside the request message.
fn proto_path(path: &str, resource: Option<&str>) -> String {
    let mut segments: Vec<String> = path.split('.').map(proto_segment).collect();
    // Flags stand in the profile itself here.
    segments.retain(|segment| segment != "capabilities");
    if let [first, field, ..] = segments.as_slice()
        && first == "credentials"
        && !["api_key", "base_url", "headers", "extra"].contains(&field.as_str())
    {
        let named = path.split('.').nth(1).unwrap_or_default().to_owned();
        segments.splice(1..2, ["extra".to_owned(), named]);
    }
    let of_the_request = segments.first().is_some_and(|first| OF_THE_REQUEST.contains(&first.as_str()));
    match resource {
        Some(resource) if !of_the_request => format!("{resource}.{}", segments.join(".")),
        Some(_) | None => segments.join("."),
    }
}

fn proto_segment(segment: &str) -> String {
    match segment {
        "maxBudgetCents" => return "max_budget_nanocents".to_owned(),
        "expiresAt" => return "expire_time".to_owned(),
        "idempotency-key" => return "request_id".to_owned(),
        "gracePeriodSeconds" => return "grace_period".to_owned(),
        "minDurationMs" => return "min_duration".to_owned(),
        "start" => return "start_time".to_owned(),
        "end" => return "end_time".to_owned(),
        "status" => return "http_status".to_owned(),
        _ => {}
    }
    if let Some(rate) = segment.strip_suffix("CentsPerMTokens") {
        let rate = if rate == "cacheWrite1h" { "cache_write_1h".to_owned() } else { snake_case(rate) };
        return format!("{rate}_nanocents_per_mtok");
    }
    snake_case(segment)
}

/// `maxInputTokens` to `max_input_tokens`; what has no capitals stays as it is.
pub(super) fn snake_case(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 4);
    for letter in word.chars() {
        if letter.is_ascii_uppercase() {
            if !out.is_empty() {
                out.push('_');
            }
            out.push(letter.to_ascii_lowercase());
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Kind;
    use std::time::Duration;

    #[test]
    fn field_paths_are_those_of_the_message() {
        let cases = [
            ("publicModel", "deployment.public_model"),
            ("credentials.baseUrl", "deployment.credentials.base_url"),
            ("credentials.apiVersion", "deployment.credentials.extra.apiVersion"),
            ("credentials.headers.x-title", "deployment.credentials.headers.x-title"),
            ("pricing.tiers[0].inputCentsPerMTokens", "deployment.pricing.tiers[0].input_nanocents_per_mtok"),
            ("pricing.cacheWrite1hCentsPerMTokens", "deployment.pricing.cache_write_1h_nanocents_per_mtok"),
            (
                "catalogEntry.operations.text.generate.capabilities.tools",
                "deployment.catalog_entry.operations.text.generate.tools",
            ),
            ("update_mask", "update_mask"),
            ("requestId", "request_id"),
        ];
        for (rest, proto) in cases {
            assert_eq!(proto_path(rest, Some("deployment")), proto);
        }
        assert_eq!(proto_path("maxBudgetCents", None), "max_budget_nanocents");
    }

    #[test]
    fn details_say_what_a_program_needs_and_nothing_private() {
        let fault = Fault::invalid("maxBudgetCents", "must not be negative").because(std::io::Error::other("secret"));
        let status = from_fault(&fault, Some("virtual_key"));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "virtual_key.max_budget_nanocents: must not be negative");
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("BAD_REQUEST", DOMAIN));
        let violation = &details.bad_request().unwrap().field_violations[0];
        assert_eq!(violation.field, "virtual_key.max_budget_nanocents");
        assert!(details.retry_info().is_none());
        assert!(!format!("{status:?}").contains("secret"));
    }

    #[test]
    fn a_wait_becomes_retry_info() {
        let fault = Fault::new(Kind::RateLimited).retry_after(Duration::from_secs(7));
        let status = from_fault(&fault, None);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(7)));
        assert!(status.get_details_bad_request().is_none());
    }

    #[test]
    fn every_kind_has_a_code_other_than_ok_and_unknown() {
        for kind in Kind::ALL {
            let status = from_fault(&kind.into(), None);
            assert!(!matches!(status.code(), Code::Ok | Code::Unknown), "{kind:?}");
        }
    }
}
