//! `/admin`. Schemas are those of the protobuf contract, in the words of the REST API.

use serde_json::{Value, json};

use super::row::{By, Param, Row, array, data, header, page, query};
use super::schema::reference;

const DEPLOYMENTS: &str = "Deployments";
const KEYS: &str = "Virtual keys";
const ROUTING: &str = "Routing";
const CATALOG: &str = "Catalog";
const SYSTEM: &str = "System";
const USAGE: &str = "Usage";

const SAMPLE_ID: &str = "0199f0c4-a7e1-7000-88a1-b2c3d4e5f607";
const VALIDATE_ONLY: Param = query("validateOnly", "boolean", "Checks everything and saves nothing.");
const IDEMPOTENCY_KEY: Param =
    header("idempotency-key", "string", "The same twice creates once; at most 200 characters.");
const IF_MATCH: Param = header("if-match", "string", "Only in this state: an `etag`.");
const PAGING: [Param; 3] = [
    query("limit", "integer", "At most so many: 1 to 500, 50 unless said."),
    query("offset", "integer", "So many are left out."),
    query("cursor", "string", "`nextCursor` of the page before."),
];

pub(super) fn rows() -> Vec<Row> {
    let all = deployments().into_iter().chain(keys()).chain(routing()).chain(usage()).chain(rest());
    all.map(|row| row.by(By::Operator)).collect()
}

fn deleted() -> Value {
    data(reference("Deleted"))
}

fn deployments() -> Vec<Row> {
    let about = |method, path, summary| Row::new(method, path, summary).tag(DEPLOYMENTS);
    let one = |method, path, summary| about(method, path, summary).at("id", SAMPLE_ID);
    let echo = |name: &str| json!({"publicModel": name, "provider": "echo", "upstreamModel": "echo"});
    vec![
        about("get", "/admin/deployments", "List deployments")
            .with(&PAGING)
            .with(&[
                query("enabled", "boolean", "Only enabled, or only disabled, ones."),
                query("publicModel", "string", "Only of this public model."),
                query("provider", "string", "Only of this preset."),
                query("q", "string", "Only those whose public model, upstream model or label contains this."),
            ])
            .answers(page("Deployment")),
        about("post", "/admin/deployments", "Create a deployment")
            .about("It takes traffic on this replica when the call returns.")
            .with(&[VALIDATE_ONLY, IDEMPOTENCY_KEY])
            .takes(reference("Deployment"))
            .example("echo", echo("documented"))
            .status(201)
            .answers(data(reference("Deployment"))),
        about("post", "/admin/deployments/resolve", "Say what a deployment would be able to do")
            .takes(reference("Deployment"))
            .example("echo", echo("documented"))
            .answers(data(reference("Resolved"))),
        about("post", "/admin/deployments/test", "Make one tiny real call with a deployment that is not stored")
            .takes(reference("Deployment"))
            .example("echo", echo("documented"))
            .answers(data(reference("TestDeploymentResponse"))),
        one("get", "/admin/deployments/{id}", "Read a deployment").answers(data(reference("Deployment"))),
        one("patch", "/admin/deployments/{id}", "Change fields of a deployment")
            .about("Fields that are not there stay; `null` clears.")
            .with(&[VALIDATE_ONLY, IF_MATCH])
            .takes(reference("Deployment"))
            .example("weight", json!({"weight": 3, "label": null}))
            .answers(data(reference("Deployment"))),
        one("delete", "/admin/deployments/{id}", "Delete a deployment").with(&[IF_MATCH]).answers(deleted()),
        one("post", "/admin/deployments/{id}/test", "Make one tiny real call with a stored deployment")
            .takes(json!({"type": "object", "properties": {"credentials": reference("Credentials")}}))
            .example("stored credentials", json!({}))
            .answers(data(reference("TestDeploymentResponse"))),
    ]
}

