//! The order of candidates: tier by tier, and within a tier as the strategy says. Pure.
//!
//! Weighted chance decides first, and a ranking then sorts without disturbing it: equals stay in their random order. A
//! candidate without a figure comes before those that have one, so that it gets one; while none has a figure chance
//! decides alone. Weight 0 comes last in its tier, whatever the strategy.

use super::health::Standing;
use super::plan::{Candidate, Dice};
use crate::domain::settings::RoutingStrategy;

/// Success rate of a deployment without a record.
const UNPROVEN: f64 = 0.5;
/// Steps of a weight that is scaled by a success rate.
const STEPS: f64 = 1000.0;

type Member = (Candidate, Standing);

/// Orders candidates, the one to try first in front. One candidate needs no dice.
#[must_use]
pub fn order(strategy: RoutingStrategy, mut usable: Vec<Member>, dice: &mut Dice<'_>) -> Vec<Candidate> {
    if usable.len() == 1 {
        return usable.into_iter().map(|(candidate, _)| candidate).collect();
    }
    let mut ordered = Vec::with_capacity(usable.len());
    while let Some(tier) = usable.iter().map(|(candidate, _)| candidate.target.priority).max() {
        let (members, rest): (Vec<_>, Vec<_>) =
            usable.into_iter().partition(|(candidate, _)| candidate.target.priority == tier);
        usable = rest;
        let mut members = shuffle(strategy, members, dice);
        members.sort_by(|one, other| {
            let is_reserve = |member: &Member| member.0.target.weight == 0;
            let by_rank = || rank(strategy, one).total_cmp(&rank(strategy, other));
            is_reserve(one).cmp(&is_reserve(other)).then_with(by_rank)
        });
        ordered.extend(members.into_iter().map(|(candidate, _)| candidate));
    }
    ordered
}

/// The lower, the earlier.
fn rank(strategy: RoutingStrategy, (candidate, standing): &Member) -> f64 {
    match strategy {
        RoutingStrategy::SimpleShuffle | RoutingStrategy::HealthAware => 0.0,
        RoutingStrategy::LeastBusy => f64::from(standing.in_flight),
        RoutingStrategy::UsageBasedRpm => standing.requests_per_minute as f64,
        RoutingStrategy::UsageBasedTpm => standing.tokens_per_minute as f64,
        RoutingStrategy::LatencyBased => standing.latency_ms.unwrap_or(f64::NEG_INFINITY),
        RoutingStrategy::ThroughputBased => standing.tokens_per_second.map_or(f64::NEG_INFINITY, |rate| -rate),
        RoutingStrategy::PriceBased => price(candidate),
    }
}

/// A token in and a token out; what has no price is not taken for cheap.
fn price(candidate: &Candidate) -> f64 {
    let pricing = &candidate.target.resolved.pricing;
    match (pricing.input, pricing.output) {
        (Some(input), Some(output)) => input.0 as f64 + output.0 as f64,
        (Some(_), None) | (None, Some(_)) | (None, None) => f64::INFINITY,
    }
}

/// Weighted order without replacement.
fn shuffle(strategy: RoutingStrategy, mut members: Vec<Member>, dice: &mut Dice<'_>) -> Vec<Member> {
    let mut shuffled = Vec::with_capacity(members.len());
    while !members.is_empty() {
        let picked = pick(strategy, &members, dice);
        shuffled.push(members.remove(picked));
    }
    shuffled
}

fn pick(strategy: RoutingStrategy, members: &[Member], dice: &mut Dice<'_>) -> usize {
    let total: u64 = members.iter().map(|member| weight(strategy, member)).sum();
    if total == 0 {
        return 0;
    }
    let mut roll = dice(total);
    for (position, member) in members.iter().enumerate() {
        let weight = weight(strategy, member);
        if roll < weight {
            return position;
        }
        roll -= weight;
    }
    0
}

fn weight(strategy: RoutingStrategy, (candidate, standing): &Member) -> u64 {
    let weight = u64::from(candidate.target.weight);
    if strategy != RoutingStrategy::HealthAware {
        return weight;
    }
    let rate = standing.success_rate.unwrap_or(UNPROVEN).clamp(0.0, 1.0);
    // One that always fails still gets a thousandth: only an answer can tell that it is well again.
    let steps = (rate * STEPS).round().max(1.0) as u64;
    weight.saturating_mul(steps)
}
