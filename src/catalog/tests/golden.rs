//! Facts about some models, written down a second time by hand: limits in tokens, prices in US cents.

use super::catalog;
use crate::catalog::KnownModel;
use crate::domain::money::NanoCents;
use crate::domain::operation::Operation;

/// Preset or adapter, id, and everything known about it.
const GOLDEN: [(&str, &str, &str); 19] = [
    (
        "openai",
        "gpt-5.4",
        "text.generate via chat_completions responses: tools vision pdf_input structured_outputs, 922000 in, 128000 out, \
         openai_effort none low medium high xhigh; \
         input 250, output 1500, cache_read 25; above 272000: input 500, output 2250, cache_read 50",
    ),
    (
        "openai",
        "gpt-4.1",
        "text.generate via chat_completions responses: tools vision pdf_input structured_outputs, 1047576 in, 32768 out; \
         input 200, output 800, cache_read 50; web_search_per_1k 2500",
    ),
    (
        "openai",
        "gpt-4o-mini",
        "text.generate via chat_completions responses: tools vision pdf_input structured_outputs, 128000 in, 16384 out; \
         input 15, output 60, cache_read 7.5; web_search_per_1k 2500",
    ),
    (
        "openai",
        "text-embedding-3-large",
        "embedding.create via embeddings: 8191 in, dimensions 3072 (1..3072); input 13",
    ),
    (
        "openai",
        "gpt-image-2",
        "image.generate via images: vision; image.edit via image_edits: vision; \
         input 500, output 3000, cache_read 125; \
         image_input_per_mtok 800, image_output_per_mtok 3000, image_cache_read_per_mtok 200",
    ),
    ("openai", "whisper-1", "audio.transcribe via audio_transcriptions: audio_input; per_minute 0.6"),
    ("openai", "tts-1-hd", "audio.speech via audio_speech: ; per_mchar 3000"),
    ("googleaistudio", "imagen-4.0-ultra-generate-001", "image.generate via predict: 480 in; per_image 6"),
    ("voyage", "voyage-3.5-lite", "embedding.create via embeddings: 32000 in, dimensions 1024 (256..2048); input 2"),
    ("openai", "omni-moderation-latest", "moderate via moderations: 32768 in; input 0, output 0"),
    (
        "anthropic",
        "claude-opus-5",
        "text.generate via messages: tools vision pdf_input structured_outputs, 1000000 in, 128000 out, \
         anthropic_adaptive none low medium high xhigh max; \
         input 500, output 2500, cache_read 50, cache_write 625, cache_write_1h 1000; web_search_per_1k 1000",
    ),
    (
        "anthropic",
        "claude-sonnet-5",
        "text.generate via messages: tools vision pdf_input structured_outputs, 1000000 in, 128000 out, \
         anthropic_adaptive none low medium high xhigh max; \
         input 200, output 1000, cache_read 20, cache_write 250, cache_write_1h 400; web_search_per_1k 1000",
    ),
    (
        "anthropic",
        "claude-haiku-5-5",
        "text.generate via messages: tools vision pdf_input structured_outputs, 1000000 in, 128000 out, \
         anthropic_adaptive none low medium high xhigh max; \
         input 10, output 50, cache_read 1, cache_write 12.5, cache_write_1h 20; \
         above 100000: input 50, output 250, cache_read 5, cache_write 62.5; web_search_per_1k 1000",
    ),
    (
        "googleaistudio",
        "gemini-3.1-pro-preview",
        "text.generate via generate_content: tools vision audio_input pdf_input structured_outputs, 1048576 in, \
         65536 out, gemini_level low medium high; \
         input 200, output 1200, cache_read 20; above 200000: input 400, output 1800, cache_read 40; \
         web_search_per_1k 1400",
    ),
    (
        "googleaistudio",
        "gemini-2.5-flash",
        "text.generate via generate_content: tools vision audio_input pdf_input structured_outputs, 1048576 in, \
         65536 out, gemini_budget none minimal low medium high xhigh; \
         input 30, output 250, cache_read 3; \
         audio_input_per_mtok 100, audio_cache_read_per_mtok 10, web_search_per_1k 3500",
    ),
    (
        "googleaistudio",
        "gemini-embedding-001",
        "embedding.create via embed_content: 2048 in, dimensions 3072 (128..3072); input 15",
    ),
    (
        "groq",
        "openai/gpt-oss-120b",
        "text.generate via chat_completions: tools structured_outputs, 131072 in, 65536 out, \
         openai_effort low medium high; input 15, output 60, cache_read 7.5; web_search_per_1k 500",
    ),
    ("openrouter", "cohere/rerank-4-pro", "rerank via rerank: 32768 in; per_search_unit 0.25"),
    (
        "deepseek",
        "deepseek-v4-pro",
        "text.generate via chat_completions: tools structured_outputs, 1000000 in, 384000 out, \
         openai_body none high max; input 132, output 396, cache_read 4.4; \
         offpeak_input 66, offpeak_output 198, offpeak_cache_read 2.2",
    ),
];

