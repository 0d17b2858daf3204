//! What to hold for a request before anything of its answer is known.
//!
//! Cheap: tokens are bytes by a ratio that is learned per model; what a model usually writes is learned, too.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::virtual_key::BudgetMode;

/// Output held where nothing is known of a model.
pub const DEFAULT_OUTPUT: u64 = 4_096;
/// Bytes of JSON that make a token, before anything was learned. Fewer bytes hold more tokens.
const BYTES_PER_TOKEN: f64 = 3.5;
/// What a picture costs at most at the usual sizes.
const TOKENS_PER_IMAGE: u64 = 1_600;
/// A run of base64 of this length is a payload, not words.
const PAYLOAD: usize = 512;
/// Tokens that providers add around a request by themselves, the prompt for tools included.
const OVERHEAD: u64 = 1_024;
/// Answers that are remembered per model, and from how many on they say something.
const SAMPLES: usize = 64;
const ENOUGH_SAMPLES: usize = 20;
const MAX_MODELS: usize = 4_096;

/// What of a request matters to its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// All bytes of its body.
    pub bytes: u64,
    /// Those of them that are words and structure, not payloads.
    pub text_bytes: u64,
    /// Payloads and pictures.
    pub media: u64,
    /// Whether it points to content that is not in it: then its bytes are no bound.
    pub has_references: bool,
    /// The most it wants written per answer.
    pub max_output: Option<u64>,
    /// Answers it wants.
    pub choices: u64,
    /// Its input tokens where they were counted, for the dearest of its models: then the smaller figure holds.
    pub counted: Option<u64>,
    /// Input tokens, where someone who asks what would be says so.
    pub stated_input: Option<u64>,
}

/// What a model can take and write at most, where known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Input tokens.
    pub max_input: Option<u64>,
    /// Output tokens per answer.
    pub max_output: Option<u64>,
}

/// Tokens to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Input tokens.
    pub input: u64,
    /// Output tokens, over all answers.
    pub output: u64,
}

/// Why a hard bound cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbounded {
    /// The request points to content of unknown size, and the model's input limit is unknown.
    Input,
    /// Neither the request nor the model says how much may be written.
    Output,
}

impl Size {
    /// The size of a body; what its fields say is added by the caller.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        // A run that long covers one of every so many bytes: the others need not be looked at.
        let (mut payload_bytes, mut media, mut probe) = (0_usize, 0, PAYLOAD - 1);
        while let Some(byte) = body.get(probe) {
            if is_base64(*byte) {
                let (before, behind) = body.split_at(probe);
                let start = probe - before.iter().rev().take_while(|byte| is_base64(**byte)).count();
                let end = probe + behind.iter().take_while(|byte| is_base64(**byte)).count();
                if end - start >= PAYLOAD {
                    payload_bytes += end - start;
                    media += 1;
                }
                probe = end;
            }
            probe += PAYLOAD;
        }
        let bytes = body.len() as u64;
        Self { bytes, text_bytes: bytes.saturating_sub(payload_bytes as u64), media, choices: 1, ..Self::default() }
    }
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
}

/// What was learned of models, by upstream name.
#[derive(Debug, Default)]
pub struct Learned(Mutex<HashMap<String, Model>>);

#[derive(Debug, Default, Clone)]
struct Model {
    bytes_per_token: Option<f64>,
    outputs: Vec<u64>,
    next: usize,
}

impl Learned {
    /// Takes note of what a request of this size used.
    pub fn learn(&self, model: &str, size: &Size, input: u64, output: u64) {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !models.contains_key(model) && models.len() >= MAX_MODELS {
            return;
        }
        let model = models.entry(model.to_owned()).or_default();
        // Pictures and references say nothing of words; very short requests are all structure.
        if size.media == 0 && !size.has_references && input >= 50 {
            let ratio = (size.text_bytes as f64 / input as f64).clamp(1.0, 16.0);
            // Quick to hold more, slow to hold less.
            model.bytes_per_token = Some(model.bytes_per_token.map_or(ratio, |known| {
                let share = if ratio < known { 0.3 } else { 0.05 };
                known + share * (ratio - known)
            }));
        }
        if model.outputs.len() < SAMPLES {
            model.outputs.push(output);
        } else if let Some(oldest) = model.outputs.get_mut(model.next) {
            *oldest = output;
        }
        model.next = (model.next + 1) % SAMPLES;
    }

