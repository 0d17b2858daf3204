//! Every strategy against its definition, over ten thousand draws.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::{RngExt, SeedableRng};

use super::{START, target};
use crate::domain::ids::Revision;
use crate::domain::money::NanoCents;
use crate::domain::operation::{Operation, Transport};
use crate::domain::settings::{RouterSettings, RoutingStrategy};
use crate::fault::{Fault, Kind, Outcome};
use crate::routing::strategy::{Member, shares};
use crate::routing::{Availability, Plan, Snapshot, Standing, Target, Wants, plan};

const DRAWS: usize = 10_000;

fn snapshot(strategy: RoutingStrategy, targets: Vec<Target>) -> Snapshot {
    let mut edit = Snapshot::empty(START).edit();
    targets.into_iter().for_each(|target| edit.put_deployment(target));
    edit.set_settings(RouterSettings { routing_strategy: strategy, ..RouterSettings::default() });
    edit.finish(Revision(1), START)
}

fn number(target: &Target) -> usize {
    usize::try_from(target.id.as_uuid().as_u128()).unwrap()
}

fn planned(
    snapshot: &Snapshot,
    standings: &[Standing],
    origin: Option<&str>,
    dice: &mut dyn FnMut(u64) -> u64,
) -> Outcome<Plan> {
    let wants = Wants {
        public_model: "m",
        operation: Operation::TextGenerate,
        transports: &[Transport::ChatCompletions],
        origin,
        session: None,
    };
    let look = |target: &Target| standings.get(number(target) - 1).copied().unwrap_or(Standing::UNKNOWN);
    plan(snapshot, wants, &look, dice)
}

/// How often each deployment came first.
fn firsts(snapshot: &Snapshot, standings: &[Standing]) -> BTreeMap<usize, usize> {
    let mut random = rand::rngs::StdRng::seed_from_u64(11);
    let mut firsts = BTreeMap::new();
    for _ in 0..DRAWS {
        let plan = planned(snapshot, standings, None, &mut |sides| random.random_range(0..sides)).unwrap();
        *firsts.entry(number(&plan.candidates[0].target)).or_default() += 1;
    }
    firsts
}

/// Five standard deviations are at most 250 draws.
fn close_to(firsts: &BTreeMap<usize, usize>, expected: &[(usize, usize)]) {
    for (number, times) in expected {
        let seen = firsts.get(number).copied().unwrap_or_default();
        assert!(seen.abs_diff(*times) < 250, "{firsts:?}, expected {expected:?}");
    }
}

fn unknown(change: impl FnOnce(&mut Standing)) -> Standing {
    let mut standing = Standing::UNKNOWN;
    change(&mut standing);
    standing
}

fn weighted(n: u128, weight: u32) -> Target {
    Target { weight, ..target(n, "m") }
}

#[test]
fn a_ranked_strategy_picks_the_best_figure_whatever_the_weights() {
    type Set = fn(&mut Standing, u32);
    let rows: [(RoutingStrategy, Set, [u32; 3]); 5] = [
        (RoutingStrategy::LeastBusy, |s, n| s.in_flight = n, [5, 0, 9]),
        (RoutingStrategy::UsageBasedRpm, |s, n| s.requests_per_minute = n.into(), [5, 0, 9]),
        (RoutingStrategy::UsageBasedTpm, |s, n| s.tokens_per_minute = n.into(), [5, 1, 9]),
        (RoutingStrategy::LatencyBased, |s, n| s.latency_ms = Some(n.into()), [500, 100, 900]),
        (RoutingStrategy::ThroughputBased, |s, n| s.tokens_per_second = Some(n.into()), [50, 100, 9]),
    ];
    for (strategy, set, figures) in rows {
        let snapshot = snapshot(strategy, vec![weighted(1, 900), weighted(2, 1), weighted(3, 100)]);
        let standings = figures.map(|figure| unknown(|standing| set(standing, figure)));
        assert_eq!(firsts(&snapshot, &standings), BTreeMap::from([(2, DRAWS)]), "{strategy:?}");
        let all = planned(&snapshot, &standings, None, &mut |_| 0).unwrap();
        let order: Vec<usize> = all.candidates.iter().map(|candidate| number(&candidate.target)).collect();
        assert_eq!((order, all.strategy), (vec![2, 1, 3], strategy));
    }
}

#[test]
fn without_any_figure_every_strategy_is_weighted_chance() {
    for strategy in RoutingStrategy::ALL {
        let snapshot = snapshot(strategy, vec![weighted(1, 1), weighted(2, 3), weighted(3, 6), weighted(4, 0)]);
        let firsts = firsts(&snapshot, &[]);
        close_to(&firsts, &[(1, 1000), (2, 3000), (3, 6000)]);
        assert_eq!(firsts.get(&4), None, "{strategy:?}: weight 0 is never picked at random");
    }
}

