//! Hosts that speak the OpenAI wire: one row each.

use super::judge::{FailureClass, Match, Rule};
use super::{API_KEY, API_KEY_IF_NEEDED, Auth, BASE_URL, BASE_URL_REQUIRED, Provider};
use crate::domain::operation::{Operation, Transport};

const CHAT_AND_RESPONSES: &[(Operation, &[Transport])] =
    &[(Operation::TextGenerate, &[Transport::ChatCompletions, Transport::Responses])];
const MESSAGES: &[(Operation, &[Transport])] = &[(Operation::TextGenerate, &[Transport::Messages])];

pub(super) const HOSTS: &[Provider] = &[
    Provider {
        name: "openai",
        adapter: "openai",
        title: "OpenAI",
        base_url: Some("https://api.openai.com/v1"),
        auth: Auth::Bearer,
        credentials: &[API_KEY, BASE_URL],
        transports: CHAT_AND_RESPONSES,
        by_pin_only: &[],
        requires_known_model: true,
        wants_max_tokens: false,
        takes_top_k: false,
        headers: &[],
        rules: &[],
    },
    Provider {
        name: "anthropic",
        adapter: "anthropic",
        title: "Anthropic",
        base_url: Some("https://api.anthropic.com/v1"),
        auth: Auth::Header("x-api-key"),
        credentials: &[API_KEY, BASE_URL],
        transports: MESSAGES,
        by_pin_only: &[],
        requires_known_model: true,
        wants_max_tokens: true,
        takes_top_k: true,
        headers: &[("anthropic-version", "2023-06-01")],
        // Documented at docs.anthropic.com/en/api/errors: 529 is an overloaded service; an empty account is a 400.
        rules: &[
            Rule { when: Match::Phrase("credit balance is too low"), then: FailureClass::Configuration },
            Rule { when: Match::Word("overloaded_error"), then: FailureClass::Transient },
            Rule { when: Match::Word("not_found_error"), then: FailureClass::Configuration },
        ],
    },
    Provider {
        name: "openrouter",
        adapter: "openrouter",
        title: "OpenRouter",
        base_url: Some("https://openrouter.ai/api/v1"),
        auth: Auth::Bearer,
        credentials: &[API_KEY, BASE_URL],
        transports: CHAT_AND_RESPONSES,
        by_pin_only: &[Transport::Responses],
        requires_known_model: false,
        wants_max_tokens: true,
        takes_top_k: true,
        headers: &[],
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
        transports: CHAT_AND_RESPONSES,
        by_pin_only: &[Transport::Responses],
        requires_known_model: false,
        wants_max_tokens: true,
        takes_top_k: true,
        headers: &[],
        rules: &[],
    },
];