    /// Input tokens of a request.
    #[must_use]
    pub fn input(&self, model: &str, size: &Size) -> u64 {
        if let Some(stated) = size.stated_input {
            return stated;
        }
        let ratio = self.model(model).bytes_per_token.unwrap_or(BYTES_PER_TOKEN);
        let words = (size.text_bytes as f64 / ratio).ceil() as u64;
        let estimate = words.saturating_add(size.media.saturating_mul(TOKENS_PER_IMAGE));
        size.counted.map_or(estimate, |counted| counted.min(estimate))
    }

    /// Output tokens of an answer that was seen in part.
    #[must_use]
    pub fn output(&self, model: &str, bytes: u64) -> u64 {
        let ratio = self.model(model).bytes_per_token.unwrap_or(BYTES_PER_TOKEN);
        (bytes as f64 / ratio).ceil() as u64
    }

    /// What to hold against tokens per minute.
    #[must_use]
    pub fn tokens(&self, model: &str, size: &Size, bounds: Bounds) -> u64 {
        let usual = self.p95(model).unwrap_or(DEFAULT_OUTPUT);
        let output = at_most(usual, [size.max_output, bounds.max_output]);
        self.input(model, size).saturating_add(output.saturating_mul(size.choices))
    }

    /// What to hold against a budget.
    ///
    /// # Errors
    /// [`Unbounded`] when a hard bound is wanted and there is none.
    pub fn budget(&self, model: &str, size: &Size, bounds: Bounds, mode: BudgetMode) -> Result<Estimate, Unbounded> {
        match mode {
            BudgetMode::Expected => {
                let usual = self.p95(model).map_or(DEFAULT_OUTPUT, |p95| (p95 + p95.div_ceil(2)).max(DEFAULT_OUTPUT));
                let output = at_most(usual, [size.max_output, bounds.max_output]);
                Ok(Estimate { input: self.input(model, size), output: output.saturating_mul(size.choices) })
            }
            BudgetMode::Hard => {
                let by_bytes = (!size.has_references)
                    .then(|| size.bytes.max(size.stated_input.unwrap_or(0)).saturating_add(OVERHEAD));
                let input = smallest([by_bytes, bounds.max_input]).ok_or(Unbounded::Input)?;
                let output = smallest([size.max_output, bounds.max_output]).ok_or(Unbounded::Output)?;
                Ok(Estimate { input, output: output.saturating_mul(size.choices) })
            }
        }
    }

    fn p95(&self, model: &str) -> Option<u64> {
        let mut outputs = self.model(model).outputs;
        if outputs.len() < ENOUGH_SAMPLES {
            return None;
        }
        outputs.sort_unstable();
        outputs.get((outputs.len() * 95).div_ceil(100) - 1).copied()
    }

    fn model(&self, model: &str) -> Model {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(model).cloned().unwrap_or_default()
    }
}

fn smallest(bounds: [Option<u64>; 2]) -> Option<u64> {
    bounds.into_iter().flatten().min()
}