#[test]
fn one_without_a_figure_is_measured_first_and_equals_share_by_weight() {
    let snapshot = snapshot(RoutingStrategy::LatencyBased, vec![weighted(1, 1), weighted(2, 3), weighted(3, 100)]);
    let latency = |ms| unknown(|standing| standing.latency_ms = Some(ms));
    assert_eq!(firsts(&snapshot, &[latency(1.0), latency(1.0)]), BTreeMap::from([(3, DRAWS)]));
    close_to(&firsts(&snapshot, &[latency(1.0), latency(1.0), latency(2.0)]), &[(1, 2500), (2, 7500), (3, 0)]);
}

#[test]
fn price_based_takes_the_cheapest_and_an_unknown_price_last() {
    let priced = |n, input, output| {
        let mut target = weighted(n, 1);
        target.resolved.pricing.input = Some(NanoCents(input));
        target.resolved.pricing.output = output;
        target
    };
    let targets = vec![priced(1, 50, Some(NanoCents(10))), priced(2, 20, Some(NanoCents(20))), priced(3, 1, None)];
    let snapshot = snapshot(RoutingStrategy::PriceBased, targets);
    let plan = planned(&snapshot, &[], None, &mut |_| 0).unwrap();
    let order: Vec<usize> = plan.candidates.iter().map(|candidate| number(&candidate.target)).collect();
    assert_eq!(order, [2, 1, 3]);
}

#[test]
fn health_aware_shares_by_weight_and_success_and_trusts_the_unproven_half() {
    let snapshot = snapshot(RoutingStrategy::HealthAware, vec![weighted(1, 1), weighted(2, 1), weighted(3, 1)]);
    let rate = |rate| unknown(|standing| standing.success_rate = Some(rate));
    close_to(&firsts(&snapshot, &[rate(1.0), rate(0.5), Standing::UNKNOWN]), &[(1, 5000), (2, 2500), (3, 2500)]);
    close_to(&firsts(&snapshot, &[rate(1.0), rate(0.0), rate(0.0)]), &[(1, 9980)]);
}

#[test]
fn a_model_may_have_a_strategy_of_its_own_and_tiers_come_first() {
    let mut edit = snapshot(RoutingStrategy::SimpleShuffle, vec![weighted(1, 1), weighted(2, 1)]).edit();
    edit.set_settings(RouterSettings {
        model_overrides: BTreeMap::from([(
            "m".to_owned(),
            crate::domain::settings::ModelOverride::strategy(RoutingStrategy::LeastBusy),
        )]),
        ..RouterSettings::default()
    });
    edit.put_deployment(Target { priority: 5, ..weighted(3, 1) });
    let snapshot = edit.finish(Revision(2), START);
    let busy = |n| unknown(|standing| standing.in_flight = n);
    let plan = planned(&snapshot, &[busy(7), busy(2), busy(99)], None, &mut |_| 0).unwrap();
    let order: Vec<usize> = plan.candidates.iter().map(|candidate| number(&candidate.target)).collect();
    assert_eq!((order, plan.strategy), (vec![3, 2, 1], RoutingStrategy::LeastBusy));
}

#[test]
fn who_made_the_state_comes_first_while_it_is_there() {
    let snapshot = snapshot(
        RoutingStrategy::SimpleShuffle,
        vec![weighted(1, 9), weighted(2, 9), Target { priority: -9, ..weighted(3, 0) }],
    );
    let maker = |origin, standings: &[Standing]| {
        let plan = planned(&snapshot, standings, Some(origin), &mut |_| 0).unwrap();
        plan.candidates.iter().map(|candidate| number(&candidate.target)).collect::<Vec<_>>()
    };
    assert_eq!(maker("dep_000000000003", &[]), [3, 1, 2]);
    let gone = unknown(|standing| standing.availability = Availability::Cooldown(Duration::from_secs(1)));
    assert_eq!(maker("dep_000000000003", &[Standing::UNKNOWN, Standing::UNKNOWN, gone]), [1, 2]);
    assert_eq!(maker("dep_of_another", &[]), [1, 2, 3]);
}

