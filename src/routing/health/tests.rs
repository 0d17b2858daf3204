use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Availability, Blow, Health, Impact, Pass, Shared};
use crate::domain::ids::Revision;
use crate::domain::ports::{HalfOpen, HealthNews, HearHealth, SharedHealth};
use crate::domain::settings::RouterSettings;
use crate::routing::tests::{START, target};
use crate::routing::{Publisher, Snapshot, Target};
use crate::time::{Clock, ManualClock};

struct World {
    clock: Arc<ManualClock>,
    health: Arc<Health>,
    settings: Arc<RouterSettings>,
    target: Target,
}

impl World {
    fn new() -> Self {
        Self::with(RouterSettings::default())
    }

    fn with(settings: RouterSettings) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let health = Arc::new(Health::new(clock.instant()));
        Self { health, clock, settings: Arc::new(settings), target: target(1, "m") }
    }

    fn now(&self) -> Instant {
        self.clock.instant()
    }

    fn pass_s(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn enter(&self) -> Result<Pass, Availability> {
        self.health.enter(&self.target, &self.settings, self.now())
    }

    fn fail(&self, blow: Blow) -> Impact {
        self.enter().unwrap().failed(blow, true, self.now())
    }

    fn succeed(&self) {
        self.enter().unwrap().succeeded(Duration::from_secs(1), 30, 20, self.now());
    }

    fn availability(&self) -> Availability {
        self.health.standing(&self.target, self.now()).availability
    }
}

fn cooldown(seconds: u64) -> Availability {
    Availability::Cooldown(Duration::from_secs(seconds))
}

#[test]
fn more_failures_than_allowed_open_the_circuit_and_one_probe_decides() {
    let world = World::new();
    for _ in 0..3 {
        assert_eq!(world.fail(Blow::Transient), Impact::Counted);
        assert_eq!(world.availability(), Availability::Available);
    }
    assert_eq!(world.fail(Blow::Transient), Impact::Opened);
    assert_eq!(world.availability(), cooldown(5));
    assert_eq!(world.enter().unwrap_err(), cooldown(5));
    world.pass_s(5);
    assert_eq!(world.availability(), Availability::HalfOpen);
    let mut probe = world.enter().unwrap();
    assert_eq!(world.enter().unwrap_err(), cooldown(30), "one at a time");
    assert_eq!(probe.failed(Blow::Transient, true, world.now()), Impact::Opened);
    assert_eq!(world.availability(), cooldown(10), "twice as long");
    world.pass_s(10);
    world.succeed();
    assert_eq!(world.availability(), Availability::Available);
    assert_eq!(world.fail(Blow::Transient), Impact::Counted, "the count began anew");
}

#[test]
fn the_cooldown_doubles_up_to_its_bound() {
    let world = World::with(RouterSettings { allowed_fails: 0, max_cooldown_seconds: 18, ..RouterSettings::default() });
    for expected in [5, 10, 18, 18] {
        assert_eq!(world.fail(Blow::Transient), Impact::Opened);
        assert_eq!(world.availability(), cooldown(expected));
        world.pass_s(expected);
    }
}

#[test]
fn a_success_clears_the_count_and_old_failures_are_forgotten() {
    let world = World::new();
    for _ in 0..5 {
        (0..3).for_each(|_| assert_eq!(world.fail(Blow::Transient), Impact::Counted));
        world.succeed();
    }
    (0..3).for_each(|_| assert_eq!(world.fail(Blow::Transient), Impact::Counted));
    world.pass_s(60);
    assert_eq!(world.fail(Blow::Transient), Impact::Counted);
}

#[test]
fn a_request_counts_once_against_a_deployment() {
    let world = World::new();
    for _ in 0..20 {
        assert_eq!(world.enter().unwrap().failed(Blow::Transient, false, world.now()), Impact::None);
    }
    assert_eq!(world.availability(), Availability::Available);
}

#[test]
fn a_probe_that_ends_without_an_outcome_makes_room_and_one_that_hangs_does_in_time() {
    let world = World::with(RouterSettings { allowed_fails: 0, ..RouterSettings::default() });
    world.fail(Blow::Transient);
    world.pass_s(5);
    drop(world.enter().unwrap());
    assert_eq!(world.availability(), Availability::HalfOpen);
    assert_eq!(world.fail(Blow::Harmless), Impact::None);
    let mut hanging = world.enter().unwrap();
    world.pass_s(30);
    let _second = world.enter().unwrap();
    assert_eq!(hanging.failed(Blow::Transient, true, world.now()), Impact::None, "its turn is over");
}

#[test]
fn a_probe_whose_output_began_lets_others_in_but_the_next_failure_opens() {
    let world = World::new();
    (0..4).for_each(|_| assert_ne!(world.fail(Blow::Transient), Impact::None));
    world.pass_s(5);
    let mut probe = world.enter().unwrap();
    probe.committed(world.now(), true);
    assert_eq!(world.availability(), Availability::Available);
    assert_eq!(probe.failed(Blow::Transient, true, world.now()), Impact::Opened);
    assert_eq!(world.availability(), cooldown(10));
}

