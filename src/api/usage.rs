//! What both faces share of finished requests.

use super::page_token::Binding;
use crate::domain::operation_query::{OperationFilter, OperationOutcome};

/// What a page token of this filter belongs to.
pub(super) fn binding(filter: &OperationFilter) -> Binding {
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    let flag = |flag: Option<bool>| flag.map(|flag| flag.to_string());
    let conditions = [
        filter.request_id.clone(),
        filter.key.map(|id| id.to_string()),
        filter.public_model.clone(),
        filter.deployment.map(|id| id.to_string()),
        filter.provider.clone(),
        filter.operation.clone(),
        filter.outcome.map(OperationOutcome::as_str).map(str::to_owned),
        flag(filter.degraded),
        flag(filter.cache_hit),
        number(filter.status.map(i64::from)),
        filter.tag.clone(),
        filter.min_duration_ms.map(|ms| ms.to_string()),
        number(filter.start.map(|start| start.unix_ms())),
        number(filter.end.map(|end| end.unix_ms())),
    ];
    Binding::new("operations", &conditions.each_ref().map(Option::as_deref))
}