#[test]
fn well_known_models_have_their_exact_facts() {
    let catalog = catalog();
    for (key, id, expected) in GOLDEN {
        let known = catalog.find(key, id).unwrap_or_else(|| panic!("{key} {id} is missing"));
        assert_eq!(known.id, id);
        assert_eq!(describe(known), expected, "{key} {id}");
    }
}

#[test]
fn a_price_is_held_in_nano_cents_per_million_tokens() {
    let catalog = catalog();
    let mini = catalog.find("openai", "gpt-4o-mini").unwrap();
    assert_eq!(mini.profile.pricing.cache_read, Some(NanoCents(7_500_000_000)));
    assert_eq!(mini.profile.pricing.cache_write, None);
}

fn describe(known: &KnownModel) -> String {
    let operations = Operation::ALL.into_iter().filter_map(|operation| describe_operation(known, operation));
    let mut parts: Vec<String> = operations.collect();
    let pricing = &known.profile.pricing;
    let base = [
        ("input", pricing.input),
        ("output", pricing.output),
        ("cache_read", pricing.cache_read),
        ("cache_write", pricing.cache_write),
        ("cache_write_1h", pricing.cache_write_1h),
    ];
    parts.push(cents(base));
    parts.extend(pricing.tiers.iter().map(|tier| {
        let rates = [
            ("input", tier.input),
            ("output", tier.output),
            ("cache_read", tier.cache_read),
            ("cache_write", tier.cache_write),
        ];
        format!("above {}: {}", tier.above_input_tokens, cents(rates))
    }));
    parts.push(cents(pricing.units.iter().map(|(unit, price)| (unit.as_str(), Some(*price)))));
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

fn describe_operation(known: &KnownModel, operation: Operation) -> Option<String> {
    let profile = known.profile.operations.get(&operation)?;
    let wires: Vec<_> = known.transports[&operation].iter().map(|wire| wire.as_str()).collect();
    let flags = [
        ("tools", profile.tools),
        ("vision", profile.vision),
        ("audio_input", profile.audio_input),
        ("pdf_input", profile.pdf_input),
        ("structured_outputs", profile.structured_outputs),
    ];
    let flags: Vec<_> = flags.into_iter().filter_map(|(word, set)| set.then_some(word)).collect();
    let mut facts = vec![flags.join(" ")];
    facts.extend(profile.max_input_tokens.map(|limit| format!("{limit} in")));
    facts.extend(profile.max_output_tokens.map(|limit| format!("{limit} out")));
    facts.extend(profile.reasoning.as_ref().map(|reasoning| {
        let levels: Vec<_> = reasoning.levels.iter().map(|level| level.as_str()).collect();
        format!("{} {}", reasoning.kind.as_str(), levels.join(" "))
    }));
    facts.extend(
        profile
            .dimensions
            .map(|d| format!("dimensions {} ({}..{})", d.default, d.min.unwrap_or(0), d.max.unwrap_or(0))),
    );
    facts.retain(|fact| !fact.is_empty());
    Some(format!("{operation} via {}: {}", wires.join(" "), facts.join(", ")))
}

fn cents<'a>(prices: impl IntoIterator<Item = (&'a str, Option<NanoCents>)>) -> String {
    let known = prices.into_iter().filter_map(|(name, price)| price.map(|price| format!("{name} {price}")));
    known.collect::<Vec<_>>().join(", ")
}
