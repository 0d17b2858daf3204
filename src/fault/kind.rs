//! The table of fault kinds.

/// Every way in which the gateway fails. Adding one means adding its [`Row`] and its page `docs/errors/<slug>.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is not what the endpoint takes.
    BadRequest,
    /// The body is not JSON.
    InvalidJson,
    /// A parameter that no candidate can honour, under a policy that refuses.
    UnsupportedParameter,
    /// The public model cannot do what is asked (operation, tools, vision, …).
    UnsupportedCapability,
    /// The input does not fit the model's window.
    ContextWindow,
    /// A provider's content policy refused the content.
    ContentPolicy,
    /// No usable credential.
    Unauthenticated,
    /// A valid credential that may not do this.
    Forbidden,
    /// A valid key that may not call this model.
    ModelNotAllowed,
    /// No such path or resource.
    NotFound,
    /// No such public model.
    ModelNotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// Already there under the same name.
    AlreadyExists,
    /// Changed by someone else in between (stale etag).
    Stale,
    /// Other resources still depend on it.
    InUse,
    /// A body over a limit.
    TooLarge,
    /// A content type or encoding we do not read.
    MediaType,
    /// The request took too long to arrive.
    RequestTimeout,
    /// A rate limit, ours or the whole pool's.
    RateLimited,
    /// The provider failed or could not be understood.
    Upstream,
    /// The gateway cannot serve now (starting, draining, overloaded, a dependency is down).
    Unavailable,
    /// The public model has no deployment that is switched on and usable.
    NoDeployments,
    /// The provider did not answer in time.
    Timeout,
    /// A defect of ours.
    Internal,
}

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The caller mends the request.
    Caller,
    /// The operator mends the configuration or waits.
    Operator,
    /// The provider.
    Provider,
    /// A defect of the gateway.
    Gateway,
}

/// The gRPC status codes in use. Numbers: <https://grpc.io/docs/guides/status-codes/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[expect(missing_docs, reason = "the names are the standard's own")]
pub enum GrpcCode {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// What a kind means to each reader.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Stable name: log field, `ErrorInfo.reason` (upper-cased) and page name in `docs/errors/`.
    pub slug: &'static str,
    /// HTTP status.
    pub http: u16,
    /// gRPC status.
    pub grpc: GrpcCode,
    /// `error.type` in the OpenAI envelope.
    pub openai_type: &'static str,
    /// `error.type` in the Anthropic envelope.
    pub anthropic_type: &'static str,
    /// `error.code` in the OpenAI envelope, unless the site gives another.
    pub code: Option<&'static str>,
    /// Who has to act.
    pub blame: Blame,
    /// The public sentence, unless the site gives a better one.
    pub sentence: &'static str,
}

const INVALID: &str = "invalid_request_error";

impl Kind {
    /// All kinds, in the table's order.
    pub const ALL: [Self; 24] = [
        Self::BadRequest,
        Self::InvalidJson,
        Self::UnsupportedParameter,
        Self::UnsupportedCapability,
        Self::ContextWindow,
        Self::ContentPolicy,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::ModelNotAllowed,
        Self::NotFound,
        Self::ModelNotFound,
        Self::MethodNotAllowed,
        Self::AlreadyExists,
        Self::Stale,
        Self::InUse,
        Self::TooLarge,
        Self::MediaType,
        Self::RequestTimeout,
        Self::RateLimited,
        Self::Upstream,
        Self::Unavailable,
        Self::NoDeployments,
        Self::Timeout,
        Self::Internal,
    ];

