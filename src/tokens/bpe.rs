//! Byte-pair encoding: an exact count for OpenAI's models, and a good one for others. Its tables are large and counting takes
//! time, so they are loaded at the first use and it is not done on a thread that serves requests; see [`count`].

use crate::canonical::text::Request;

/// Texts longer than this together are not counted: the rule by size is good enough for them, and time is bounded.
const MAX_BYTES: usize = 2 << 20;
/// Tokenizers of other vendors make up to so many tokens of the text that makes 100 of OpenAI's.
const PERCENT_OF_OTHERS: u64 = 135;

/// Beginnings of the names of models that this encoding is exact for.
const EXACT: [&str; 7] = ["gpt-", "chatgpt-", "chat-latest", "o1", "o3", "o4", "codex-"];

/// The tokens of a request's input, counted. It takes milliseconds for a long text, and a quarter of a second the first time;
/// call it where that holds nobody up. `None`: there is too much text.
#[must_use]
pub fn count(request: &Request) -> Option<u64> {
    let mut left = MAX_BYTES;
    let mut is_too_long = false;
    let counted = super::sum(request, &mut |text| {
        let Some(rest) = left.checked_sub(text.len()) else {
            is_too_long = true;
            return 0;
        };
        left = rest;
        u64::try_from(bpe_openai::o200k_base().count(text)).unwrap_or(u64::MAX)
    });
    (!is_too_long).then_some(counted)
}

/// What a count means for a model: the same for OpenAI's, more for others.
#[must_use]
pub fn for_model(counted: u64, upstream_model: &str) -> u64 {
    let name = upstream_model.rsplit('/').next().unwrap_or(upstream_model);
    if EXACT.iter().any(|beginning| name.starts_with(beginning)) {
        counted
    } else {
        counted.saturating_mul(PERCENT_OF_OTHERS).div_ceil(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::text::{Part, Role, Turn};

    fn request(text: &str) -> Request {
        Request { turns: vec![Turn::new(Role::User, vec![Part::text(text)])], ..Request::default() }
    }

    #[test]
    fn text_is_counted_and_the_rule_by_size_is_not_far() {
        // Six words and a full stop, and the marks around a turn.
        assert_eq!(count(&request("The quick brown fox jumps over.")), Some(7 + super::super::TURN));
        let long = "one two three ".repeat(1_000);
        let counted = count(&request(&long)).unwrap();
        assert!((3_000..3_100).contains(&counted), "{counted}");
        assert!(super::super::estimate(&request(&long)) > counted);
    }

    #[test]
    fn too_much_text_is_not_counted_and_odd_text_takes_no_longer() {
        assert_eq!(count(&request(&"a ".repeat(MAX_BYTES))), None);
        assert!(count(&request(&"\u{0}".repeat(100_000))).is_some());
        assert!(count(&request(&"a".repeat(1_000_000))).is_some());
        assert!(count(&request(&" ".repeat(1_000_000))).is_some());
    }

    #[test]
    fn it_is_exact_for_openai_and_more_for_others() {
        for exact in ["gpt-5", "o3-mini", "openai/gpt-4.1", "chat-latest"] {
            assert_eq!(for_model(100, exact), 100, "{exact}");
        }
        for other in ["claude-sonnet-5", "anthropic/claude", "llama-4", "olmo-2"] {
            assert_eq!(for_model(100, other), 135, "{other}");
        }
    }
}
