//! Turns a public model into an ordered list of candidates. Pure: health arrives as facts, chance as dice.

use std::sync::Arc;

use super::snapshot::{Snapshot, Target};
use crate::domain::operation::{Operation, Transport};
use crate::fault::{Fault, Kind, Outcome};

/// What a request needs of the deployment that serves it.
#[derive(Debug, Clone, Copy)]
pub struct Wants<'a> {
    /// The model the client named.
    pub public_model: &'a str,
    /// What is asked for.
    pub operation: Operation,
    /// Wire shapes that can carry it, the client's own first.
    pub transports: &'a [Transport],
}

/// One deployment that can serve the request, and the wire shape to speak to it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The deployment.
    pub target: Arc<Target>,
    /// The wire shape.
    pub transport: Transport,
}

/// Candidates, in the order in which they are to be tried. Never empty.
#[derive(Debug, Clone)]
pub struct Plan {
    /// First the one to try first.
    pub candidates: Vec<Candidate>,
}

/// A source of chance: answers a number below its argument, evenly distributed.
pub type Dice<'a> = dyn FnMut(u64) -> u64 + 'a;

/// Orders the usable deployments of a public model: higher tiers first, weighted chance within a tier, weight 0 last.
///
/// # Errors
/// `ModelNotFound`; `NoDeployments` when all are switched off; `UnsupportedCapability` when none serves the operation in
/// a wire shape that can carry it.
pub fn plan(snapshot: &Snapshot, wants: Wants<'_>, dice: &mut Dice<'_>) -> Outcome<Plan> {
    let Some(pool) = snapshot.find_pool(wants.public_model) else {
        // Configured, but not understood or not decrypted: the caller is not to blame.
        if snapshot.is_withheld(wants.public_model) {
            return Err(Kind::NoDeployments.into());
        }
        return Err(model_not_found(wants.public_model));
    };
    let enabled: Vec<&Arc<Target>> = pool.enabled().collect();
    if enabled.is_empty() {
        return Err(Kind::NoDeployments.into());
    }
    let usable: Vec<Candidate> = enabled.iter().filter_map(|target| candidate(target, &wants)).collect();
    if usable.is_empty() {
        return Err(Fault::new(Kind::UnsupportedCapability).param("model").say(format!(
            "The model `{}` has no deployment that serves {} here.",
            wants.public_model, wants.operation
        )));
    }
    Ok(Plan { candidates: order(usable, dice) })
}

/// The fault for a public model that is not configured.
#[must_use]
pub fn model_not_found(public_model: &str) -> Fault {
    // A name comes from the client and may be long; show enough to recognise it.
    let shown: String = public_model.chars().take(100).collect();
    Fault::new(Kind::ModelNotFound).param("model").say(format!("The model `{shown}` does not exist."))
}

/// The target as a candidate, if it can do what is wanted in a wire shape that is spoken.
#[must_use]
pub fn candidate(target: &Arc<Target>, wants: &Wants<'_>) -> Option<Candidate> {
    let operation = target.resolved.operations.get(&wants.operation)?;
    let transport = match target.pinned.get(&wants.operation) {
        Some(pinned) => wants.transports.contains(pinned).then_some(*pinned),
        None => wants.transports.iter().copied().find(|transport| operation.transports.contains(transport)),
    }?;
    Some(Candidate { target: Arc::clone(target), transport })
}

/// Weighted order without replacement, tier by tier. One candidate needs no dice.
fn order(mut usable: Vec<Candidate>, dice: &mut Dice<'_>) -> Vec<Candidate> {
    if usable.len() == 1 {
        return usable;
    }
    let mut ordered = Vec::with_capacity(usable.len());
    while let Some(tier) = usable.iter().map(|candidate| candidate.target.priority).max() {
        let (mut members, rest): (Vec<_>, Vec<_>) =
            usable.into_iter().partition(|candidate| candidate.target.priority == tier);
        usable = rest;
        while !members.is_empty() {
            let picked = pick(&members, dice);
            ordered.push(members.remove(picked));
        }
    }
    ordered
}

fn pick(members: &[Candidate], dice: &mut Dice<'_>) -> usize {
    let total: u64 = members.iter().map(|candidate| u64::from(candidate.target.weight)).sum();
    if total == 0 {
        return 0;
    }
    let mut roll = dice(total);
    for (position, candidate) in members.iter().enumerate() {
        let weight = u64::from(candidate.target.weight);
        if roll < weight {
            return position;
        }
        roll -= weight;
    }
    0
}