fn keys() -> Vec<Row> {
    let about = |method, path, summary| Row::new(method, path, summary).tag(KEYS);
    let one = |method, path, summary| about(method, path, summary).at("id", SAMPLE_ID);
    vec![
        about("get", "/admin/keys", "List virtual keys")
            .with(&PAGING)
            .with(&[
                query("enabled", "boolean", "Only enabled, or only disabled, ones."),
                query("q", "string", "Only those whose name or prefix contains this."),
            ])
            .answers(page("VirtualKey")),
        about("post", "/admin/keys", "Issue a virtual key")
            .about("The key itself is in this answer and nowhere else, ever.")
            .with(&[VALIDATE_ONLY, IDEMPOTENCY_KEY])
            .takes(reference("VirtualKey"))
            .example("limited", json!({
                "name": "my-app", "allowedModels": ["echo"], "rpm": 600, "maxBudgetCents": "50.5", "budgetReset": "monthly",
            }))
            .status(201)
            .answers(data(reference("IssuedKeyAnswer"))),
        one("get", "/admin/keys/{id}", "Read a virtual key").answers(data(reference("VirtualKey"))),
        one("patch", "/admin/keys/{id}", "Change fields of a virtual key")
            .about("Fields that are not there stay; `null` clears. `resetSpend: true` starts its spending from zero.")
            .with(&[VALIDATE_ONLY, IF_MATCH])
            .takes(json!({"allOf": [
                reference("VirtualKey"), {"type": "object", "properties": {"resetSpend": {"type": "boolean"}}},
            ]}))
            .example("limits", json!({"rpm": 60, "tpm": null, "enabled": true}))
            .example("spending", json!({"resetSpend": true}))
            .answers(data(reference("VirtualKey"))),
        one("delete", "/admin/keys/{id}", "Revoke a virtual key for good").with(&[IF_MATCH]).answers(deleted()),
        one("post", "/admin/keys/{id}/rotate", "Make a new secret")
            .takes(json!({"type": "object", "properties": {
                "gracePeriodSeconds": {"type": "integer", "minimum": 0, "maximum": 604_800}, "etag": {"type": "string"},
            }}))
            .example("an hour", json!({"gracePeriodSeconds": 3600}))
            .answers(data(reference("IssuedKeyAnswer"))),
        one("get", "/admin/keys/{id}/usage", "How a key stands with its limits")
            .answers(data(reference("VirtualKeyUsage"))),
    ]
}

fn routing() -> Vec<Row> {
    let about = |method, path, summary| Row::new(method, path, summary).tag(ROUTING);
    vec![
        about("get", "/admin/router-settings", "Read the router settings").answers(data(reference("RouterSettings"))),
        about("put", "/admin/router-settings", "Change router settings")
            .about("Changes only the fields it has.")
            .with(&[VALIDATE_ONLY, IF_MATCH])
            .takes(reference("RouterSettings"))
            .example("circuits", json!({"allowedFails": 5, "cooldownSeconds": 10}))
            .answers(data(reference("RouterSettings"))),
        about("get", "/admin/fallbacks", "List fallback chains")
            .with(&PAGING)
            .with(&[query("primaryModel", "string", "Only of this model.")])
            .answers(page("Fallback")),
        about("put", "/admin/fallbacks", "Create or replace a fallback chain")
            .with(&[VALIDATE_ONLY, IF_MATCH])
            .takes(reference("Fallback"))
            .example("general", json!({"primaryModel": "echo", "reason": "general", "fallbackModels": ["spare"]}))
            .answers(data(reference("Fallback"))),
        about("delete", "/admin/fallbacks/{primaryModel}/{reason}", "Delete a fallback chain")
            .routed("/admin/fallbacks/{*chain}")
            .at("primaryModel", "echo")
            .at("reason", "general")
            .with(&[IF_MATCH])
            .answers(deleted()),
        about("post", "/admin/route/explain", "Say what would become of a request, without making it")
            .takes(reference("ExplainRouteRequest"))
            .example("a short question", json!({"publicModel": "echo"}))
            .answers(data(reference("ExplainRouteResponse"))),
    ]
}

/// The conditions on finished requests.
const CONDITIONS: [Param; 14] = [
    query("requestId", "string", "The id that the client saw."),
    query("virtualKeyId", "string", "Only of this virtual key."),
    query("publicModel", "string", "Only of this public model."),
    query("deploymentId", "string", "Only of this deployment."),
    query("provider", "string", "Only of this preset."),
    query("operation", "string", "Only of this operation, such as `text.generate`."),
    query("outcome", "string", "`success`, `incomplete`, `blocked`, `error`, `cancelled` or `abandoned`."),
    query("degraded", "boolean", "A fallback served it, or fields were left out."),
    query("cacheHit", "boolean", "The response cache answered."),
    query("status", "integer", "The HTTP status of the answer."),
    query("tag", "string", "With this tag of the client."),
    query("minDurationMs", "integer", "It took at least so long."),
    query("start", "string", "It began then or later: RFC 3339 or a day."),
    query("end", "string", "It began before: RFC 3339 or a day."),
];

