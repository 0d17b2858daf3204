//! `unified-gateway admin …`.

use serde_json::{Map, Value, json};

use super::call::Client;
use super::print::{Column, Output};
use super::{Done, Failure, fields, json, logs};
use crate::config::admin::{
    AdminVerb, Body, CacheVerb, DeploymentVerb, FallbackVerb, KeyVerb, RouteVerb, SettingsVerb,
};

/// Rows asked for at once, and most that are listed.
const PAGE: u64 = 500;
const MOST: usize = 10_000;

const DEPLOYMENTS: &[Column] = &[
    ("ID", "id"),
    ("PUBLIC MODEL", "publicModel"),
    ("PROVIDER", "provider"),
    ("UPSTREAM MODEL", "upstreamModel"),
    ("WEIGHT", "weight"),
    ("PRIORITY", "priority"),
    ("ENABLED", "enabled"),
    ("LABEL", "label"),
];
const KEYS: &[Column] = &[
    ("ID", "id"),
    ("NAME", "name"),
    ("PREFIX", "keyPrefix"),
    ("MODELS", "allowedModels"),
    ("ENABLED", "enabled"),
    ("EXPIRES", "expiresAt"),
];
const CHAINS: &[Column] = &[("PRIMARY MODEL", "primaryModel"), ("REASON", "reason"), ("FALLBACKS", "fallbackModels")];
const CANDIDATES: &[Column] = &[
    ("NO", "position"),
    ("DEPLOYMENT", "deploymentId"),
    ("PROVIDER", "provider"),
    ("UPSTREAM MODEL", "upstreamModel"),
    ("TIER", "priority"),
    ("WEIGHT", "weight"),
    ("VERDICT", "verdict"),
    ("SHARE", "share"),
    ("LANE", "lane"),
    ("DROPPED", "dropped"),
    ("COST CENTS", "costCents"),
    ("WHY", "reason"),
];
const REPLICAS: &[Column] = &[
    ("ID", "id"),
    ("HOST", "host"),
    ("VERSION", "version"),
    ("REVISION", "revision"),
    ("ALIVE", "alive"),
    ("DRAINING", "draining"),
    ("SILENT MS", "silentForMs"),
];
const PROVIDERS: &[Column] =
    &[("PROVIDER", "name"), ("ADAPTER", "adapter"), ("TITLE", "title"), ("BASE URL", "defaultBaseUrl")];
const MODELS: &[Column] = &[("PROVIDER", "provider"), ("MODEL", "model")];

/// A kind of resource.
struct Noun {
    service: &'static str,
    name: &'static str,
    /// Its field in requests.
    field: &'static str,
    /// Its field in lists.
    list: &'static str,
    columns: &'static [Column],
}

const DEPLOYMENT: Noun = Noun {
    service: "DeploymentService",
    name: "Deployment",
    field: "deployment",
    list: "deployments",
    columns: DEPLOYMENTS,
};
const KEY: Noun =
    Noun { service: "VirtualKeyService", name: "VirtualKey", field: "virtualKey", list: "virtualKeys", columns: KEYS };

