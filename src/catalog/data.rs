//! The data files. A new adapter's file is one line in [`FILES`].

/// One data file: the models of one adapter (or of one preset with models of its own), one JSON object per line.
#[derive(Debug, Clone, Copy)]
pub(super) struct DataFile {
    /// Whose models: a preset's name, or an adapter's.
    pub(super) key: &'static str,
    /// The lines.
    pub(super) text: &'static str,
}

macro_rules! data_files {
    ($($key:literal),+ $(,)?) => {
        &[$(DataFile { key: $key, text: include_str!(concat!("data/", $key, ".jsonl")) }),+]
    };
}

/// Every data file, by key.
pub(super) const FILES: &[DataFile] = data_files![
    "anthropic",
    "azurefoundry",
    "azureopenai",
    "bedrock",
    "cerebras",
    "cohere",
    "deepseek",
    "fireworks",
    "googleaistudio",
    "groq",
    "minimax",
    "mistral",
    "moonshot",
    "openai",
    "openrouter",
    "perplexity",
    "together",
    "vertex",
    "voyage",
    "xai",
    "zai",
];
