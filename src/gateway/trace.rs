//! What one attempt showed on the wire, for its record. It is kept apart from the attempt's outcome: an attempt that is cut
//! off by its deadline has none.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;

use crate::dialects::native::Progress;
use crate::time::Clock;

/// Headers in which providers name a call, the surest first.
const ID_HEADERS: [&str; 5] =
    ["x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "x-goog-request-id"];
/// Longest id that is kept.
const MAX_ID_CHARS: usize = 200;

/// What was seen of one attempt.
#[derive(Debug, Default)]
pub(super) struct Trace(Mutex<Seen>);

/// See [`Trace`].
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// When the provider began to answer.
    pub first_byte: Option<Instant>,
    /// The provider's own id of the call.
    pub provider_request_id: Option<String>,
}

impl Trace {
    /// Notes that the provider begins to answer.
    pub(super) fn answered(&self, now: Instant, headers: &HeaderMap) {
        let named = ID_HEADERS.iter().find_map(|name| headers.get(*name)?.to_str().ok());
        let id = named.map(|id| id.chars().filter(char::is_ascii_graphic).take(MAX_ID_CHARS).collect::<String>());
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.first_byte = Some(now);
        seen.provider_request_id = id.filter(|id| !id.is_empty());
    }

    /// What was seen.
    pub(super) fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The moments of a stream.
#[derive(Debug)]
pub(super) struct Moments {
    clock: Arc<dyn Clock>,
    /// The first reasoning.
    pub first_reasoning: Option<Instant>,
    /// The first of anything else: text, a tool call.
    pub first_output: Option<Instant>,
    /// The longest wait between two pieces.
    pub longest_gap: Option<Duration>,
    /// Since when the next piece is waited for. Kept here, so that a wait that is cut short goes on.
    waiting_since: Option<Instant>,
    has_begun: bool,
}

impl Moments {
    /// Of a stream that opens now.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            first_reasoning: None,
            first_output: None,
            longest_gap: None,
            waiting_since: None,
            has_begun: false,
        }
    }

    /// Notes that the next piece is waited for.
    pub(super) fn waits(&mut self) {
        let now = self.clock.instant();
        self.waiting_since.get_or_insert(now);
    }

    /// Notes that a piece came.
    pub(super) fn came(&mut self) {
        let waited = self.waiting_since.take().map(|since| self.clock.instant().saturating_duration_since(since));
        // Before the first piece there is no gap between two.
        if std::mem::replace(&mut self.has_begun, true) {
            self.longest_gap = self.longest_gap.max(waited);
        }
    }

    /// Notes how far the answer is.
    pub(super) fn progressed(&mut self, progress: Progress) {
        if progress.has_reasoned && self.first_reasoning.is_none() {
            self.first_reasoning = Some(self.clock.instant());
        }
        if progress.has_answered && self.first_output.is_none() {
            self.first_output = Some(self.clock.instant());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{SystemClock, Timestamp};

    #[derive(Debug, Default)]
    struct Steps(Mutex<Vec<Instant>>);

    impl Clock for Steps {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }

        fn instant(&self) -> Instant {
            self.0.lock().unwrap().remove(0)
        }
    }

    #[test]
    fn the_longest_gap_is_between_two_pieces_and_a_wait_that_is_cut_short_goes_on() {
        let start = SystemClock.instant();
        let at =
            |ms: &[u64]| Arc::new(Steps(Mutex::new(ms.iter().map(|ms| start + Duration::from_millis(*ms)).collect())));
        let mut moments = Moments::new(at(&[0, 900, 1_000, 1_010, 1_070, 1_100, 1_130]));
        moments.waits();
        moments.came();
        assert_eq!(moments.longest_gap, None);
        moments.waits();
        moments.waits();
        moments.came();
        assert_eq!(moments.longest_gap, Some(Duration::from_millis(70)));
        moments.waits();
        moments.came();
        assert_eq!(moments.longest_gap, Some(Duration::from_millis(70)));
    }

    #[test]
    fn reasoning_and_the_rest_of_the_answer_have_each_their_first_moment() {
        let start = SystemClock.instant();
        let later = start + Duration::from_millis(5);
        let mut moments = Moments::new(Arc::new(Steps(Mutex::new(vec![start, later]))));
        moments.progressed(Progress::default());
        moments.progressed(Progress { has_reasoned: true, has_answered: false });
        moments.progressed(Progress { has_reasoned: true, has_answered: true });
        moments.progressed(Progress { has_reasoned: true, has_answered: true });
        assert_eq!((moments.first_reasoning, moments.first_output), (Some(start), Some(later)));
    }

    #[test]
    fn the_providers_id_of_a_call_is_kept_bounded_and_printable() {
        let named = |name: &'static str, value: &str| {
            let trace = Trace::default();
            let header = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
            trace.answered(
                SystemClock.instant(),
                &HeaderMap::from_iter([(http::HeaderName::from_static(name), header)]),
            );
            trace.seen().provider_request_id
        };
        assert_eq!(named("x-request-id", "req_1"), Some("req_1".to_owned()));
        assert_eq!(named("request-id", "a b"), Some("ab".to_owned()));
        assert_eq!(named("x-amzn-requestid", &"x".repeat(999)), Some("x".repeat(200)));
        assert_eq!((named("server", "nginx"), named("x-request-id", "")), (None, None));
    }
}
