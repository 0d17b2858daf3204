//! The cases.

use super::*;

pub(super) async fn the_minute_admits_exactly_its_requests(world: &World) {
    let limits = Limits { rpm: Some(3), ..Limits::default() };
    for number in 0..3 {
        let hold = world.ask(&ask(number, limits)).await.unwrap();
        assert_eq!(hold.standing.requests.unwrap().remaining, 2 - u64::try_from(number).unwrap());
        world.settle(hold, 0, 0).await;
        world.advance(10);
    }
    let refusal = world.ask(&ask(9, limits)).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.retry_after), (Reason::Requests, Some(Duration::from_secs(30))));
    assert_eq!(refusal.standing.requests.unwrap().reset, Duration::from_secs(50));
    world.advance(29);
    assert!(world.ask(&ask(10, limits)).await.is_err());
    world.advance(1);
    assert!(world.ask(&ask(11, limits)).await.is_ok());
    assert!(world.ask(&ask(12, limits)).await.is_err());
}

pub(super) async fn tokens_are_held_and_settled_to_the_exact_figure(world: &World) {
    let limits = Limits { tpm: Some(1_000), ..Limits::default() };
    let with = |number, tokens| Ask { tokens, ..ask(number, limits) };
    let hold = world.ask(&with(1, 900)).await.unwrap();
    assert_eq!(world.ask(&with(2, 101)).await.unwrap_err().reason, Reason::Tokens);
    world.advance(20);
    world.settle(hold, 50, 0).await;
    let hold = world.ask(&with(3, 950)).await.unwrap();
    assert_eq!(hold.standing.tokens.unwrap().remaining, 0);
    // Used more than was held: that counts, too, in the second of its admission.
    world.settle(hold, 980, 0).await;
    let refusal = world.ask(&with(4, 20)).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.retry_after), (Reason::Tokens, Some(Duration::from_secs(40))));
    world.advance(40);
    assert!(world.ask(&with(5, 20)).await.is_ok());
}

pub(super) async fn a_request_larger_than_the_minute_never_fits(world: &World) {
    let limits = Limits { tpm: Some(100), ..Limits::default() };
    let refusal = world.ask(&Ask { tokens: 101, ..ask(1, limits) }).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.retry_after), (Reason::TooManyTokens { needed: 101 }, None));
}

pub(super) async fn places_are_freed_by_settlements(world: &World) {
    let limits = Limits { parallel: Some(2), ..Limits::default() };
    let first = world.ask(&ask(1, limits)).await.unwrap();
    let _second = world.ask(&ask(2, limits)).await.unwrap();
    assert_eq!(world.ask(&ask(3, limits)).await.unwrap_err().reason, Reason::Parallel);
    world.settle(first, 0, 0).await;
    assert!(world.ask(&ask(4, limits)).await.is_ok());
    assert_eq!(world.ask(&ask(5, limits)).await.unwrap_err().reason, Reason::Parallel);
}

pub(super) async fn a_refused_request_takes_nothing(world: &World) {
    let limits = Limits { rpm: Some(5), tpm: Some(100), parallel: Some(1), budget: Some(NanoCents(100)), reset: None };
    let hold = world.ask(&Ask { tokens: 10, ..costing(1, limits, 10) }).await.unwrap();
    for number in 2..20 {
        assert_eq!(
            world.ask(&Ask { tokens: 10, ..costing(number, limits, 10) }).await.unwrap_err().reason,
            Reason::Parallel
        );
    }
    world.settle(hold, 10, 10).await;
    let standing = world.ask(&Ask { tokens: 10, ..costing(30, limits, 10) }).await.unwrap().standing;
    assert_eq!(standing.requests.unwrap().remaining, 3);
    assert_eq!(standing.tokens.unwrap().remaining, 80);
    assert_eq!(standing.budget.unwrap().remaining, NanoCents(80));
}

pub(super) async fn a_spent_budget_is_told_apart_from_a_held_one(world: &World) {
    let limits = budget(100, Some(BudgetReset::Hourly));
    let hold = world.ask(&costing(1, limits, 60)).await.unwrap();
    let refusal = world.ask(&costing(2, limits, 60)).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::BudgetReserved);
    assert!(refusal.retry_after.is_some());
    world.settle(hold, 0, 100).await;
    let refusal = world.ask(&costing(3, limits, 1)).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.retry_after), (Reason::BudgetSpent, Some(Duration::from_secs(1_800))));
    // One that never resets has nothing to wait for.
    let refusal = world.ask(&costing(4, budget(0, None), 0)).await.unwrap_err();
    assert_eq!((refusal.reason, refusal.retry_after), (Reason::BudgetSpent, None));
}

pub(super) async fn a_hold_larger_than_what_is_left_says_what_is_left(world: &World) {
    let limits = budget(100, Some(BudgetReset::Daily));
    let hold = world.ask(&costing(1, limits, 10)).await.unwrap();
    world.settle(hold, 0, 40).await;
    let refusal = world.ask(&costing(2, limits, 61)).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::BudgetTooSmall { could_cost: NanoCents(61), left: NanoCents(60) });
    assert!(refusal.retry_after.is_some(), "tomorrow it fits");
    assert_eq!(world.ask(&costing(3, limits, 101)).await.unwrap_err().retry_after, None, "it never fits");
    assert!(world.ask(&costing(4, limits, 60)).await.is_ok());
}

pub(super) async fn a_hundred_at_once_never_hold_more_than_there_is(world: &World) {
    let limits = budget(1_000, None);
    let asks: Vec<Ask> = (0..100).map(|number| costing(number, limits, 30)).collect();
    let answers = futures_util::future::join_all(asks.iter().map(|ask| world.ask(ask))).await;
    let holds: Vec<Hold> = answers.into_iter().filter_map(Result::ok).collect();
    assert_eq!(holds.len(), 33);
    futures_util::future::join_all(holds.into_iter().map(|hold| world.settle(hold, 1, 30))).await;
    assert_eq!(world.spent(limits).await, (990, 0));
    assert_eq!(world.sink.total(), 990);
}

