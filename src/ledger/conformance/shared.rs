//! What only a ledger has that replicas share.

use super::*;
use crate::ledger::About;

/// Forgets everything that this test has in Redis.
async fn empty(world: &World) {
    let (mut connection, prefix) = redis(world).await;
    let mut find = ::redis::cmd("KEYS");
    let keys: Vec<String> = find.arg(format!("{prefix}*")).query_async(&mut connection).await.unwrap();
    assert!(!keys.is_empty());
    ::redis::cmd("DEL").arg(keys).query_async::<()>(&mut connection).await.unwrap();
}

async fn beat(world: &World) {
    world.shared.as_ref().unwrap().0.beat().await.unwrap();
}

#[tokio::test]
async fn two_replicas_count_together() {
    let a = World::redis().await;
    let b = a.restarted().await;
    let limits = Limits { parallel: Some(2), rpm: Some(3), ..budget(100, None) };
    let first = a.ask(&costing(1, limits, 40)).await.unwrap();
    let second = b.ask(&costing(2, limits, 40)).await.unwrap();
    assert_eq!(a.ask(&costing(3, limits, 1)).await.unwrap_err().reason, Reason::Parallel);
    b.settle(second, 0, 50).await;
    assert_eq!(a.ask(&costing(3, limits, 20)).await.unwrap_err().reason, Reason::BudgetReserved);
    a.settle(first, 0, 30).await;
    assert_eq!((a.spent(limits).await, b.spent(limits).await), ((80, 0), (80, 0)));
    let third = b.ask(&costing(4, limits, 20)).await.unwrap();
    assert_eq!(a.ask(&costing(5, limits, 0)).await.unwrap_err().reason, Reason::Requests);
    b.settle(third, 0, 20).await;
    assert_eq!(a.ask(&costing(6, limits, 0)).await.unwrap_err().reason, Reason::BudgetSpent);
}

#[tokio::test]
async fn an_emptied_redis_forgets_neither_what_is_spent_nor_what_is_held() {
    let a = World::redis().await;
    let b = a.restarted().await;
    let limits = Limits { parallel: Some(3), ..budget(100, None) };
    let spent = a.ask(&costing(1, limits, 30)).await.unwrap();
    a.settle(spent, 0, 30).await;
    let (here, there) = (a.ask(&costing(2, limits, 30)).await.unwrap(), b.ask(&costing(3, limits, 30)).await.unwrap());
    empty(&a).await;
    let fault = a.ledger.admit(&costing(4, limits, 30)).await.unwrap_err();
    assert!(fault.kind() == crate::fault::Kind::Unavailable && fault.wait().is_some(), "nobody guesses");
    // One that ends in between is in the store.
    b.settle(there, 0, 20).await;
    // A ledger of another name.
    a.advance(1);
    b.advance(1);
    beat(&a).await;
    beat(&b).await;
    assert_eq!(a.ask(&costing(5, limits, 21)).await.unwrap_err().reason, Reason::BudgetReserved);
    let more = b.ask(&costing(6, limits, 20)).await.unwrap();
    assert_eq!(a.spent(limits).await, (50, 50));
    a.settle(here, 0, 30).await;
    b.settle(more, 0, 20).await;
    assert_eq!(a.spent(limits).await, (100, 0));
    assert_eq!(a.sink.total(), 100);
    assert_eq!(b.ask(&costing(7, limits, 1)).await.unwrap_err().reason, Reason::BudgetSpent);
}

#[tokio::test]
async fn what_a_silent_replica_holds_is_released_and_charged_with_what_it_cost_at_least() {
    let a = World::redis().await;
    let dead = a.restarted().await;
    let limits = Limits { parallel: Some(1), ..budget(100, None) };
    let lost = Ask { least: NanoCents(7), ..costing(1, limits, 90) };
    let about = About { public_model: "priced", contract: "messages", operation: "embeddings.create" };
    let Admitted::Held(hold) = dead.ledger.admit_for(&lost, about).await.unwrap() else { panic!("it is refused") };
    a.advance(14);
    beat(&a).await;
    assert_eq!(a.ask(&costing(2, limits, 90)).await.unwrap_err().reason, Reason::Parallel);
    a.advance(2);
    beat(&a).await;
    eventually(async || a.spent(limits).await == (7, 0)).await;
    let stored = a.sink.state.lock().unwrap().records.clone();
    let told =
        |record: &OperationRecord| (record.public_model.clone(), record.contract.clone(), record.operation.clone());
    let expected = ("priced".to_owned(), "messages".to_owned(), "embeddings.create".to_owned());
    assert_eq!(stored.iter().map(told).collect::<Vec<_>>(), [expected]);
    assert!(a.ask(&costing(3, limits, 93)).await.is_ok());
    // It was not dead, only silent: what it has to say is known already.
    dead.settle(hold, 0, 60).await;
    assert_eq!(a.spent(limits).await, (7, 93));
}