pub(super) async fn run(client: &Client, output: Output, verb: AdminVerb) -> Done {
    match verb {
        AdminVerb::Info => output.one(&client.call("SystemService/GetInfo", &json!({})).await?),
        AdminVerb::Replicas { wait: None } => {
            let answer = client.call("SystemService/ListReplicas", &json!({})).await?;
            if output.json {
                return output.one(&answer);
            }
            output.list(items(&answer, "replicas"), REPLICAS)
        }
        AdminVerb::Replicas { wait: Some(fields) } => {
            let request = Value::Object(fields::assignments(&fields)?);
            let answer = client.call("SystemService/WaitForRevision", &request).await?;
            output.one(&answer)?;
            if answer["reached"] == true {
                Ok(())
            } else {
                Err(Failure::new("the revision is not in force on enough replicas"))
            }
        }
        AdminVerb::Deployments(verb) => deployments(client, output, verb).await,
        AdminVerb::Keys(verb) => keys(client, output, verb).await,
        AdminVerb::Fallbacks(verb) => fallbacks(client, output, verb).await,
        AdminVerb::Settings(SettingsVerb::Get) => {
            output.one(&client.call("RoutingService/GetSettings", &json!({})).await?)
        }
        AdminVerb::Settings(SettingsVerb::Set(body)) => {
            let fields = fields::body(&body)?;
            let request = json!({"updateMask": mask(client, "RoutingService/UpdateSettings", "settings", &fields)?,
                "settings": fields, "validateOnly": body.validate_only});
            output.one(&client.call("RoutingService/UpdateSettings", &request).await?)
        }
        AdminVerb::Logs(verb) => logs::run(client, output, verb).await,
        AdminVerb::Usage { fields, csv } => logs::usage(client, output, &fields, csv).await,
        AdminVerb::Summary { window } => logs::summary(client, output, &window).await,
        AdminVerb::Cache(CacheVerb::Invalidate { filters }) => {
            let request = Value::Object(fields::assignments(&filters)?);
            output.one(&client.call("CacheService/Invalidate", &request).await?)
        }
        AdminVerb::Route(RouteVerb::Explain(body)) => explain(client, output, &body).await,
        AdminVerb::Providers => {
            let answer = client.call("CatalogService/ListProviders", &json!({})).await?;
            output.list(items(&answer, "providers"), PROVIDERS)
        }
        AdminVerb::Models { filters } => {
            list(client, output, "CatalogService/ListModels", "models", MODELS, &filters).await
        }
    }
}

async fn deployments(client: &Client, output: Output, verb: DeploymentVerb) -> Done {
    match verb {
        DeploymentVerb::List { filters } => DEPLOYMENT.list(client, output, &filters).await,
        DeploymentVerb::Get { id } => DEPLOYMENT.get(client, output, &id).await,
        DeploymentVerb::Create { body, request_id } => output.one(&DEPLOYMENT.create(client, &body, request_id).await?),
        DeploymentVerb::Update { id, body, etag } => DEPLOYMENT.update(client, output, &id, &body, etag).await,
        DeploymentVerb::Delete { id, etag } => DEPLOYMENT.delete(client, output, &id, etag).await,
        DeploymentVerb::Test { id } => {
            let answer = client.call("DeploymentService/TestDeployment", &json!({"id": id})).await?;
            output.one(&answer)?;
            if answer["ok"] == true { Ok(()) } else { Err(Failure::new("the deployment does not work")) }
        }
        DeploymentVerb::Resolve(body) => {
            let request = json!({"deployment": fields::body(&body)?});
            output.one(&client.call("DeploymentService/ResolveDeployment", &request).await?)
        }
    }
}

async fn keys(client: &Client, output: Output, verb: KeyVerb) -> Done {
    match verb {
        KeyVerb::List { filters } => KEY.list(client, output, &filters).await,
        KeyVerb::Get { id } => KEY.get(client, output, &id).await,
        KeyVerb::Create { body, request_id } => issued(output, &KEY.create(client, &body, request_id).await?),
        KeyVerb::Update { id, body, etag } => KEY.update(client, output, &id, &body, etag).await,
        KeyVerb::Delete { id, etag } => KEY.delete(client, output, &id, etag).await,
        KeyVerb::Rotate { id, grace } => {
            let request = json!({"id": id, "gracePeriodSeconds": grace});
            issued(output, &client.call("VirtualKeyService/RotateVirtualKey", &request).await?)
        }
    }
}

/// A key with its secret, which is shown this once.
fn issued(output: Output, answer: &Value) -> Done {
    if output.json {
        let mut flat = answer["virtualKey"].clone();
        for name in ["key", "replayed"] {
            if let (Some(flat), Some(value)) = (flat.as_object_mut(), answer.get(name)) {
                flat.insert(name.to_owned(), value.clone());
            }
        }
        return output.one(&flat);
    }
    output.one(&answer["virtualKey"])?;
    match answer["key"].as_str() {
        Some(key) => output.note(&format!("\nThe key, shown this once:\n  {key}")),
        None => Ok(()),
    }
}

async fn fallbacks(client: &Client, output: Output, verb: FallbackVerb) -> Done {
    match verb {
        FallbackVerb::List { filters } => {
            list(client, output, "RoutingService/ListFallbacks", "fallbacks", CHAINS, &filters).await
        }
        FallbackVerb::Set(body) => {
            let request = json!({"fallback": fields::body(&body)?, "validateOnly": body.validate_only});
            output.one(&client.call("RoutingService/SetFallback", &request).await?)
        }
        FallbackVerb::Delete { primary_model, reason } => {
            let request = json!({"primaryModel": primary_model, "reason": reason});
            client.call("RoutingService/DeleteFallback", &request).await?;
            output.note(&format!("deleted {primary_model}/{reason}"))
        }
    }
}

