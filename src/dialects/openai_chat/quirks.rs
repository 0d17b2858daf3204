//! What a host makes of this wire: fields it renames, refuses or takes in a way of its own. A row of data per host; no
//! host is named here.

/// How a host wants this wire spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// Fields under other names: the name of the API reference, the host's.
    pub renames: &'static [(&'static str, &'static str)],
    /// Fields that the host refuses. They are left out and named as dropped.
    pub refuses: &'static [&'static str],
    /// Whether it knows `top_k`, which is no field of OpenAI's.
    pub takes_top_k: bool,
    /// Whether it knows `stream_options`. Where not, usage comes unasked.
    pub takes_stream_options: bool,
    /// Whether it knows the role `developer`; else it is `system`.
    pub takes_developer: bool,
    /// Whether it reads `cache_control` beside parts of a message.
    pub takes_cache_control: bool,
    /// Whether it knows `strict` of a function.
    pub takes_strict: bool,
    /// Whether it knows tools that take free text; else they are functions of one string.
    pub takes_custom_tools: bool,
    /// Whether it knows `json_schema`; else it is asked for an object, and told the schema in words.
    pub takes_json_schema: bool,
    /// Whether it knows `json_object`; else only words ask for it.
    pub takes_json_object: bool,
    /// Whether two turns of the same side must be one.
    pub needs_alternation: bool,
    /// The values of `service_tier` it knows; empty: not restricted.
    pub service_tiers: &'static [&'static str],
    /// What it knows of `tool_choice`.
    pub choices: Choices,
    /// How thinking is switched and measured where the catalog says `openai_body`, or says nothing.
    pub thinking: ThinkingField,
    /// Where it wants its own thoughts back.
    pub thoughts: ThoughtField,
    /// Whether ids of tool calls must be nine letters or digits.
    pub has_short_call_ids: bool,
}

impl Quirks {
    /// OpenAI's own API: the reference, without any quirk.
    pub const REFERENCE: Self = Self {
        renames: &[],
        refuses: &[],
        takes_top_k: false,
        takes_stream_options: true,
        takes_developer: true,
        takes_cache_control: false,
        takes_strict: true,
        takes_custom_tools: true,
        takes_json_schema: true,
        takes_json_object: true,
        needs_alternation: false,
        service_tiers: &[],
        choices: Choices::ALL,
        thinking: ThinkingField::Effort,
        thoughts: ThoughtField::ReasoningContent,
        has_short_call_ids: false,
    };

    /// What most hosts make of it.
    pub const HOST: Self = Self {
        renames: &[("max_completion_tokens", "max_tokens")],
        takes_top_k: true,
        takes_developer: false,
        takes_custom_tools: false,
        choices: Choices::PLAIN,
        ..Self::REFERENCE
    };

    /// The host's name of a field.
    #[must_use]
    pub fn name_of<'a>(&self, field: &'a str) -> &'a str {
        self.renames.iter().find(|(own, _)| *own == field).map_or(field, |(_, theirs)| theirs)
    }

    /// Whether a field must be left out.
    #[must_use]
    pub fn refuses(&self, field: &str) -> bool {
        self.refuses.contains(&field) || (field == "top_k" && !self.takes_top_k)
    }
}

impl Default for &Quirks {
    fn default() -> Self {
        &Quirks::REFERENCE
    }
}

/// What a host knows of `tool_choice` besides `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choices {
    /// `none`; else the tools are left out.
    pub none: bool,
    /// `required`; else a single tool is named, and several are left to the model.
    pub required: bool,
    /// One tool by name; else it is the only one that is offered.
    pub named: bool,
    /// `allowed_tools`; else only those are offered.
    pub allowed: bool,
}

impl Choices {
    /// All of the API reference.
    pub const ALL: Self = Self { none: true, required: true, named: true, allowed: true };
    /// All but `allowed_tools`.
    pub const PLAIN: Self = Self { allowed: false, ..Self::ALL };
    /// `auto` and `none`.
    pub const FREE: Self = Self { required: false, named: false, ..Self::PLAIN };
    /// `auto` alone.
    pub const AUTO: Self = Self { none: false, ..Self::FREE };
}

/// How thinking is switched and measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThinkingField {
    /// `reasoning_effort`.
    Effort,
    /// `thinking: {"type": "enabled" | "disabled"}`, and `reasoning_effort` where a model has several steps.
    Switch,
    /// The same with `adaptive` for on.
    AdaptiveSwitch,
    /// `enable_thinking`, and `thinking_budget` where the client gave a number.
    EnableThinking,
    /// `reasoning: {"effort": …}`, or `{"max_tokens": …}` where the client gave a number.
    Reasoning,
    /// `chat_template_kwargs: {"enable_thinking": …}`.
    TemplateFlag,
    /// It cannot be steered.
    Nothing,
}

/// Where a host wants its own thoughts back in the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThoughtField {
    /// `reasoning_content`.
    ReasoningContent,
    /// `reasoning`.
    Reasoning,
    /// A `thinking` part of the content.
    Part,
    /// `<think>…</think>` before the text.
    Tags,
    /// Nowhere: the field would be refused.
    Nothing,
}
