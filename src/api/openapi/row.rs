//! One operation of the HTTP surface, as it is documented.

use serde_json::{Map, Value, json};

use super::schema::reference;

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Anyone.
    Anyone,
    /// Anyone, or with any key of the gateway where the list of models is not public.
    Visitor,
    /// A virtual key or the master key.
    Client,
    /// The master key.
    Operator,
}

/// Where a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum In {
    Query,
    Header,
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param {
    pub place: In,
    pub name: &'static str,
    /// `string`, `integer`, `boolean`, …
    pub kind: &'static str,
    pub about: &'static str,
}

/// A parameter of the query.
pub(super) const fn query(name: &'static str, kind: &'static str, about: &'static str) -> Param {
    Param { place: In::Query, name, kind, about }
}

/// A header.
pub(super) const fn header(name: &'static str, kind: &'static str, about: &'static str) -> Param {
    Param { place: In::Header, name, kind, about }
}

/// One operation.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub method: &'static str,
    /// The path as the router has it.
    pub route: &'static str,
    /// The path as it is documented.
    pub path: &'static str,
    pub summary: &'static str,
    pub about: &'static str,
    pub tag: &'static str,
    pub by: By,
    pub params: Vec<Param>,
    /// Example values of variable parts of the path.
    pub variables: Vec<(&'static str, &'static str)>,
    /// Media type and schema of the body.
    pub body: Option<(&'static str, Value)>,
    pub examples: Vec<(&'static str, Value)>,
    /// Status of success.
    pub status: u16,
    /// Media types and schemas of success.
    pub answers: Vec<(&'static str, Value)>,
}

impl Row {
    pub(super) fn new(method: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            route: path,
            path,
            summary,
            about: "",
            tag: "",
            by: By::Anyone,
            params: Vec::new(),
            variables: Vec::new(),
            body: None,
            examples: Vec::new(),
            status: 200,
            answers: Vec::new(),
        }
    }

    /// Documents a route with a wildcard under a path that says what it stands for.
    pub(super) fn routed(mut self, route: &'static str) -> Self {
        self.route = route;
        self
    }

    pub(super) fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    pub(super) fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    pub(super) fn by(mut self, by: By) -> Self {
        self.by = by;
        self
    }

    pub(super) fn with(mut self, params: &[Param]) -> Self {
        self.params.extend_from_slice(params);
        self
    }

    pub(super) fn at(mut self, name: &'static str, example: &'static str) -> Self {
        self.variables.push((name, example));
        self
    }

    /// Takes a JSON body.
    pub(super) fn takes(self, schema: Value) -> Self {
        self.takes_as("application/json", schema)
    }

    pub(super) fn takes_as(mut self, media: &'static str, schema: Value) -> Self {
        self.body = Some((media, schema));
        self
    }

    /// An example of the body, which a test sends.
    pub(super) fn example(mut self, name: &'static str, body: Value) -> Self {
        self.examples.push((name, body));
        self
    }

    /// Answers JSON.
    pub(super) fn answers(self, schema: Value) -> Self {
        self.answers_as("application/json", schema)
    }

    pub(super) fn answers_as(mut self, media: &'static str, schema: Value) -> Self {
        self.answers.push((media, schema));
        self
    }

    /// Answers with this status instead of 200.
    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Statuses of its refusals.
    fn refusals(&self) -> Vec<u16> {
        let mut statuses = vec![500, 503];
        match self.by {
            By::Anyone => {}
            By::Visitor => statuses.extend([401, 404]),
            By::Client => statuses.extend([400, 401, 403, 404, 429]),
            By::Operator => statuses.extend([400, 401, 403, 429]),
        }
        if self.by == By::Client && self.body.is_some() {
            statuses.extend([408, 413, 415, 502, 504]);
        }
        if self.by == By::Operator && self.body.is_some() {
            statuses.extend([404, 408, 409, 413, 415]);
        }
        if self.by == By::Operator && (!self.variables.is_empty() || self.method == "delete") {
            statuses.extend([404, 409]);
        }
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }

    /// As an Operation Object.
    pub(super) fn render(&self) -> Value {
        let mut operation = Map::new();
        operation.insert("operationId".to_owned(), json!(self.id()));
        operation.insert("tags".to_owned(), json!([self.tag]));
        operation.insert("summary".to_owned(), json!(self.summary));
        if !self.about.is_empty() {
            operation.insert("description".to_owned(), json!(self.about));
        }
        operation.insert("security".to_owned(), self.security());
        let params = self.parameters();
        if !params.is_empty() {
            operation.insert("parameters".to_owned(), Value::Array(params));
        }
        if let Some((media, schema)) = &self.body {
            let mut content = json!({"schema": schema});
            if !self.examples.is_empty() {
                let examples = self.examples.iter().map(|(name, body)| ((*name).to_owned(), json!({"value": body})));
                content["examples"] = Value::Object(examples.collect());
            }
            operation.insert("requestBody".to_owned(), json!({"required": true, "content": {*media: content}}));
        }
        operation.insert("responses".to_owned(), self.responses());
        Value::Object(operation)
    }

    fn responses(&self) -> Value {
        let content: Map<String, Value> =
            self.answers.iter().map(|(media, schema)| ((*media).to_owned(), json!({"schema": schema}))).collect();
        let headers = json!({"x-request-id": {"$ref": "#/components/headers/RequestId"}});
        let success = json!({"description": "Success.", "headers": headers, "content": content});
        let mut responses = Map::from_iter([(self.status.to_string(), success)]);
        let shape = if self.path.starts_with("/v1/messages") { "Anthropic" } else { "" };
        for status in self.refusals() {
            let name = format!("#/components/responses/{shape}Refusal{status}");
            responses.insert(status.to_string(), json!({"$ref": name}));
        }
        Value::Object(responses)
    }

    fn security(&self) -> Value {
        let client = [json!({"bearer": []}), json!({"apiKeyHeader": []}), json!({"azureKeyHeader": []})];
        match self.by {
            By::Anyone => json!([]),
            By::Visitor => json!([[json!({})].as_slice(), client.as_slice()].concat()),
            By::Client => json!(client),
            By::Operator => json!([{"masterKey": []}]),
        }
    }

    fn parameters(&self) -> Vec<Value> {
        let mut all: Vec<Value> = self
            .variables
            .iter()
            .map(|(name, example)| {
                json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}, "example": example})
            })
            .collect();
        all.extend(self.params.iter().map(|param| {
            let place = match param.place {
                In::Query => "query",
                In::Header => "header",
            };
            json!({"name": param.name, "in": place, "description": param.about, "schema": {"type": param.kind}})
        }));
        all
    }

    /// `post /v1/chat/completions` as `postV1ChatCompletions`.
    fn id(&self) -> String {
        let mut id = self.method.to_owned();
        for word in self.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            let mut chars = word.chars();
            id.extend(chars.next().map(|c| c.to_ascii_uppercase()));
            id.push_str(chars.as_str());
        }
        id
    }
}

/// `{"data":…}`.
pub(super) fn data(schema: Value) -> Value {
    let properties = Map::from_iter([("data".to_owned(), schema)]);
    json!({"type": "object", "required": ["data"], "properties": properties})
}

/// `{"data":[…]}`.
pub(super) fn array(name: &str) -> Value {
    data(json!({"type": "array", "items": reference(name)}))
}

/// `{"data":[…],"pagination":{…}}`.
pub(super) fn page(name: &str) -> Value {
    json!({
        "type": "object",
        "required": ["data", "pagination"],
        "properties": {"data": {"type": "array", "items": reference(name)}, "pagination": reference("Pagination")},
    })
}