#[test]
fn what_was_under_way_when_the_circuit_opened_changes_nothing() {
    let world = World::with(RouterSettings { allowed_fails: 0, ..RouterSettings::default() });
    let (mut early, mut other) = (world.enter().unwrap(), world.enter().unwrap());
    world.fail(Blow::Transient);
    early.succeeded(Duration::from_secs(1), 1, 1, world.now());
    assert_eq!(other.failed(Blow::Transient, true, world.now()), Impact::None);
    assert_eq!(world.availability(), cooldown(5));
}

#[test]
fn two_requests_that_find_the_configuration_wrong_quarantine_until_an_update_or_a_test() {
    let mut world = World::new();
    assert_eq!(world.fail(Blow::Configuration), Impact::Counted);
    assert_eq!(world.enter().unwrap().failed(Blow::Configuration, false, world.now()), Impact::None);
    assert_eq!(world.fail(Blow::Configuration), Impact::Quarantined);
    assert_eq!(world.availability(), cooldown(300));
    let old = target(1, "m");
    world.target.revision = Revision(2);
    assert_eq!(world.availability(), Availability::Available, "it was updated");
    world.succeed();
    assert_eq!(world.health.standing(&old, world.now()).availability, Availability::Available);
    (0..2).for_each(|_| assert_ne!(world.fail(Blow::Configuration), Impact::None));
    assert_eq!(world.availability(), cooldown(300));
    world.health.absolve(&world.target);
    assert_eq!(world.availability(), Availability::Available, "its test succeeded");
    world.health.condemn(&world.target, &world.settings, world.now());
    assert_eq!(world.availability(), cooldown(300), "its test failed");
    world.pass_s(300);
    assert_eq!(world.fail(Blow::Configuration), Impact::Quarantined);
}

#[test]
fn an_attempt_from_before_an_update_says_nothing_of_what_is_now() {
    let mut world = World::with(RouterSettings { allowed_fails: 0, ..RouterSettings::default() });
    let mut early = world.enter().unwrap();
    world.target.revision = Revision(2);
    world.succeed();
    assert_eq!(early.failed(Blow::Transient, true, world.now()), Impact::None);
    assert_eq!(world.availability(), Availability::Available);
}

#[test]
fn a_throttle_holds_for_all_that_share_the_upstream_model_and_is_no_failure() {
    let world = World::new();
    let limited = |seconds| Availability::RateLimited(Duration::from_secs(seconds));
    assert_eq!(world.fail(Blow::Throttle(Some(Duration::from_secs(7)))), Impact::Throttled);
    assert_eq!(world.availability(), limited(7));
    let sibling = Target { upstream_account: world.target.upstream_account, ..target(2, "other") };
    assert_eq!(world.health.standing(&sibling, world.now()).availability, limited(7));
    assert_eq!(world.health.standing(&target(3, "m"), world.now()).availability, Availability::Available);
    world.pass_s(7);
    world.succeed();
    assert_eq!(world.fail(Blow::Throttle(Some(Duration::from_secs(3600)))), Impact::Throttled);
    assert_eq!(world.availability(), limited(60), "not longer than the setting");
    world.pass_s(60);
    for expected in [1, 2, 4] {
        let (mut one, mut two) = (world.enter().unwrap(), world.enter().unwrap());
        one.failed(Blow::Throttle(None), true, world.now());
        two.failed(Blow::Throttle(None), true, world.now());
        assert_eq!(world.availability(), limited(expected), "both are one event");
        world.pass_s(expected);
    }
    world.succeed();
    world.fail(Blow::Throttle(None));
    assert_eq!(world.availability(), limited(1), "an answer ends the row");
    assert_eq!(world.health.standing(&world.target, world.now()).success_rate, Some(1.0));
}

#[test]
fn figures_are_those_of_the_recent_past() {
    let world = World::new();
    let standing = || world.health.standing(&world.target, world.now());
    let mut pass = world.enter().unwrap();
    pass.begins(world.now());
    assert_eq!((standing().in_flight, standing().requests_per_minute), (1, 1));
    pass.succeeded(Duration::from_secs(2), 30, 20, world.now());
    drop(pass);
    assert_eq!((standing().in_flight, standing().tokens_per_minute), (0, 30));
    assert_eq!((standing().latency_ms, standing().tokens_per_second), (Some(2000.0), Some(10.0)));
    world.succeed();
    assert_eq!((standing().latency_ms, standing().tokens_per_second), (Some(1800.0), Some(12.0)));
    world.fail(Blow::Transient);
    world.fail(Blow::Harmless);
    assert_eq!(standing().success_rate, Some(2.0 / 3.0));
    world.pass_s(60);
    assert_eq!((standing().requests_per_minute, standing().tokens_per_minute), (0, 0));
    assert_eq!(standing().success_rate, Some(2.0 / 3.0));
    world.pass_s(600);
    assert_eq!(standing().success_rate, None);
}

