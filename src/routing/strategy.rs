//! The order of candidates: tier by tier, and within a tier as the strategy says. Pure.
//!
//! Weighted chance decides first, and a ranking then sorts without disturbing it: equals stay in their random order. A
//! candidate without a figure comes before those that have one, so that it gets one; while none has a figure chance
//! decides alone. Weight 0 comes last in its tier, whatever the strategy.

use super::health::Standing;
use super::plan::{Candidate, Dice};
use crate::domain::settings::RoutingStrategy;
use crate::vault::digest;

/// Success rate of a deployment without a record.
const UNPROVEN: f64 = 0.5;
/// Steps of a weight that is scaled by a success rate.
const STEPS: f64 = 1000.0;
const NANOS_PER_CENT: f64 = 1e9;

/// A candidate, and how it stands.
pub type Member = (Candidate, Standing);

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

/// Orders candidates for a session: higher tiers first, and within a tier by a score of session and deployment that
/// grows with the weight (rendezvous hashing). The same on every replica; when one goes or comes, only its own sessions
/// move. Weight 0 comes last in its tier.
#[must_use]
pub fn by_session(session: &str, usable: Vec<Member>) -> Vec<Candidate> {
    let mut scored: Vec<(Candidate, f64)> = usable
        .into_iter()
        .map(|(candidate, _)| {
            let score = score(session, &candidate);
            (candidate, score)
        })
        .collect();
    scored.sort_by(|(one, own), (other, others)| {
        other.target.priority.cmp(&one.target.priority).then_with(|| others.total_cmp(own))
    });
    scored.into_iter().map(|(candidate, _)| candidate).collect()
}

/// Of a fair draw `u` in (0, 1): `weight / -ln u`. The highest wins as often as its share of the weights.
fn score(session: &str, candidate: &Candidate) -> f64 {
    let hash = digest([session.as_bytes(), b"\n".as_slice(), candidate.target.opaque_id.as_bytes()]);
    let drawn = hash.iter().take(6).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let fair = (drawn as f64 + 0.5) / (1_u64 << 48) as f64;
    f64::from(candidate.target.weight) / -fair.ln()
}

/// How probable it is of each candidate that it comes first.
#[must_use]
pub fn shares(strategy: RoutingStrategy, usable: &[Member]) -> Vec<f64> {
    let Some(tier) = usable.iter().map(|(candidate, _)| candidate.target.priority).max() else { return Vec::new() };
    let in_tier = |member: &Member| member.0.target.priority == tier;
    let only_reserves = usable.iter().filter(|member| in_tier(member)).all(|member| member.0.target.weight == 0);
    let can_lead = |member: &Member| in_tier(member) && (only_reserves || member.0.target.weight > 0);
    let best = usable.iter().filter(|member| can_lead(member)).map(|member| rank(strategy, member));
    let best = best.min_by(f64::total_cmp).unwrap_or_default();
    let leads = |member: &Member| can_lead(member) && rank(strategy, member).total_cmp(&best).is_eq();
    let chance = |member: &Member| if leads(member) { weight(strategy, member) as f64 } else { 0.0 };
    let total: f64 = usable.iter().map(chance).sum();
    if total > 0.0 {
        return usable.iter().map(|member| chance(member) / total).collect();
    }
    // Reserves alone are not drawn: the first of them leads.
    let first = usable.iter().position(leads);
    (0..usable.len()).map(|position| if Some(position) == first { 1.0 } else { 0.0 }).collect()
}

/// What the strategy looks at, in the unit of its name; `None`: it is not known yet.
#[must_use]
pub fn figure(strategy: RoutingStrategy, member: &Member) -> Option<f64> {
    match strategy {
        RoutingStrategy::SimpleShuffle => Some(f64::from(member.0.target.weight)),
        RoutingStrategy::HealthAware => {
            Some(f64::from(member.0.target.weight) * member.1.success_rate.unwrap_or(UNPROVEN))
        }
        RoutingStrategy::ThroughputBased => member.1.tokens_per_second,
        // Cents per million tokens, one in and one out.
        RoutingStrategy::PriceBased => Some(rank(strategy, member) / NANOS_PER_CENT).filter(|price| price.is_finite()),
        RoutingStrategy::LeastBusy
        | RoutingStrategy::UsageBasedRpm
        | RoutingStrategy::UsageBasedTpm
        | RoutingStrategy::LatencyBased => Some(rank(strategy, member)).filter(|figure| figure.is_finite()),
    }
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
