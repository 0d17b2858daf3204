//! Servers that one runs oneself.

use super::super::Provider;
use super::super::compatible::{DESKTOP, SERVER};
use super::super::judge::{FailureClass, Match, Rule};
use crate::dialects::openai_chat::{Choices, Quirks, ThinkingField, ThoughtField};

const TEMPLATED: Quirks = Quirks { thinking: ThinkingField::TemplateFlag, ..Quirks::HOST };

pub(in super::super) const ROWS: &[Provider] = &[
    Provider { name: "openaicompatible", title: "Any server that speaks the OpenAI API", ..SERVER },
    // docs.ollama.com/api/openai-compatibility: `reasoning_effort` and `reasoning`; no `tool_choice`.
    Provider {
        name: "ollama",
        title: "Ollama",
        base_url: Some("http://localhost:11434/v1"),
        quirks: Quirks { choices: Choices::AUTO, thoughts: ThoughtField::Reasoning, ..Quirks::HOST },
        rules: &[Rule { when: Match::Phrase("exceeds context length"), then: FailureClass::ContextWindow }],
        ..DESKTOP
    },
    // docs.vllm.ai/en/latest/serving/openai_compatible_server: `chat_template_kwargs`, `reasoning_effort`.
    Provider { name: "vllm", title: "vLLM", quirks: TEMPLATED, ..SERVER },
    // docs.sglang.ai/basic_usage/openai_api_completions: `chat_template_kwargs`.
    Provider { name: "sglang", title: "SGLang", quirks: TEMPLATED, ..SERVER },
    // github.com/ggml-org/llama.cpp/tree/master/tools/server: `chat_template_kwargs`, `reasoning_content`.
    Provider {
        name: "llamacpp",
        title: "llama.cpp server",
        base_url: Some("http://localhost:8080/v1"),
        quirks: TEMPLATED,
        ..DESKTOP
    },
    // lmstudio.ai/docs/developer/openai-compat
    Provider {
        name: "lmstudio",
        title: "LM Studio",
        base_url: Some("http://localhost:1234/v1"),
        rules: &[Rule { when: Match::Phrase("greater than the context length"), then: FailureClass::ContextWindow }],
        ..DESKTOP
    },
    // huggingface.co/docs/text-generation-inference/reference/api_reference
    Provider { name: "tgi", title: "Text Generation Inference", ..SERVER },
    // localai.io/basics/getting_started
    Provider { name: "localai", title: "LocalAI", base_url: Some("http://localhost:8080/v1"), ..DESKTOP },
    // docs.litellm.ai/docs/proxy/user_keys: it passes cache breakpoints on.
    Provider {
        name: "litellm",
        title: "LiteLLM proxy",
        quirks: Quirks { takes_cache_control: true, ..Quirks::HOST },
        ..SERVER
    },
];
