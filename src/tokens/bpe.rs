//! Byte-pair encoding: an exact count for OpenAI's models, and a good one for others. Its table takes memory and counting
//! takes time, so it is loaded at the first use and counting is not done on a thread that serves requests; see [`count`].
//!
//! The table is `o200k_base` of OpenAI's tiktoken (MIT), as published. It is read here, and not by a crate that brings it along,
//! because those put 4 to 32 MB into the program, and some take time beyond measure for texts made to that end.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::Read;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use regex_automata::Input;
use regex_automata::meta::Regex;

use crate::canonical::text::Request;

/// Texts longer than this together are not counted: the rule by size is good enough for them, and time is bounded.
const MAX_BYTES: usize = 512 * 1024;
/// Tokenizers of other vendors make up to so many tokens of the text that makes 100 of OpenAI's.
const PERCENT_OF_OTHERS: u64 = 135;

/// Beginnings of the names of models that this encoding is exact for.
const EXACT: [&str; 7] = ["gpt-", "chatgpt-", "chat-latest", "o1", "o3", "o4", "codex-"];

/// Each line: a token in base64, and its rank.
const TABLE: &[u8] = include_bytes!("o200k_base.tiktoken.gz");
/// What the table is when it is read; a bound for the reader.
const MAX_TABLE_BYTES: u64 = 16 << 20;

/// What text is split into before it is encoded, as the encoding defines it; white space comes last.
const WORDS: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+",
);
const SPACE: &str = r"\s+";
/// The number of the second of the two.
const IS_SPACE: usize = 1;

static ENCODING: LazyLock<Option<Encoding>> = LazyLock::new(Encoding::read);

struct Encoding {
    ranks: HashMap<Vec<u8>, u32>,
    longest: usize,
    split: Regex,
}

impl Encoding {
    fn read() -> Option<Self> {
        let mut text = String::new();
        GzDecoder::new(TABLE).take(MAX_TABLE_BYTES).read_to_string(&mut text).ok()?;
        let line = |line: &str| {
            let (token, rank) = line.split_once(' ')?;
            Some((STANDARD.decode(token).ok()?, rank.parse().ok()?))
        };
        let ranks: HashMap<Vec<u8>, u32> = text.lines().map(line).collect::<Option<_>>()?;
        let longest = ranks.keys().map(Vec::len).max()?;
        Some(Self { ranks, longest, split: Regex::new_many(&[WORDS, SPACE]).ok()? })
    }

    fn count(&self, text: &str) -> u64 {
        let (mut at, mut sum) = (0, 0);
        while let Some(found) = self.split.find(Input::new(text).range(at..)) {
            let mut end = found.end();
            let Some(piece) = text.get(found.start()..end) else { break };
            // The last of several spaces belongs to the word behind them.
            if found.pattern().as_usize() == IS_SPACE
                && end < text.len()
                && let Some((last, _)) = piece.char_indices().next_back().filter(|(last, _)| *last > 0)
            {
                end = found.start() + last;
            }
            sum += self.count_piece(text.as_bytes().get(found.start()..end).unwrap_or_default());
            // Nothing in the two patterns is empty.
            at = end;
        }
        sum
    }

    /// Merges the pair of the lowest rank until there is none. Of many bytes it takes their number times its logarithm.
    fn count_piece(&self, piece: &[u8]) -> u64 {
        if self.ranks.contains_key(piece) {
            return 1;
        }
        let mut parts = Parts::of(piece.len());
        let mut pairs = BinaryHeap::new();
        let rank = |start: usize, end: usize| {
            let bytes = piece.get(start..end).filter(|bytes| bytes.len() <= self.longest)?;
            self.ranks.get(bytes).map(|rank| Reverse((*rank, start, end)))
        };
        pairs.extend((0..piece.len()).filter_map(|start| rank(start, start + 2)));
        let mut count = piece.len() as u64;
        while let Some(Reverse((_, start, end))) = pairs.pop() {
            // What was merged otherwise meanwhile is no pair any more.
            let Some(merged) = parts.merge(start, end) else { continue };
            count -= 1;
            pairs.extend(merged.after.and_then(|after| rank(start, after)));
            pairs.extend(merged.before.and_then(|before| rank(before, end)));
        }
        count
    }
}

/// Parts of a piece, each from its number to its end.
struct Parts(Vec<Part>);

#[derive(Clone, Copy)]
struct Part {
    /// Where it ends and the next one begins; 0: it was merged into another.
    end: usize,
    /// Where the one before it begins.
    before: Option<usize>,
}

/// What is beside a part that was merged of two.
struct Merged {
    /// Where the part before it begins.
    before: Option<usize>,
    /// Where the part after it ends.
    after: Option<usize>,
}

impl Parts {
    /// One for each byte.
    fn of(length: usize) -> Self {
        Self((0..length).map(|start| Part { end: start + 1, before: start.checked_sub(1) }).collect())
    }

    /// Makes one of the two parts that begin at `start` and end at `end`. `None`: there are no such two.
    fn merge(&mut self, start: usize, end: usize) -> Option<Merged> {
        let first = *self.0.get(start).filter(|part| part.end > 0)?;
        let second = self.0.get_mut(first.end).filter(|part| part.end == end)?;
        second.end = 0;
        self.0.get_mut(start)?.end = end;
        let after = self.0.get_mut(end).map(|part| {
            part.before = Some(start);
            part.end
        });
        Some(Merged { before: first.before, after })
    }
}

/// The tokens of a request's input, counted. It takes milliseconds for a long text, and a part of a second the first time;
/// call it where that holds nobody up. `None`: there is too much text.
#[must_use]
pub fn count(request: &Request) -> Option<u64> {
    let encoding = ENCODING.as_ref()?;
    let mut left = MAX_BYTES;
    let mut is_too_long = false;
    let counted = super::sum(request, &mut |text| {
        let Some(rest) = left.checked_sub(text.len()) else {
            is_too_long = true;
            return 0;
        };
        left = rest;
        encoding.count(text)
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
    fn tokens_are_those_of_the_encoding() {
        let encoding = ENCODING.as_ref().unwrap();
        assert_eq!(encoding.ranks.len(), 199_998);
        // As OpenAI's own library counts them.
        for (text, expected) in [
            ("", 0),
            ("a", 1),
            ("Hello, world!", 4),
            ("The quick brown fox jumps over.", 7),
            ("one two three one two three one two three ", 10),
            ("   three spaces before, and after   ", 8),
            ("tabs\t\tand\n\n\nlines  \n  x", 8),
            ("日本語のテキストです。", 8),
            ("Grüße aus Köln, l'été n'est pas fini; it's we'll", 15),
            ("fn main() { println!(\"{}\", 1_000_000.0_f64); }", 18),
            ("1234567890 12 3", 8),
            ("🌍🌎🌏 👩\u{200d}👩\u{200d}👧\u{200d}👦", 17),
            ("antidisestablishmentarianism floccinaucinihilipilification", 15),
            (&"a".repeat(100), 13),
            ("https://example.com/a/b?c=d&e=%20f#g", 14),
        ] {
            assert_eq!(encoding.count(text), expected, "{text:?}");
        }
    }

    #[test]
    fn too_much_text_is_not_counted_and_odd_text_takes_no_longer() {
        assert_eq!(count(&request(&"a ".repeat(MAX_BYTES))), None);
        for odd in ["\u{0}", "a", " ", "ab", "\n", "é"] {
            assert!(count(&request(&odd.repeat(50_000))).is_some_and(|tokens| tokens > 100), "{odd:?}");
        }
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