fn at_most(amount: u64, bounds: [Option<u64>; 2]) -> u64 {
    smallest(bounds).map_or(amount, |bound| bound.min(amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Bounds = Bounds { max_input: None, max_output: None };

    fn size(bytes: u64) -> Size {
        Size { bytes, text_bytes: bytes, choices: 1, ..Size::default() }
    }

    #[test]
    fn payloads_are_no_words() {
        let body = format!("{{\"text\":\"Hello world\",\"url\":\"data:image/png;base64,{}\"}}", "A".repeat(40_000));
        let size = Size::of(body.as_bytes());
        assert_eq!((size.bytes, size.media), (body.len() as u64, 1));
        assert!(size.text_bytes < 100, "{size:?}");
        let prose = Size::of("one two three ".repeat(4_000).as_bytes());
        assert_eq!((prose.text_bytes, prose.media), (prose.bytes, 0));
    }

    #[test]
    fn the_ratio_and_the_usual_length_are_learned_per_model() {
        let learned = Learned::default();
        assert_eq!(learned.input("m", &size(3_500)), 1_000);
        for _ in 0..20 {
            learned.learn("m", &size(2_000), 1_000, 100);
        }
        assert_eq!(learned.input("m", &size(2_000)), 1_000);
        assert_eq!(learned.input("other", &size(3_500)), 1_000);
        assert_eq!(learned.tokens("m", &size(2_000), NOTHING), 1_100);
        assert_eq!(learned.tokens("other", &size(0), NOTHING), DEFAULT_OUTPUT);
        // Pictures say nothing of words.
        learned.learn("n", &Size { media: 1, ..size(100) }, 9_000, 1);
        assert_eq!(learned.input("n", &size(3_500)), 1_000);
    }

    #[test]
    fn an_expected_hold_is_what_is_usual_and_a_hard_one_what_is_possible() {
        let learned = Learned::default();
        let expected = |size: &Size, bounds| learned.budget("m", size, bounds, BudgetMode::Expected).unwrap().output;
        let asked = |most| Size { max_output: Some(most), ..size(350) };
        assert_eq!(expected(&size(350), NOTHING), 4_096);
        assert_eq!(expected(&asked(100), NOTHING), 100);
        assert_eq!(expected(&asked(100_000), NOTHING), 4_096);
        assert_eq!(expected(&Size { choices: 3, ..asked(100) }, NOTHING), 300);
        for _ in 0..64 {
            learned.learn("m", &size(350), 100, 10_000);
        }
        assert_eq!(expected(&size(350), NOTHING), 15_000);
        let bounds = Bounds { max_input: Some(1_000), max_output: Some(8_000) };
        assert_eq!(expected(&size(350), bounds), 8_000);

        let hard = |size: &Size, bounds| learned.budget("m", size, bounds, BudgetMode::Hard);
        assert_eq!(hard(&size(350), NOTHING), Err(Unbounded::Output));
        assert_eq!(hard(&asked(7), NOTHING), Ok(Estimate { input: 350 + OVERHEAD, output: 7 }));
        assert_eq!(hard(&size(350_000), bounds), Ok(Estimate { input: 1_000, output: 8_000 }));
        let pointing = Size { has_references: true, ..asked(7) };
        assert_eq!(hard(&pointing, NOTHING), Err(Unbounded::Input));
        assert_eq!(hard(&pointing, bounds), Ok(Estimate { input: 1_000, output: 7 }));
    }

    #[test]
    fn payloads_are_found_wherever_they_are() {
        let payloads = |lengths: &[usize]| {
            let body: Vec<u8> =
                lengths.iter().flat_map(|length| [&b"\"a\":\""[..], &vec![b'A'; *length]].concat()).collect();
            let size = Size::of(&body);
            (size.media, size.bytes - size.text_bytes)
        };
        for length in [511, 512, 513, 1_023, 1_024, 1_025, 5_000] {
            let expected = if length >= 512 { (1, length as u64) } else { (0, 0) };
            assert_eq!(payloads(&[length]), expected, "{length}");
            for shift in 0..600 {
                assert_eq!(payloads(&[shift.min(400), length, 3]), expected, "{length} behind {shift}");
            }
        }
        assert_eq!(payloads(&[512, 511, 700, 9, 600]), (3, 1_812));
        assert_eq!(payloads(&[]), (0, 0));
    }

    #[test]
    fn a_count_holds_where_it_is_smaller_than_the_estimate() {
        let learned = Learned::default();
        assert_eq!(learned.input("m", &Size { counted: Some(700), ..size(3_500) }), 700);
        assert_eq!(learned.input("m", &Size { counted: Some(1_700), ..size(3_500) }), 1_000);
    }
}