#[tokio::test]
async fn while_the_store_is_away_costs_stay_held_and_places_are_free() {
    let world = World::redis().await;
    let limits = Limits { parallel: Some(1), ..budget(100, None) };
    let hold = world.ask(&costing(1, limits, 90)).await.unwrap();
    world.sink.set_away(true);
    let settling = world.ledger.settle(settlement(hold, 0, 60));
    let told = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let refused = world.ask(&costing(2, limits, 41)).await.unwrap_err();
        assert_eq!(refused.reason, Reason::BudgetReserved);
        let second = world.ask(&costing(3, limits, 40)).await.unwrap();
        world.sink.set_away(false);
        second
    };
    let (settled, second) = tokio::join!(settling, told);
    settled.unwrap();
    world.settle(second, 0, 40).await;
    assert_eq!(world.spent(limits).await, (100, 0));
}

/// A connection of the test's own, and what its keys begin with.
async fn redis(world: &World) -> (::redis::aio::MultiplexedConnection, String) {
    let (_, prefix) = world.shared.as_ref().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test command tells where its servers are")]
    let url = std::env::var("UNIFIED_TEST_REDIS_URL").unwrap();
    let client = ::redis::Client::open(url).unwrap();
    (client.get_multiplexed_async_connection().await.unwrap(), prefix.clone())
}

/// How many records Redis keeps for a replica.
async fn kept(world: &World) -> usize {
    let (mut connection, prefix) = redis(world).await;
    let key = format!("{prefix}j:{}", world.shared.as_ref().unwrap().0.setup.replica);
    ::redis::cmd("HLEN").arg(key).query_async(&mut connection).await.unwrap()
}

/// A settlement of a request without limits.
fn free(id: &str) -> Settlement {
    let record = OperationRecord { id: id.to_owned(), version: RECORD_VERSION, ..OperationRecord::default() };
    Settlement { hold: None, tokens: 0, cost: NanoCents(0), record }
}

/// What was answered while the store is away, by a replica that dies then.
async fn answered_and_died(a: &World, settlements: Vec<Settlement>) {
    let dead = a.restarted().await;
    a.sink.set_away(true);
    for settlement in settlements {
        tokio::time::timeout(Duration::from_secs(1), dead.ledger.settle(settlement)).await.unwrap().unwrap();
    }
    dead._stop.send_replace(true);
    eventually(async || dead._stop.is_closed()).await;
    a.sink.set_away(false);
    assert!(a.sink.ids().is_empty());
}

#[tokio::test]
async fn what_a_replica_answered_before_it_died_another_one_stores() {
    let a = World::redis().await;
    let limits = budget(100, None);
    let dead = a.restarted().await;
    let hold = dead.ask(&costing(1, limits, 70)).await.unwrap();
    a.sink.set_away(true);
    let mut settled = settlement(hold, 5, 60);
    settled.record.public_model = "priced".to_owned();
    tokio::time::timeout(Duration::from_secs(1), dead.ledger.settle(settled)).await.unwrap().unwrap();
    tokio::time::timeout(Duration::from_secs(1), dead.ledger.settle(free("x"))).await.unwrap().unwrap();
    assert_eq!(kept(&dead).await, 2);
    dead._stop.send_replace(true);
    eventually(async || dead._stop.is_closed()).await;
    // Its cost stays held, and nobody gets it.
    assert_eq!(a.ask(&costing(2, limits, 41)).await.unwrap_err().reason, Reason::BudgetReserved);
    a.sink.set_away(false);
    a.advance(16);
    beat(&a).await;
    eventually(async || a.sink.ids().len() == 2).await;
    a.recorder.flush().await;
    let stored = a.sink.state.lock().unwrap().records.clone();
    assert!(stored.iter().any(|record| record.public_model == "priced" && record.outcome != "abandoned"));
    assert_eq!(a.spent(limits).await, (60, 0));
    assert_eq!((kept(&dead).await, kept(&a).await), (0, 0));
}

#[tokio::test]
async fn what_is_stored_is_not_kept_any_more() {
    let world = World::redis().await;
    for number in 1..=20_u128 {
        let limits =
            if number.is_multiple_of(2) { budget(100, None) } else { Limits { rpm: Some(90), ..Limits::default() } };
        let hold = world.ask(&costing(number, limits, 1)).await.unwrap();
        world.settle(hold, 1, 1).await;
    }
    world.ledger.settle(free("x")).await.unwrap();
    world.recorder.flush().await;
    eventually(async || kept(&world).await == 0).await;
    assert_eq!(world.sink.ids().len(), 21);
}