fn usage() -> Vec<Row> {
    let about = |method, path, summary| Row::new(method, path, summary).tag(USAGE);
    vec![
        about("get", "/admin/logs", "List finished requests, newest first")
            .about("`total` is counted on the first page alone; go on with `cursor`.")
            .with(&PAGING)
            .with(&CONDITIONS)
            .answers(page("Operation")),
        about("get", "/admin/logs/{id}", "Read a finished request with its attempts")
            .about("By its id or by the request id that the client saw; of several with that one, the newest.")
            .at("id", SAMPLE_ID)
            .answers(data(reference("Operation"))),
        about("get", "/admin/logs/tail", "Follow what is recorded")
            .about("Server-sent events named `operation`; the id of each is the one to go on after. Times are no conditions here.")
            .with(&[query("after", "string", "Begins after this operation instead of now; also the header `last-event-id`.")])
            .with(&CONDITIONS)
            .answers_as("text/event-stream", json!({"type": "string"})),
        about("get", "/admin/usage", "Sum up requests, tokens and cost")
            .about("Whole hours; the last thirty days unless said. With `Accept: text/csv` a table.")
            .with(&[
                query("groupBy", "string", "Two at most of `model`, `key`, `deployment`, `provider`, `tag`, `operation`, `day`, `hour`."),
                query("format", "string", "`json` or `csv`."),
            ])
            .with(&CONDITIONS)
            .answers(reference("UsageAnswer"))
            .answers_as("text/csv", json!({"type": "string"})),
        about("get", "/admin/observability/summary", "Recent requests in short")
            .with(&[query("window", "string", "`5m`, `1h` or `24h`, or several with commas; `1h` unless said.")])
            .answers(data(json!({"anyOf": [
                reference("SummaryAnswer"), {"type": "array", "items": reference("SummaryAnswer")},
            ]}))),
    ]
}

fn rest() -> Vec<Row> {
    let about = |method, path, summary| Row::new(method, path, summary);
    vec![
        about("get", "/admin/operations", "List adapters with their operations and wires")
            .tag(CATALOG)
            .answers(array("Adapter")),
        about("get", "/admin/provider-presets", "List provider presets").tag(CATALOG).answers(array("Preset")),
        about("delete", "/admin/cache", "Remove answers from the response cache")
            .tag(SYSTEM)
            .with(&[
                query("callType", "string", "Only those of this operation."),
                query("namespace", "string", "Only those of the virtual key with this id."),
            ])
            .answers(data(json!({
                "type": "object", "required": ["removed"], "properties": {"removed": {"type": "integer", "minimum": 0}},
            }))),
        about("get", "/admin/config", "Export the configuration")
            .tag(SYSTEM)
            .with(&[query("includeKeys", "boolean", "Virtual keys, too; never their secrets.")])
            .answers(data(json!({"allOf": [
                reference("ConfigDocument"), {"type": "object", "properties": {"revision": {"type": "integer"}}},
            ]}))),
        about("put", "/admin/config", "Apply a configuration, all of it or nothing")
            .tag(SYSTEM)
            .with(&[
                query("dryRun", "boolean", "Answers what would change and saves nothing."),
                query("prune", "boolean", "Deletes what the document does not have; needs `revision`."),
                query("revision", "integer", "Only if the configuration is at this revision."),
                query("includeKeys", "boolean", "Applies virtual keys, too."),
            ])
            .takes(reference("ConfigDocument"))
            .example("settings", json!({"settings": {"allowedFails": 5}}))
            .answers(data(reference("Applied"))),
        about("get", "/admin/replicas", "List the replicas")
            .tag(SYSTEM)
            .answers(data(reference("ListReplicasResponse"))),
        about("get", "/admin/replicas/wait", "Wait until a revision is in force on replicas")
            .tag(SYSTEM)
            .with(&[
                query("revision", "integer", "Which one; the newest unless said."),
                query("replicas", "integer", "On how many; on every one that serves unless said."),
                query("timeoutMs", "integer", "How long at most: 0 to 60000, 10000 unless said."),
            ])
            .answers(data(reference("WaitForRevisionResponse"))),
    ]
}