/// Others that are there or not, and what they were told.
#[derive(Default)]
struct Others {
    is_up: std::sync::atomic::AtomicBool,
    told: std::sync::Mutex<Vec<HealthNews>>,
}

impl SharedHealth for Others {
    fn is_up(&self) -> bool {
        self.is_up.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn tell(&self, news: HealthNews) {
        self.told.lock().unwrap().push(news);
    }
}

/// Two replicas of one deployment.
fn replicas() -> (World, Shared, Arc<Others>) {
    let world = World::with(RouterSettings { allowed_fails: 0, ..RouterSettings::default() });
    let others = Arc::new(Others::default());
    others.is_up.store(true, std::sync::atomic::Ordering::Relaxed);
    world.health.share(Arc::clone(&others) as Arc<dyn SharedHealth>);
    let mut edit = Snapshot::empty(START).edit();
    edit.put_deployment(target(1, "m"));
    let publisher = Arc::new(Publisher::new(edit.finish(Revision(1), START)));
    let shared = Shared::new(Arc::clone(&world.health), publisher, Arc::clone(&world.clock) as Arc<dyn Clock>);
    (world, shared, others)
}

#[test]
fn what_opens_closes_and_throttles_is_told_and_what_is_heard_is_in_force() {
    let (world, shared, others) = replicas();
    let take = || std::mem::take(&mut *others.told.lock().unwrap());
    let (deployment, revision) = (world.target.id, world.target.revision);
    world.fail(Blow::Transient);
    let opened = HealthNews::Opened { deployment, revision, wait: Duration::from_secs(5), openings: 1 };
    assert_eq!(take(), std::slice::from_ref(&opened));
    assert_eq!(shared.all(), std::slice::from_ref(&opened));
    world.health.absolve(&world.target);
    assert_eq!(take(), [HealthNews::Closed { deployment, revision }]);
    world.fail(Blow::Throttle(Some(Duration::from_secs(9))));
    let throttled = HealthNews::Throttled { account: world.target.upstream_account, wait: Duration::from_secs(9) };
    assert_eq!(take(), std::slice::from_ref(&throttled));

    let (other, hears, _) = replicas();
    hears.hear(opened.clone());
    assert_eq!(other.availability(), cooldown(5));
    hears.hear(HealthNews::Closed { deployment, revision });
    assert_eq!(other.availability(), Availability::Available);
    hears.hear(throttled);
    assert_eq!(other.availability(), Availability::RateLimited(Duration::from_secs(9)));
    // News of what is not known here, and of what has been changed since, is of no interest.
    let (third, hears, _) = replicas();
    hears.hear(HealthNews::Opened { deployment: target(7, "n").id, revision, wait: Duration::MAX, openings: 1 });
    let changed = Target { revision: Revision(9), ..target(1, "m") };
    drop(third.health.enter(&changed, &third.settings, third.now()).unwrap());
    hears.hear(opened);
    assert!(third.health.enter(&changed, &third.settings, third.now()).is_ok());
}

#[test]
fn among_replicas_only_the_one_they_agreed_on_tries_and_alone_each_may() {
    let (world, shared, others) = replicas();
    world.fail(Blow::Transient);
    world.pass_s(5);
    assert!(shared.half_open().is_empty(), "nobody has asked for it");
    assert!(matches!(world.availability(), Availability::Cooldown(_)));
    let waiting = shared.half_open();
    assert_eq!(waiting.len(), 1);
    shared.settle_probe(HalfOpen { lease: Duration::from_millis(500), ..waiting[0] }, false);
    assert!(world.enter().is_err() && shared.half_open().is_empty(), "another tries it");
    world.clock.advance(Duration::from_millis(500));
    assert!(world.enter().is_err());
    shared.settle_probe(shared.half_open()[0], true);
    assert!(shared.is_idle(waiting[0]));
    let mut probe = world.enter().unwrap();
    assert!(!shared.is_idle(waiting[0]));
    assert!(world.enter().is_err(), "one at a time");
    assert_eq!(probe.failed(Blow::Transient, true, world.now()), Impact::Opened);
    assert_eq!(world.availability(), cooldown(10));
    world.pass_s(10);
    others.is_up.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(world.availability(), Availability::HalfOpen, "without the others it is up to us");
}

#[test]
fn the_usual_time_of_a_first_output_is_known_after_twenty_streams() {
    let world = World::new();
    let answer = |ms| {
        let mut pass = world.enter().unwrap();
        pass.begins(world.now());
        world.clock.advance(Duration::from_millis(ms));
        pass.committed(world.now(), true);
    };
    (1..20).for_each(answer);
    assert_eq!(world.health.usual_first_output([&world.target]), None);
    answer(20);
    assert_eq!(world.health.usual_first_output([&world.target]), Some(Duration::from_millis(19)));
    (0..64).for_each(|_| answer(7));
    assert_eq!(world.health.usual_first_output([&world.target]), Some(Duration::from_millis(7)));
}