#[tokio::test]
async fn a_record_that_can_never_be_stored_holds_back_nobody_when_it_is_inherited() {
    let a = World::redis().await;
    answered_and_died(&a, ["x", "bad", "y"].map(free).into()).await;
    a.advance(16);
    beat(&a).await;
    eventually(async || a.sink.ids() == ["x", "y"]).await;
    a.recorder.flush().await;
    assert_eq!(a.sink.state.lock().unwrap().aside, ["bad"]);
    assert_eq!(kept(&a).await, 0);
}

#[tokio::test]
async fn records_of_a_newer_version_are_left_for_a_newer_replica() {
    let a = World::redis().await;
    let mut newer = free("new");
    newer.record.version = RECORD_VERSION + 1;
    answered_and_died(&a, vec![newer, free("x")]).await;
    a.advance(16);
    for _ in 0..3 {
        beat(&a).await;
    }
    eventually(async || a.sink.ids() == ["x"]).await;
    let (mut connection, prefix) = redis(&a).await;
    let orphans: Vec<(String, u32)> = ::redis::cmd("ZRANGE")
        .arg(format!("{prefix}orphans"))
        .arg(0)
        .arg(-1)
        .arg("WITHSCORES")
        .query_async(&mut connection)
        .await
        .unwrap();
    let [(dead, needed)] = orphans.as_slice() else { panic!("{orphans:?}") };
    assert_eq!(*needed, RECORD_VERSION + 1);
    let left: Vec<String> =
        ::redis::cmd("HKEYS").arg(format!("{prefix}j:{dead}")).query_async(&mut connection).await.unwrap();
    assert_eq!(left, ["new|"]);
}

#[tokio::test]
async fn what_redis_keeps_and_nobody_knows_of_is_stored() {
    let world = World::redis().await;
    let (mut connection, prefix) = redis(&world).await;
    let key = format!("{prefix}j:{}", world.shared.as_ref().unwrap().0.setup.replica);
    let text = format!("{RECORD_VERSION} {}", serde_json::to_string(&free("x").record).unwrap());
    ::redis::cmd("HSET").arg(key).arg("x|").arg(text).query_async::<()>(&mut connection).await.unwrap();
    beat(&world).await;
    eventually(async || world.sink.ids() == ["x"]).await;
    eventually(async || kept(&world).await == 0).await;
}

#[tokio::test]
async fn an_emptied_redis_is_told_the_last_minute_again() {
    let a = World::redis().await;
    let b = a.restarted().await;
    let limits = Limits { rpm: Some(4), tpm: Some(100), ..Limits::default() };
    let with = |number, tokens| Ask { tokens, ..ask(number, limits) };
    let first = a.ask(&with(1, 40)).await.unwrap();
    let second = b.ask(&with(2, 40)).await.unwrap();
    a.settle(first, 10, 0).await;
    a.advance(1);
    b.advance(1);
    empty(&a).await;
    beat(&a).await;
    beat(&b).await;
    let third = a.ask(&with(3, 50)).await.unwrap();
    assert_eq!(third.standing.tokens.unwrap().remaining, 0);
    b.settle(second, 0, 0).await;
    let fourth = b.ask(&with(4, 40)).await.unwrap();
    assert_eq!(fourth.standing.requests.unwrap().remaining, 0);
    assert_eq!(a.ask(&with(5, 0)).await.unwrap_err().reason, Reason::Requests);
}

#[tokio::test]
async fn windows_in_redis_are_those_of_the_calendar() {
    let world = World::redis().await;
    let resets = [None, Some(BudgetReset::Hourly), Some(BudgetReset::Daily), Some(BudgetReset::Weekly)];
    for days in 0..80 {
        for (number, reset) in resets.into_iter().chain([Some(BudgetReset::Monthly)]).enumerate() {
            let limits = Limits { rpm: Some(1_000_000), reset, ..Limits::default() };
            let hold = world.ask(&ask(days * 10 + number as u128, limits)).await.unwrap();
            assert_eq!(hold.window, Window::at(reset, crate::time::Clock::now(&*world.clock)));
            world.ledger.release(&hold, 0).await.unwrap();
        }
        world.advance(86_400 * 5 + 3_601);
    }
}

#[tokio::test]
async fn an_admission_that_is_given_up_while_it_is_asked_for_holds_nothing() {
    use futures_util::FutureExt;

    let world = World::redis().await;
    let limits = budget(100, None);
    let first = world.ask(&costing(1, limits, 1)).await.unwrap();
    world.settle(first, 0, 1).await;
    for number in 2..6 {
        let asked = costing(number, limits, 90);
        // The question is on its way, and nobody waits for the answer.
        assert!(world.ledger.admit(&asked).now_or_never().is_none());
        tokio::time::sleep(Duration::from_millis(5)).await;
        eventually(async || world.spent(limits).await == (1, 0)).await;
    }
    assert!(world.ask(&costing(6, limits, 99)).await.is_ok());
}
