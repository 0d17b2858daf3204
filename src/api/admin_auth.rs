//! Who may administer the gateway: the holder of the master key, on either face.
//!
//! A right key always passes. Wrong attempts are counted per source address, in a table that cannot grow beyond
//! [`MAX_SOURCES`]; past [`MAX_FAILURES`] in one window the answer is "slow down" and tells nothing else.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;

use crate::fault::{Fault, Kind, Outcome};
use crate::time::Clock;
use crate::vault::{MasterKey, looks_like_virtual_key};

/// Failures from one source before it is told to slow down.
pub const MAX_FAILURES: u32 = 10;
/// How long failures are remembered, from the first of them.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Most sources counted apart; those beyond share one counter.
pub const MAX_SOURCES: usize = 10_000;

/// The address a request comes from, once proxies are accounted for. Put into the request's extensions by whoever
/// terminates the connection; without it the faces take the peer's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Checks the operator's credential.
#[derive(Debug)]
pub struct AdminAuth {
    master: MasterKey,
    clock: Arc<dyn Clock>,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    by_source: HashMap<IpAddr, Window>,
    everyone_else: Option<Window>,
    swept_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    count: u32,
}

impl AdminAuth {
    /// Admits the holder of `master`.
    #[must_use]
    pub fn new(master: MasterKey, clock: Arc<dyn Clock>) -> Self {
        Self { master, clock, failures: Mutex::default() }
    }

    /// Checks an `authorization` header or metadata value from `source`.
    ///
    /// # Errors
    /// `Unauthenticated` when it is missing or wrong, `Forbidden` when it is a virtual key, `RateLimited` with a wait
    /// when this source has failed too often.
    pub fn check(&self, authorization: Option<&HeaderValue>, source: Option<IpAddr>) -> Outcome<()> {
        let presented = authorization.and_then(bearer);
        if presented.is_some_and(|key| self.master.matches(key)) {
            return Ok(());
        }
        self.count_failure(source)?;
        Err(match presented {
            Some(key) if looks_like_virtual_key(key) => Fault::new(Kind::Forbidden)
                .say("A virtual key cannot administer the gateway; administration takes the master key."),
            Some(_) => Fault::new(Kind::Unauthenticated).say("That is not the master key."),
            None => Fault::new(Kind::Unauthenticated)
                .say("Administration takes the master key: send `authorization: Bearer <master key>`."),
        })
    }

    fn count_failure(&self, source: Option<IpAddr>) -> Outcome<()> {
        let now = self.clock.instant();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let window = failures.window(network(source), now);
        if window.count >= MAX_FAILURES {
            let wait = WINDOW.saturating_sub(now.saturating_duration_since(window.since));
            return Err(Fault::new(Kind::RateLimited)
                .say("Too many failed attempts to authenticate from this address; try again later.")
                .retry_after(wait));
        }
        window.count += 1;
        Ok(())
    }
}

impl Failures {
    fn window(&mut self, source: IpAddr, now: Instant) -> &mut Window {
        let fresh = Window { since: now, count: 0 };
        if self.by_source.len() >= MAX_SOURCES && !self.by_source.contains_key(&source) {
            self.sweep(now);
        }
        let full = self.by_source.len() >= MAX_SOURCES && !self.by_source.contains_key(&source);
        let window =
            if full { self.everyone_else.get_or_insert(fresh) } else { self.by_source.entry(source).or_insert(fresh) };
        if window.is_over(now) {
            *window = fresh;
        }
        window
    }

