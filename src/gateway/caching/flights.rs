//! Answers under way that equal requests wait for together.
//!
//! One request is the pilot, whose call is made; those that come while it is under way are passengers. The flight is a
//! task of its own: it ends with its landing, or when nobody waits for it any more.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

type Digest = [u8; 32];
type Landed<T> = Option<Arc<T>>;

/// Flights by what was asked.
pub(super) struct Flights<T = super::Landing> {
    under_way: Mutex<HashMap<Digest, Flight<T>>>,
}

struct Flight<T> {
    landed: watch::Receiver<Landed<T>>,
    waiting: usize,
    abandoned: CancellationToken,
    /// Tells it from another one for the same digest.
    number: Arc<()>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { under_way: Mutex::default() }
    }
}

impl<T> fmt::Debug for Flights<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("under_way", &self.lock().len()).finish()
    }
}

/// What a request is on a flight.
pub(super) enum Seat<T> {
    /// It flies it.
    Pilot(Pilot<T>, Ticket<T>),
    /// It waits.
    Passenger(Ticket<T>),
}

/// Who makes the call. Dropped without a landing, those who wait hear of nothing.
pub(super) struct Pilot<T> {
    flights: Arc<Flights<T>>,
    digest: Digest,
    number: Arc<()>,
    landed: watch::Sender<Landed<T>>,
    abandoned: CancellationToken,
}

/// Who waits. The last one to leave gives the flight up.
pub(super) struct Ticket<T> {
    flights: Arc<Flights<T>>,
    digest: Digest,
    number: Arc<()>,
    landed: watch::Receiver<Landed<T>>,
}

impl<T> Flights<T> {
    /// Takes a seat on the flight for this digest; the first one flies it.
    pub(super) fn join(self: &Arc<Self>, digest: Digest) -> Seat<T> {
        let mut under_way = self.lock();
        if let Some(flight) = under_way.get_mut(&digest) {
            flight.waiting += 1;
            return Seat::Passenger(self.ticket(digest, flight));
        }
        let (sender, landed) = watch::channel(None);
        let (abandoned, number) = (CancellationToken::new(), Arc::new(()));
        let flight = Flight { landed, waiting: 1, abandoned: abandoned.clone(), number: Arc::clone(&number) };
        let ticket = self.ticket(digest, &flight);
        under_way.insert(digest, flight);
        Seat::Pilot(Pilot { flights: Arc::clone(self), digest, number, landed: sender, abandoned }, ticket)
    }

    fn ticket(self: &Arc<Self>, digest: Digest, flight: &Flight<T>) -> Ticket<T> {
        let (number, landed) = (Arc::clone(&flight.number), flight.landed.clone());
        Ticket { flights: Arc::clone(self), digest, number, landed }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Flight<T>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Pilot<T> {
    /// Cancelled when nobody waits any more.
    pub(super) fn abandoned(&self) -> CancellationToken {
        self.abandoned.clone()
    }

    /// Tells all who wait. Who asks from now on starts anew.
    pub(super) fn land(self, landing: T) {
        _ = self.landed.send(Some(Arc::new(landing)));
    }
}

impl<T> Drop for Pilot<T> {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock();
        if under_way.get(&self.digest).is_some_and(|flight| Arc::ptr_eq(&flight.number, &self.number)) {
            under_way.remove(&self.digest);
        }
    }
}

impl<T> Ticket<T> {
    /// Waits for the landing; `None`: the flight ended without one.
    pub(super) async fn landed(mut self) -> Landed<T> {
        let landed = self.landed.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock();
        let Some(flight) = under_way.get_mut(&self.digest) else { return };
        if !Arc::ptr_eq(&flight.number, &self.number) {
            return;
        }
        flight.waiting = flight.waiting.saturating_sub(1);
        if flight.waiting == 0 {
            flight.abandoned.cancel();
            under_way.remove(&self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flights() -> Arc<Flights<u32>> {
        Arc::default()
    }

    fn pilot(flights: &Arc<Flights<u32>>, digest: Digest) -> (Pilot<u32>, Ticket<u32>) {
        match flights.join(digest) {
            Seat::Pilot(pilot, ticket) => (pilot, ticket),
            Seat::Passenger(_) => panic!("there is a flight already"),
        }
    }

    fn passenger(flights: &Arc<Flights<u32>>, digest: Digest) -> Ticket<u32> {
        match flights.join(digest) {
            Seat::Passenger(ticket) => ticket,
            Seat::Pilot(..) => panic!("there is no flight"),
        }
    }

    #[tokio::test]
    async fn all_who_wait_hear_of_one_landing_and_later_ones_fly_anew() {
        let flights = flights();
        let (first, ticket) = pilot(&flights, [1; 32]);
        let waiting = passenger(&flights, [1; 32]);
        let (_other, _elsewhere) = pilot(&flights, [2; 32]);
        first.land(7);
        assert_eq!(waiting.landed().await.as_deref(), Some(&7));
        assert_eq!(ticket.landed().await.as_deref(), Some(&7));
        let (_again, _ticket) = pilot(&flights, [1; 32]);
    }

    #[tokio::test]
    async fn a_flight_goes_on_while_anyone_waits_and_no_longer() {
        let flights = flights();
        let (flying, ticket) = pilot(&flights, [1; 32]);
        let waiting = passenger(&flights, [1; 32]);
        drop(ticket);
        assert!(!flying.abandoned().is_cancelled());
        drop(waiting);
        assert!(flying.abandoned().is_cancelled());
        let (next, _ticket) = pilot(&flights, [1; 32]);
        drop(flying);
        assert!(!next.abandoned().is_cancelled());
        drop(passenger(&flights, [1; 32]));
    }

    #[tokio::test]
    async fn a_pilot_that_is_lost_leaves_nobody_waiting() {
        let flights = flights();
        let (lost, _ticket) = pilot(&flights, [1; 32]);
        let waiting = passenger(&flights, [1; 32]);
        drop(lost);
        assert!(waiting.landed().await.is_none());
        assert_eq!(format!("{flights:?}"), "Flights { under_way: 0 }");
    }
}
