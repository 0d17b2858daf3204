//! Hosts that differ by data alone, most of which speak the OpenAI wire: one row each.

use super::judge::{FailureClass, Match, Rule};
use super::{API_KEY, API_KEY_IF_NEEDED, Auth, BASE_URL, BASE_URL_REQUIRED, Provider};
use crate::domain::operation::{Operation, Transport};

const CHAT_AND_RESPONSES: &[(Operation, &[Transport])] =
    &[(Operation::TextGenerate, &[Transport::ChatCompletions, Transport::Responses])];
const GENERATE_CONTENT: &[(Operation, &[Transport])] = &[(Operation::TextGenerate, &[Transport::GenerateContent])];
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
        name: "googleaistudio",
        adapter: "googleaistudio",
        title: "Google AI Studio (Gemini API)",
        base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
        auth: Auth::Header("x-goog-api-key"),
        credentials: &[API_KEY, BASE_URL],
        transports: GENERATE_CONTENT,
        by_pin_only: &[],
        requires_known_model: true,
        wants_max_tokens: false,
        takes_top_k: true,
        headers: &[],
        // Documented at ai.google.dev/gemini-api/docs/troubleshooting and in google.rpc.Code: a bad key is a 400 with the
        // reason API_KEY_INVALID, a region or an account without billing a 400 FAILED_PRECONDITION; the limit of input
        // tokens is a 400 whose words alone tell it.
        rules: &[
            Rule { when: Match::Word("API_KEY_INVALID"), then: FailureClass::Configuration },
            Rule { when: Match::Phrase("API key not valid"), then: FailureClass::Configuration },
            Rule { when: Match::Phrase("API key expired"), then: FailureClass::Configuration },
            Rule { when: Match::Word("FAILED_PRECONDITION"), then: FailureClass::Configuration },
            Rule { when: Match::Word("RESOURCE_EXHAUSTED"), then: FailureClass::Throttle },
            Rule { when: Match::Phrase("exceeds the maximum number of tokens"), then: FailureClass::ContextWindow },
            Rule { when: Match::Word("CANCELLED"), then: FailureClass::Transient },
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
