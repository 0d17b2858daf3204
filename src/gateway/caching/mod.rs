//! Answers from the response cache, for requests that opted in.
//!
//! The order is: the request is counted (RPM), then looked up, then what it may use is held. A hit holds nothing, costs
//! nothing and is recorded as a hit. Equal requests of one key that come while one of them is under way share its answer,
//! or its failure: one [`flights`] per digest and replica.
//!
//! It works for every operation whose request and answer are JSON; what is special about one is its [`Flight`].

mod flights;
mod sameness;

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use self::flights::{Flights, Pilot, Seat};
pub(super) use self::sameness::{Sameness, Through};
use super::dispatch::{Answer, AnswerBody};
use super::metadata;
use super::settle::{Ending, Record};
use super::{Denied, Parts};
use crate::cache::{Entry, Found, ResponseCache};
use crate::fault::{Fault, Kind};
use crate::ledger::Standing;

/// What a request that opted in was told of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// The answer was there, or an equal request brought it.
    Hit,
    /// It was not, and is made for this request.
    Miss,
    /// The cache had no part in it.
    Bypass,
}

impl CacheStatus {
    /// The word of the header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

/// The cache, and the answers under way.
#[derive(Debug)]
pub struct Caching {
    cache: Arc<dyn ResponseCache>,
    flights: Arc<Flights>,
}

impl Caching {
    /// Over this cache.
    #[must_use]
    pub fn new(cache: Arc<dyn ResponseCache>) -> Self {
        Self { cache, flights: Arc::default() }
    }
}

/// A request on its way to a provider.
pub(super) trait Flight: Send + 'static {
    /// Its record.
    fn record(&mut self) -> &mut Record;

    /// Holds what it may use, calls, and settles, whatever comes of it.
    fn fly(self) -> impl Future<Output = Result<Fresh, Denied>> + Send;
}

/// An answer that a provider just gave.
pub(super) struct Fresh {
    /// The body, without routing facts.
    pub body: Vec<Bytes>,
    /// Its media type where that is not JSON; such an answer is not kept.
    pub media_type: Option<String>,
    /// The public model that made it.
    pub model: String,
    pub dropped: Vec<Cow<'static, str>>,
    pub served_by: Option<String>,
    /// Routing facts as JSON, where the client asked for them.
    pub routing: Option<String>,
    pub standing: Option<Standing>,
    /// Whether a fallback served it.
    pub is_fallback: bool,
    /// Why it ended, in the provider's word.
    pub finish_reason: Option<String>,
    /// Whether it says all that was asked for.
    pub is_complete: fn(&[u8]) -> bool,
}

impl Fresh {
    /// What the client gets.
    pub(super) fn into_answer(self, cache: Option<CacheStatus>) -> Answer {
        let body = match (self.media_type, &self.routing) {
            (Some(media_type), _) => AnswerBody::Typed(media_type, self.body),
            (None, Some(routing)) => AnswerBody::Whole(metadata::add_to_body(self.body, routing)),
            (None, None) => AnswerBody::Whole(self.body),
        };
        Answer { body, dropped: self.dropped, served_by: self.served_by, standing: self.standing, cache }
    }
}

/// What those who wait are told.
#[derive(Debug)]
enum Landing {
    /// The answer, fresh or found, and why a fresh one ended.
    Answer(Entry, Option<String>),
    Failed(Denied),
}

/// Answers a request from the cache, from an equal one under way, or from a provider.
pub(super) async fn serve<F: Flight>(parts: &Arc<Parts>, through: Through, mut flight: F) -> Result<Answer, Denied> {
    if let Err(denied) = flight.record().account().count().await {
        flight.record().settle(Ending::Error, Some(&denied.fault)).await;
        return Err(denied);
    }
    match parts.caching.flights.join(through.place.digest) {
        Seat::Pilot(pilot, ticket) => {
            let (answered, answer) = oneshot::channel();
            parts.spawn.spawn(Box::pin(fly(Arc::clone(parts), through, flight, pilot, answered)));
            // The ticket keeps the flight going for as long as this client waits, too.
            let answer = answer.await;
            drop(ticket);
            answer.unwrap_or_else(|_| Err(broken_off().into()))
        }
        Seat::Passenger(ticket) => match ticket.landed().await.as_deref() {
            Some(Landing::Answer(entry, reason)) => Ok(found(flight.record(), entry, reason.as_deref()).await),
            Some(Landing::Failed(denied)) => Err(failed(flight.record(), denied).await),
            None => {
                let fault = broken_off();
                flight.record().settle(Ending::Error, Some(&fault)).await;
                Err(fault.into())
            }
        },
    }
}