    /// Forgets what is over; at most once a second, so that a flood of sources does not pay for it each time.
    fn sweep(&mut self, now: Instant) {
        let due = self.swept_at.is_none_or(|at| now.saturating_duration_since(at) >= Duration::from_secs(1));
        if due {
            self.by_source.retain(|_, window| !window.is_over(now));
            self.swept_at = Some(now);
        }
    }
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= WINDOW
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 customer is given.
fn network(source: Option<IpAddr>) -> IpAddr {
    match source.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        Some(address) => address,
        None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

/// A client's request id, when it is one that can be logged: 1 to 200 visible ASCII characters.
pub(super) fn request_id(value: Option<&HeaderValue>) -> Option<&str> {
    let text = value?.to_str().ok()?;
    ((1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{ManualClock, Timestamp};
    use crate::vault::{SystemEntropy, mint_key};

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const THERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

    fn setup() -> (AdminAuth, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(0)));
        (AdminAuth::new(MasterKey::new("open sesame"), Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    fn header(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    #[test]
    fn only_the_master_key_passes() {
        let (auth, _) = setup();
        let minted = mint_key(&SystemEntropy);
        let cases = [
            (Some("Bearer open sesame".to_owned()), None),
            (Some("bearer  open sesame".to_owned()), None),
            (None, Some(Kind::Unauthenticated)),
            (Some("Bearer ".to_owned()), Some(Kind::Unauthenticated)),
            (Some("Basic open sesame".to_owned()), Some(Kind::Unauthenticated)),
            (Some("Bearer wrong".to_owned()), Some(Kind::Unauthenticated)),
            (Some(format!("Bearer {}", minted.reveal())), Some(Kind::Forbidden)),
        ];
        for (sent, expected) in cases {
            let answer = auth.check(sent.as_deref().map(header).as_ref(), HERE);
            assert_eq!(answer.err().map(|fault| fault.kind()), expected, "{sent:?}");
        }
    }

    #[test]
    fn a_source_that_keeps_failing_is_told_to_wait_and_a_right_key_still_passes() {
        let (auth, clock) = setup();
        let (wrong, right) = (header("Bearer wrong"), header("Bearer open sesame"));
        for _ in 0..MAX_FAILURES {
            assert_eq!(auth.check(Some(&wrong), HERE).unwrap_err().kind(), Kind::Unauthenticated);
        }
        clock.advance(Duration::from_secs(20));
        let refused = auth.check(Some(&wrong), HERE).unwrap_err();
        assert_eq!(refused.kind(), Kind::RateLimited);
        assert_eq!(refused.wait(), Some(Duration::from_secs(40)));
        assert!(auth.check(Some(&right), HERE).is_ok());
        assert_eq!(auth.check(Some(&wrong), THERE).unwrap_err().kind(), Kind::Unauthenticated);
        clock.advance(Duration::from_secs(40));
        assert_eq!(auth.check(Some(&wrong), HERE).unwrap_err().kind(), Kind::Unauthenticated);
    }

    #[test]
    fn one_ipv6_customer_is_one_source() {
        let (auth, _) = setup();
        for host in 0..u16::try_from(MAX_FAILURES).unwrap() {
            let address = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
            assert_eq!(auth.check(None, Some(address)).unwrap_err().kind(), Kind::Unauthenticated);
        }
        let another = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 9, 9, 9));
        assert_eq!(auth.check(None, Some(another)).unwrap_err().kind(), Kind::RateLimited);
    }

    #[test]
    fn the_table_of_sources_is_bounded_and_recovers() {
        let (auth, clock) = setup();
        for number in 0..u32::try_from(MAX_SOURCES).unwrap() {
            let _ = auth.check(None, Some(IpAddr::V4(number.into())));
        }
        // Newcomers share one counter until the table has room again.
        for _ in 0..MAX_FAILURES {
            assert_eq!(auth.check(None, HERE).unwrap_err().kind(), Kind::Unauthenticated);
        }
        assert_eq!(auth.check(None, THERE).unwrap_err().kind(), Kind::RateLimited);
        assert_eq!(auth.failures.lock().unwrap().by_source.len(), MAX_SOURCES);
        clock.advance(WINDOW);
        assert_eq!(auth.check(None, THERE).unwrap_err().kind(), Kind::Unauthenticated);
        assert_eq!(auth.failures.lock().unwrap().by_source.len(), 1);
    }
}