#[test]
fn a_pool_that_is_all_away_says_why_and_for_how_long() {
    let snapshot = snapshot(RoutingStrategy::SimpleShuffle, vec![weighted(1, 1), weighted(2, 1)]);
    let away = |availability| unknown(|standing| standing.availability = availability);
    let cooldown = |s| away(Availability::Cooldown(Duration::from_secs(s)));
    let throttled = |s| away(Availability::RateLimited(Duration::from_secs(s)));
    let half_open = away(Availability::HalfOpen);
    for (standings, expected) in [
        ([cooldown(9), cooldown(4)], Some((Kind::NoDeployments, Some("deployments_in_cooldown"), 4))),
        ([cooldown(9), throttled(2)], Some((Kind::NoDeployments, Some("deployments_in_cooldown"), 2))),
        ([throttled(9), throttled(3)], Some((Kind::RateLimited, Some("rate_limit_exceeded"), 3))),
        ([half_open, throttled(3)], None),
    ] {
        let told = |fault: Fault| (fault.kind(), fault.error_code(), fault.wait().unwrap().as_secs());
        assert_eq!(planned(&snapshot, &standings, None, &mut |_| 0).err().map(told), expected);
    }
}

/// Homes of 10,000 sessions.
fn homes(targets: Vec<Target>) -> Vec<usize> {
    let snapshot = snapshot(RoutingStrategy::SimpleShuffle, targets);
    let home = |number: usize| {
        let session = format!("session {number}");
        let wants = Wants {
            public_model: "m",
            operation: Operation::TextGenerate,
            transports: &[Transport::ChatCompletions],
            origin: None,
            session: Some(&session),
        };
        let plan = plan(&snapshot, wants, &|_| Standing::UNKNOWN, &mut |_| panic!("no dice")).unwrap();
        assert_eq!(plan.pinned_by, Some("session"));
        self::number(&plan.candidates[0].target)
    };
    (0..10_000).map(home).collect()
}

#[test]
fn sessions_are_shared_by_weight_and_only_those_move_whose_deployment_goes() {
    let four = || vec![weighted(1, 1), weighted(2, 1), weighted(3, 2), weighted(4, 0)];
    let before = homes(four());
    for (number, expected) in [(1, 2_500_i64), (2, 2_500), (3, 5_000), (4, 0)] {
        let share = i64::try_from(before.iter().filter(|home| **home == number).count()).unwrap();
        assert!((share - expected).abs() < 250, "{number}: {share}");
    }
    assert_eq!(before, homes(four()), "the same again");
    let without = homes(vec![weighted(1, 1), weighted(3, 2), weighted(4, 0)]);
    for (old, new) in before.iter().zip(&without) {
        assert!(*old == 2 || old == new, "{old} moved to {new}");
    }
    let with = homes(four().into_iter().chain([weighted(5, 1)]).collect());
    let moved = before.iter().zip(&with).filter(|(old, new)| old != new).count();
    assert!(before.iter().zip(&with).all(|(old, new)| old == new || *new == 5));
    assert!((1_700..2_300).contains(&moved), "a fifth moves: {moved}");
    let higher = homes(vec![weighted(1, 100), Target { priority: 1, ..weighted(2, 1) }]);
    assert!(higher.iter().all(|home| *home == 2), "tiers come first");
}

#[test]
fn what_is_said_of_shares_is_what_the_draws_show() {
    let targets = || {
        vec![weighted(1, 3), weighted(2, 1), weighted(3, 2), weighted(4, 0), Target { priority: -1, ..weighted(5, 9) }]
    };
    let standings = [
        unknown(|standing| {
            (standing.in_flight, standing.latency_ms, standing.success_rate) = (1, Some(30.0), Some(0.5));
            (standing.requests_per_minute, standing.tokens_per_minute) = (7, 10);
            standing.tokens_per_second = Some(10.0);
        }),
        unknown(|standing| {
            (standing.in_flight, standing.latency_ms, standing.success_rate) = (1, Some(20.0), Some(1.0));
            (standing.requests_per_minute, standing.tokens_per_minute) = (3, 30);
            standing.tokens_per_second = Some(30.0);
        }),
        unknown(|standing| {
            (standing.in_flight, standing.latency_ms, standing.success_rate) = (2, Some(20.0), Some(0.0));
            (standing.requests_per_minute, standing.tokens_per_minute) = (3, 10);
            standing.tokens_per_second = Some(20.0);
        }),
    ];
    for strategy in RoutingStrategy::ALL {
        let snapshot = snapshot(strategy, targets());
        let drawn = firsts(&snapshot, &standings);
        let usable: Vec<Member> = planned(&snapshot, &standings, None, &mut |_| 0)
            .unwrap()
            .candidates
            .into_iter()
            .map(|candidate| {
                let standing = standings.get(number(&candidate.target) - 1).copied().unwrap_or(Standing::UNKNOWN);
                (candidate, standing)
            })
            .collect();
        let said = shares(strategy, &usable);
        assert!((said.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{strategy:?}: {said:?}");
        let expected: Vec<(usize, usize)> = usable
            .iter()
            .zip(&said)
            .map(|(member, share)| (number(&member.0.target), (share * 10_000.0) as usize))
            .collect();
        close_to(&drawn, &expected);
    }
}
