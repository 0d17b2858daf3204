//! Schemas of answers that the REST API makes from several messages of the protobuf contract, or from none.

use serde_json::{Value, json};

use super::schema::reference;

type Schemas = Vec<(&'static str, Value)>;

/// All of them, by name.
pub(super) fn schemas() -> Schemas {
    [common(), of_keys_and_files(), of_the_catalog(), of_usage()].into_iter().flatten().collect()
}

fn words() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

fn common() -> Schemas {
    vec![
        (
            "Cents",
            json!({
                "description": "Cents: a decimal, as a number or as text; never rounded.", "type": ["number", "string"],
            }),
        ),
        (
            "Deleted",
            json!({
                "type": "object",
                "required": ["id", "deleted"],
                "properties": {"id": {"type": "string"}, "deleted": {"const": true}},
            }),
        ),
        (
            "Pagination",
            json!({
                "type": "object",
                "required": ["limit"],
                "properties": {
                    "limit": {"type": "integer"},
                    "offset": {"type": ["integer", "null"]},
                    "total": {
                        "type": ["integer", "null"],
                        "description": "Counted up to 10,000. Null after the cursor of a list that counts its first page alone.",
                    },
                    "nextOffset": {"type": ["integer", "null"]},
                    "nextCursor": {"type": ["string", "null"]},
                },
            }),
        ),
    ]
}

fn of_keys_and_files() -> Schemas {
    vec![
        (
            "IssuedKeyAnswer",
            json!({"allOf": [reference("VirtualKey"), {"type": "object", "properties": {
                "key": {"type": "string", "description": "The key itself; shown this once."},
                "replayed": {"type": "boolean", "description": "The idempotency key was used before."},
            }}]}),
        ),
        (
            "Applied",
            json!({
                "type": "object",
                "required": ["differences", "revision", "issuedKeys"],
                "properties": {
                    "differences": {"type": "array", "items": {"type": "object", "properties": {
                        "action": {"enum": ["create", "update", "delete"]},
                        "kind": {"type": "string"},
                        "id": {"type": ["string", "null"]},
                        "name": {"type": "string"},
                        "fields": {"type": "array", "items": {"type": "object", "properties": {
                            "field": {"type": "string"}, "before": {}, "after": {},
                        }}},
                    }}},
                    "revision": {"type": "integer"},
                    "issuedKeys": {"type": "array", "items": reference("IssuedKey")},
                },
            }),
        ),
    ]
}

fn of_the_catalog() -> Schemas {
    let words = words();
    let credentials = json!({"type": "array", "items": reference("CredentialField")});
    let by_operation = |schema: Value| json!({"type": "object", "additionalProperties": schema});
    let wires = by_operation(json!({"type": "object", "properties": {"transports": words}}));
    vec![
        (
            "Resolved",
            json!({
                "type": "object",
                "required": ["source", "operations", "pricing"],
                "properties": {
                    "source": {"enum": ["catalog", "custom", "preset"]},
                    "catalogModel": {"type": ["string", "null"]},
                    "adapter": {"type": ["string", "null"]},
                    "operations": by_operation(json!({"type": "object", "properties": {
                        "transport": {"type": "string"}, "transports": words, "profile": reference("OperationProfile"),
                    }})),
                    "pricing": reference("Pricing"),
                },
            }),
        ),
        (
            "Preset",
            json!({
                "type": "object",
                "required": ["provider", "adapter", "title", "credentials", "operations"],
                "properties": {
                    "provider": {"type": "string"},
                    "adapter": {"type": "string"},
                    "title": {"type": "string"},
                    "defaultBaseUrl": {"type": ["string", "null"]},
                    "credentials": credentials,
                    "operations": wires,
                    "requiresKnownModel": {"type": "boolean"},
                },
            }),
        ),
        (
            "Adapter",
            json!({
                "type": "object",
                "required": ["adapter", "providers", "operations", "credentials"],
                "properties": {
                    "adapter": {"type": "string"}, "providers": words, "operations": wires, "credentials": credentials,
                },
            }),
        ),
    ]
}

fn of_usage() -> Schemas {
    let words = words();
    let percentiles = json!({"type": ["object", "null"], "properties": {
        "p50": {"type": "integer"}, "p95": {"type": "integer"}, "p99": {"type": "integer"},
    }});
    vec![
        (
            "UsageAnswer",
            json!({
                "type": "object",
                "required": ["data", "total", "groupBy", "start", "end"],
                "properties": {
                    "data": {"type": "array", "items": {"allOf": [reference("UsageTotals"), {"type": "object", "properties": {
                        "publicModel": {"type": "string"},
                        "virtualKeyId": {"type": "string", "description": "Empty for the master key."},
                        "deploymentId": {"type": "string"},
                        "provider": {"type": "string"},
                        "tag": {"type": "string"},
                        "operation": {"type": "string"},
                        "day": {"type": "string", "format": "date"},
                        "hour": {"type": "string", "format": "date-time"},
                        "totalTokens": {"type": "integer"},
                    }}]}},
                    "total": {"allOf": [
                        reference("UsageTotals"), {"type": "object", "properties": {"totalTokens": {"type": "integer"}}},
                    ]},
                    "groupBy": words,
                    "start": {"type": "string", "format": "date-time"},
                    "end": {"type": "string", "format": "date-time"},
                },
            }),
        ),
        (
            "SummaryAnswer",
            json!({"allOf": [reference("SummaryOfRequests"), {
                "type": "object",
                "required": ["window", "start", "end", "models"],
                "properties": {
                    "window": {"enum": ["5m", "1h", "24h"]},
                    "start": {"type": "string", "format": "date-time"},
                    "end": {"type": "string", "format": "date-time"},
                    "models": {"type": "array", "items": reference("SummaryOfRequests")},
                },
            }]}),
        ),
        (
            "SummaryOfRequests",
            json!({
                "type": "object",
                "required": ["requests", "outcomes", "durationMs", "firstOutputMs", "costCents"],
                "properties": {
                    "publicModel": {"type": "string"},
                    "requests": {"type": "integer"},
                    "outcomes": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "degraded": {"type": "integer"},
                    "cacheHits": {"type": "integer"},
                    "durationMs": percentiles,
                    "firstOutputMs": percentiles,
                    "inputTokens": {"type": "integer"},
                    "outputTokens": {"type": "integer"},
                    "costCents": reference("Cents"),
                    "upstreamCostCents": reference("Cents"),
                },
            }),
        ),
    ]
}