    /// What this kind means to each reader.
    #[must_use]
    pub const fn row(self) -> Row {
        use Blame::{Caller, Gateway, Operator, Provider};
        use GrpcCode as G;
        match self {
            Self::BadRequest => Row::new("bad_request", 400, G::InvalidArgument, Caller, "The request is not valid."),
            Self::InvalidJson => {
                Row::new("invalid_json", 400, G::InvalidArgument, Caller, "The body is not valid JSON.")
                    .coded("invalid_json")
            }
            Self::UnsupportedParameter => Row::new(
                "unsupported_parameter",
                400,
                G::InvalidArgument,
                Caller,
                "A parameter is not supported by this model.",
            )
            .coded("unsupported_parameter"),
            Self::UnsupportedCapability => Row::new(
                "unsupported_capability",
                400,
                G::FailedPrecondition,
                Caller,
                "This model cannot do what the request asks for.",
            )
            .coded("unsupported_model_capability"),
            Self::ContextWindow => Row::new(
                "context_window",
                400,
                G::InvalidArgument,
                Caller,
                "The input is too long for this model's context window.",
            )
            .coded("context_length_exceeded"),
            Self::ContentPolicy => Row::new(
                "content_policy",
                400,
                G::InvalidArgument,
                Caller,
                "The provider's content policy refused the request.",
            )
            .coded("content_policy_violation"),
            Self::Unauthenticated => Row::new(
                "unauthenticated",
                401,
                G::Unauthenticated,
                Caller,
                "The API key is missing, unknown, disabled or expired.",
            )
            .typed("authentication_error", "authentication_error")
            .coded("invalid_api_key"),
            Self::Forbidden => {
                Row::new("forbidden", 403, G::PermissionDenied, Caller, "This credential may not do that.")
                    .typed(INVALID, "permission_error")
                    .coded("permission_denied")
            }
            Self::ModelNotAllowed => {
                Row::new("model_not_allowed", 403, G::PermissionDenied, Caller, "This API key may not call that model.")
                    .typed(INVALID, "permission_error")
                    .coded("model_not_allowed")
            }
            Self::NotFound => Row::new("not_found", 404, G::NotFound, Caller, "There is no such resource.")
                .typed(INVALID, "not_found_error")
                .coded("not_found"),
            Self::ModelNotFound => Row::new("model_not_found", 404, G::NotFound, Caller, "There is no such model.")
                .typed(INVALID, "not_found_error")
                .coded("model_not_found"),
            Self::MethodNotAllowed => {
                Row::new("method_not_allowed", 405, G::Unimplemented, Caller, "This path does not take that method.")
                    .coded("method_not_allowed")
            }
            Self::AlreadyExists => {
                Row::new("already_exists", 409, G::AlreadyExists, Caller, "Something of that name exists already.")
                    .coded("conflict")
            }
            Self::Stale => Row::new(
                "stale",
                409,
                G::Aborted,
                Caller,
                "The resource has changed since you read it; read it again and repeat the change.",
            )
            .coded("conflict"),
            Self::InUse => {
                Row::new("in_use", 409, G::FailedPrecondition, Caller, "Other resources still depend on it.")
                    .coded("conflict")
            }
            Self::TooLarge => Row::new("too_large", 413, G::ResourceExhausted, Caller, "The request is too large.")
                .typed(INVALID, "request_too_large")
                .coded("request_too_large"),
            Self::MediaType => Row::new(
                "media_type",
                415,
                G::InvalidArgument,
                Caller,
                "The content type or encoding is not supported.",
            )
            .coded("unsupported_media_type"),
            Self::RequestTimeout => Row::new(
                "request_timeout",
                408,
                G::DeadlineExceeded,
                Caller,
                "The request body did not arrive in time.",
            )
            .coded("request_timeout"),
            Self::RateLimited => Row::new(
                "rate_limited",
                429,
                G::ResourceExhausted,
                Caller,
                "A rate limit has been reached; try again later.",
            )
            .typed("rate_limit_error", "rate_limit_error")
            .coded("rate_limit_exceeded"),
            Self::Upstream => {
                Row::new("upstream", 502, G::Unavailable, Provider, "The provider failed to answer the request.")
                    .typed("server_error", "api_error")
                    .coded("upstream_error")
            }
            Self::Unavailable => {
                Row::new("unavailable", 503, G::Unavailable, Operator, "The gateway cannot serve the request now.")
                    .typed("server_error", "overloaded_error")
                    .coded("service_unavailable")
            }
            Self::NoDeployments => Row::new(
                "no_deployments",
                503,
                G::Unavailable,
                Operator,
                "No deployment of this model is available now.",
            )
            .typed("server_error", "overloaded_error")
            .coded("no_deployments_available"),
            Self::Timeout => {
                Row::new("timeout", 504, G::DeadlineExceeded, Provider, "The provider did not answer in time.")
                    .typed("server_error", "timeout_error")
                    .coded("timeout")
            }
            Self::Internal => Row::new(
                "internal",
                500,
                G::Internal,
                Gateway,
                "The gateway failed; the request id finds the cause in its log.",
            )
            .typed("server_error", "api_error")
            .coded("internal_error"),
        }
    }
}

impl Row {
    const fn new(slug: &'static str, http: u16, grpc: GrpcCode, blame: Blame, sentence: &'static str) -> Self {
        Self { slug, http, grpc, openai_type: INVALID, anthropic_type: INVALID, code: None, blame, sentence }
    }

    const fn typed(mut self, openai_type: &'static str, anthropic_type: &'static str) -> Self {
        self.openai_type = openai_type;
        self.anthropic_type = anthropic_type;
        self
    }

    const fn coded(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_row_of_its_own_and_a_true_status() {
        let slugs: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.row().slug).collect();
        assert_eq!(slugs.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let row = kind.row();
            assert!((400..600).contains(&row.http), "{}", row.slug);
            assert_eq!(row.blame == Blame::Caller, row.http < 500, "{}", row.slug);
            assert!(row.sentence.ends_with('.'), "{}", row.slug);
        }
    }
}