pub(super) async fn a_window_that_ends_starts_from_zero_and_late_costs_stay_behind(world: &World) {
    let limits = budget(100, Some(BudgetReset::Hourly));
    let late = world.ask(&costing(1, limits, 100)).await.unwrap();
    world.advance(1_800);
    let hold = world.ask(&costing(2, limits, 90)).await.unwrap();
    assert_eq!(hold.standing.budget.unwrap().remaining, NanoCents(10));
    world.settle(late, 0, 100).await;
    assert_eq!(world.spent(limits).await, (0, 90));
    world.settle(hold, 0, 5).await;
    assert_eq!(world.spent(limits).await, (5, 0));
    let windows = world.sink.amounts();
    assert_eq!(windows, [100, 5]);
}

pub(super) async fn a_reset_starts_from_zero_and_late_costs_stay_behind(world: &World) {
    let limits = budget(100, None);
    let hold = world.ask(&costing(1, limits, 50)).await.unwrap();
    world.settle(hold, 0, 70).await;
    let late = world.ask(&costing(2, limits, 30)).await.unwrap();
    world.ledger.reset_spend(key()).await.unwrap();
    assert_eq!(world.spent(limits).await, (0, 0));
    world.settle(late, 0, 30).await;
    assert_eq!(world.spent(limits).await, (0, 0));
    let hold = world.ask(&costing(3, limits, 100)).await.unwrap();
    world.settle(hold, 0, 1).await;
    assert_eq!(world.spent(limits).await, (1, 0));
    assert_eq!(world.restarted().await.spent(limits).await, (1, 0));
}

pub(super) async fn settling_twice_settles_once(world: &World) {
    let limits = Limits { tpm: Some(100), ..budget(100, None) };
    let hold = world.ask(&Ask { tokens: 50, ..costing(1, limits, 50) }).await.unwrap();
    world.settle(hold.clone(), 10, 10).await;
    world.settle(hold, 10, 10).await;
    assert_eq!(world.spent(limits).await, (10, 0));
    assert_eq!(world.sink.total(), 10);
    let usage = world.ledger.usage(&[(key(), limits)]).await.unwrap().remove(0);
    assert_eq!((usage.tokens, usage.in_flight), (10, 0));
}

pub(super) async fn a_hold_is_raised_or_left_alone(world: &World) {
    let limits = budget(100, None);
    let mut first = world.ask(&costing(1, limits, 40)).await.unwrap();
    let mut second = world.ask(&costing(2, limits, 40)).await.unwrap();
    assert!(world.ledger.top_up(&mut first, NanoCents(60)).await.unwrap());
    assert!(!world.ledger.top_up(&mut second, NanoCents(41)).await.unwrap());
    assert!(world.ledger.top_up(&mut second, NanoCents(10)).await.unwrap(), "less is no raise");
    assert_eq!((first.budget, second.budget), (NanoCents(60), NanoCents(40)));
    assert_eq!(world.spent(limits).await, (0, 100));
    world.settle(first, 0, 1).await;
    world.settle(second, 0, 1).await;
    assert_eq!(world.spent(limits).await, (2, 0));
}

pub(super) async fn spending_is_known_after_a_restart(world: &World) {
    let limits = budget(100, Some(BudgetReset::Monthly));
    let hold = world.ask(&costing(1, limits, 10)).await.unwrap();
    world.settle(hold, 0, 95).await;
    let again = world.restarted().await;
    let refusal = again.ask(&costing(2, limits, 6)).await.unwrap_err();
    assert!(matches!(refusal.reason, Reason::BudgetTooSmall { left: NanoCents(5), .. }), "{refusal:?}");
    assert!(again.ask(&costing(3, limits, 5)).await.is_ok());
}

pub(super) async fn spending_without_limits_is_counted_and_known_once_a_limit_comes(world: &World) {
    let hold = world.ask(&ask(1, Limits::default())).await.unwrap();
    let late = world.ask(&ask(2, Limits::default())).await.unwrap();
    world.settle(hold, 5, 30).await;
    assert_eq!(world.spent(Limits::default()).await, (30, 0));
    let limits = budget(100, None);
    let hold = world.ask(&costing(3, limits, 70)).await.unwrap();
    world.settle(late, 5, 20).await;
    assert_eq!(world.spent(limits).await, (50, 70));
    world.settle(hold, 0, 1).await;
    assert_eq!(world.restarted().await.spent(limits).await, (51, 0));
}

pub(super) async fn a_budget_whose_spending_cannot_be_read_lets_nobody_in(world: &World) {
    world.sink.set_away(true);
    let fault = world.ledger.admit(&costing(1, budget(100, None), 1)).await.unwrap_err();
    assert_eq!(fault.kind(), crate::fault::Kind::Unavailable);
    assert!(fault.wait().is_some());
    world.sink.set_away(false);
    assert!(world.ask(&costing(2, budget(100, None), 1)).await.is_ok());
}

pub(super) async fn one_bad_record_does_not_hold_back_the_others(world: &World) {
    let records = ["a", "bad", "c"].map(|id| OperationRecord { id: id.to_owned(), ..OperationRecord::default() });
    for stored in records.map(|record| world.recorder.record(record)) {
        stored.await.unwrap();
    }
    world.recorder.flush().await;
    assert_eq!(world.sink.ids(), ["a", "c"]);
    assert_eq!(world.sink.state.lock().unwrap().aside, ["bad"]);
}