/// What would become of a request: the candidates as a table, then what decides beside them.
async fn explain(client: &Client, output: Output, body: &Body) -> Done {
    let request = Value::Object(fields::body(body)?);
    let mut answer = client.call("RoutingService/ExplainRoute", &request).await?;
    if output.json {
        return output.one(&answer);
    }
    let Some(object) = answer.as_object_mut() else { return output.one(&answer) };
    let candidates = object.remove("candidates").unwrap_or_default();
    let chains = object.remove("chains").unwrap_or_default();
    output.list(candidates.as_array().map_or(&[], Vec::as_slice), CANDIDATES)?;
    for chain in chains.as_array().into_iter().flatten() {
        let targets = chain["targets"].as_array().into_iter().flatten();
        let targets: Vec<&str> = targets.filter_map(|target| target["publicModel"].as_str()).collect();
        let reason = chain["reason"].as_str().unwrap_or_default();
        output.note(&format!("\nwhen all of them fail ({reason}): {}", targets.join(", ")))?;
    }
    output.note("")?;
    output.one(&answer)
}

impl Noun {
    async fn list(&self, client: &Client, output: Output, filters: &[String]) -> Done {
        let call = format!("{}/List{}s", self.service, self.name);
        list(client, output, &call, self.list, self.columns, filters).await
    }

    async fn get(&self, client: &Client, output: Output, id: &str) -> Done {
        output.one(&client.call(&format!("{}/Get{}", self.service, self.name), &json!({"id": id})).await?)
    }

    async fn create(&self, client: &Client, body: &Body, request_id: Option<String>) -> Done<Value> {
        let request =
            json!({self.field: fields::body(body)?, "requestId": request_id, "validateOnly": body.validate_only});
        client.call(&format!("{}/Create{}", self.service, self.name), &request).await
    }

    async fn update(&self, client: &Client, output: Output, id: &str, body: &Body, etag: Option<String>) -> Done {
        let call = format!("{}/Update{}", self.service, self.name);
        let mut resource = fields::body(body)?;
        let mask = mask(client, &call, self.field, &resource)?;
        resource.insert("id".to_owned(), Value::from(id));
        resource.insert("etag".to_owned(), Value::from(etag));
        let request = json!({self.field: resource, "updateMask": mask, "validateOnly": body.validate_only});
        output.one(&client.call(&call, &request).await?)
    }

    async fn delete(&self, client: &Client, output: Output, id: &str, etag: Option<String>) -> Done {
        client.call(&format!("{}/Delete{}", self.service, self.name), &json!({"id": id, "etag": etag})).await?;
        output.note(&format!("deleted {id}"))
    }
}

/// The fields that an update names, those that it clears included.
fn mask(client: &Client, call: &str, field: &str, fields: &Map<String, Value>) -> Done<Value> {
    if fields.is_empty() {
        return Err(Failure::new("nothing to change: write name=value"));
    }
    let input = client.input(call)?;
    let paths = fields.keys().map(|name| json::contract_name(&input, field, name));
    let paths = paths.collect::<Result<Vec<_>, _>>().map_err(Failure)?;
    Ok(json!({"paths": paths}))
}

pub(super) fn items<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// All pages of a list.
async fn list(client: &Client, output: Output, call: &str, name: &str, columns: &[Column], filters: &[String]) -> Done {
    let mut request = fields::assignments(filters)?;
    let mut all = Vec::new();
    request.insert("pageSize".to_owned(), Value::from(PAGE));
    loop {
        let answer = client.call(call, &Value::Object(request.clone())).await?;
        all.extend(items(&answer, name).iter().cloned());
        match answer["nextPageToken"].as_str() {
            Some(token) if all.len() < MOST => drop(request.insert("pageToken".to_owned(), Value::from(token))),
            Some(_) => {
                output.list(&all, columns)?;
                return output.note(&format!("and more: only the first {} are shown; filter them", all.len()));
            }
            None => return output.list(&all, columns),
        }
    }
}