/// The flight of one request for all who wait for its answer. It is given up when nobody does any more; then the record,
/// dropped, tells of a client that left.
async fn fly<F: Flight>(
    parts: Arc<Parts>,
    through: Through,
    flight: F,
    pilot: Pilot<Landing>,
    answered: oneshot::Sender<Result<Answer, Denied>>,
) {
    let abandoned = pilot.abandoned();
    let flown = abandoned.run_until_cancelled(Box::pin(look_or_call(&parts, through, flight))).await;
    let Some((landing, answer)) = flown else { return };
    pilot.land(landing);
    // The client that began it may have left.
    _ = answered.send(answer);
}

/// The landing for those who wait, and the answer for the one that began.
async fn look_or_call<F: Flight>(
    parts: &Arc<Parts>,
    through: Through,
    mut flight: F,
) -> (Landing, Result<Answer, Denied>) {
    let cache = &parts.caching.cache;
    let generation = match cache.find(&through.place).await {
        Found::Entry(entry) => {
            // What is kept is complete.
            let answer = found(flight.record(), &entry, None).await;
            return (Landing::Answer(entry, None), Ok(answer));
        }
        Found::Nothing(generation) => Some(generation),
        Found::Away => None,
    };
    match flight.fly().await {
        Ok(fresh) => {
            let entry = Entry {
                body: fresh.body.concat().into(),
                model: fresh.model.clone(),
                dropped: fresh.dropped.iter().map(|name| name.clone().into_owned()).collect(),
            };
            if let Some(generation) = generation
                && !fresh.is_fallback
                && fresh.media_type.is_none()
                && (fresh.is_complete)(&entry.body)
            {
                cache.put(&through.place, entry.clone(), through.ttl, generation).await;
            }
            let status = if generation.is_some() { CacheStatus::Miss } else { CacheStatus::Bypass };
            let fresh = Fresh { body: vec![entry.body.clone()], ..fresh };
            (Landing::Answer(entry, fresh.finish_reason.clone()), Ok(fresh.into_answer(Some(status))))
        }
        Err(denied) => (Landing::Failed(denied.twin()), Err(denied)),
    }
}

/// The answer of a request that needed no call: its record says so.
async fn found(record: &mut Record, entry: &Entry, finish_reason: Option<&str>) -> Answer {
    let dropped: Vec<_> = entry.dropped.iter().cloned().map(Cow::Owned).collect();
    let standing = record.account().look().await;
    record.found_in_cache(&entry.model);
    record.left_out(&dropped);
    record.reported(None, finish_reason, entry.body.len() as u64);
    let routing = record.routing();
    record.wrote(metadata::length_with(std::slice::from_ref(&entry.body), routing.as_deref()));
    record.settle(Ending::Success, None).await;
    Fresh {
        body: vec![entry.body.clone()],
        model: entry.model.clone(),
        dropped,
        served_by: None,
        routing,
        standing,
        media_type: None,
        is_fallback: false,
        finish_reason: None,
        is_complete: |_| true,
    }
    .into_answer(Some(CacheStatus::Hit))
}

/// The failure of an equal request is this one's, too.
async fn failed(record: &mut Record, denied: &Denied) -> Denied {
    let twin = Denied { standing: record.account().look().await.map(Box::new), ..denied.twin() };
    record.settle(Ending::Error, Some(&twin.fault)).await;
    Denied { routing: record.routing(), ..twin }
}

/// The request that this one waited for ended without a word, as at shutdown.
fn broken_off() -> Fault {
    Fault::new(Kind::Unavailable).retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_header_are_those_of_the_documentation() {
        let words = [CacheStatus::Hit, CacheStatus::Miss, CacheStatus::Bypass].map(CacheStatus::as_str);
        assert_eq!(words, ["hit", "miss", "bypass"]);
    }
}
