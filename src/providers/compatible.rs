//! Hosts that speak the OpenAI wire: one row each.

use super::judge::{FailureClass, Match, Rule};
use super::{API_KEY, API_KEY_IF_NEEDED, Auth, BASE_URL, BASE_URL_REQUIRED, Provider};
use crate::domain::operation::{Operation, Transport};

const CHAT: &[(Operation, &[Transport])] = &[(Operation::TextGenerate, &[Transport::ChatCompletions])];

pub(super) const HOSTS: &[Provider] = &[
    Provider {
        name: "openai",
        adapter: "openai",
        title: "OpenAI",
        base_url: Some("https://api.openai.com/v1"),
        auth: Auth::Bearer,
        credentials: &[API_KEY, BASE_URL],
        transports: CHAT,
        requires_known_model: true,
        rules: &[],
    },
    Provider {
        name: "openrouter",
        adapter: "openrouter",
        title: "OpenRouter",
        base_url: Some("https://openrouter.ai/api/v1"),
        auth: Auth::Bearer,
        credentials: &[API_KEY, BASE_URL],
        transports: CHAT,
        requires_known_model: false,
        // Documented at openrouter.ai/docs/api-reference/errors: 402 is an empty account, 403 is flagged input, 408 a
        // timeout of the provider behind.
        rules: &[
            Rule { when: Match::Status(402), then: FailureClass::Configuration },
            Rule { when: Match::Status(403), then: FailureClass::ContentPolicy },
            Rule { when: Match::Status(408), then: FailureClass::Transient },
        ],
    },
    Provider {
        name: "openaicompatible",
        adapter: "openaicompatible",
        title: "Any server that speaks the OpenAI API",
        base_url: None,
        auth: Auth::Bearer,
        credentials: &[API_KEY_IF_NEEDED, BASE_URL_REQUIRED],
        transports: CHAT,
        requires_known_model: false,
        rules: &[],
    },
];
