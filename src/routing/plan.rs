//! Turns a public model into an ordered list of candidates. Pure: health arrives as facts, chance as dice.

use std::sync::Arc;
use std::time::Duration;

use super::health::{Availability, Standing};
use super::snapshot::{Pool, Snapshot, Target};
use super::strategy;
use crate::domain::operation::{Operation, Transport};
use crate::domain::settings::RoutingStrategy;
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
    /// The opaque id of the deployment whose state the request carries.
    pub origin: Option<&'a str>,
    /// What keeps requests together that the same deployment is to serve.
    pub session: Option<&'a str>,
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
    /// How they were ordered.
    pub strategy: RoutingStrategy,
    /// What put the first one first: `state` or `session`; `None`: the strategy.
    pub pinned_by: Option<&'static str>,
}

/// A source of chance: answers a number below its argument, evenly distributed.
pub type Dice<'a> = dyn FnMut(u64) -> u64 + 'a;

/// How a deployment stands.
pub type Look<'a> = dyn Fn(&Target) -> Standing + 'a;

/// What becomes of a deployment for a request.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It can be tried, and stands so.
    Kept(Candidate, Standing),
    /// It is switched off.
    Disabled,
    /// It does not serve the operation in a wire shape that can carry the request.
    Unfit,
    /// Its circuit is open for so long.
    Cooldown(Duration),
    /// Its provider asked to wait for so long.
    RateLimited(Duration),
}

/// Every deployment of a pool, and what becomes of it.
#[must_use]
pub fn survey(pool: &Pool, wants: &Wants<'_>, look: &Look<'_>) -> Vec<(Arc<Target>, Verdict)> {
    let judged = pool.targets.iter().map(|target| (Arc::clone(target), judge(target, wants, look)));
    judged.collect()
}

fn judge(target: &Arc<Target>, wants: &Wants<'_>, look: &Look<'_>) -> Verdict {
    if !target.enabled {
        return Verdict::Disabled;
    }
    let Some(candidate) = candidate(target, wants) else { return Verdict::Unfit };
    let standing = look(target);
    match standing.availability {
        Availability::Available | Availability::HalfOpen => Verdict::Kept(candidate, standing),
        Availability::Cooldown(wait) => Verdict::Cooldown(wait),
        Availability::RateLimited(wait) => Verdict::RateLimited(wait),
    }
}

/// Orders the usable deployments of a public model: the maker of the state that the request carries, then higher tiers
/// first, and within a tier as the strategy says; weight 0 last.
///
/// # Errors
/// `ModelNotFound`; `NoDeployments` when all are switched off; `UnsupportedCapability` when none serves the operation in
/// a wire shape that can carry it. With a time to wait: `RateLimited` when all providers asked for it, else
/// `NoDeployments` with the code `deployments_in_cooldown`.
pub fn plan(snapshot: &Snapshot, wants: Wants<'_>, look: &Look<'_>, dice: &mut Dice<'_>) -> Outcome<Plan> {
    let Some(pool) = snapshot.find_pool(wants.public_model) else {
        // Configured, but not understood or not decrypted: the caller is not to blame.
        if snapshot.is_withheld(wants.public_model) {
            return Err(Kind::NoDeployments.into());
        }
        return Err(model_not_found(wants.public_model));
    };
    if pool.enabled().next().is_none() {
        return Err(Kind::NoDeployments.into());
    }
    let strategy = snapshot.settings().strategy(wants.public_model);
    let mut usable = Vec::with_capacity(pool.targets.len());
    let mut waits = Waits::default();
    for target in &pool.targets {
        match judge(target, &wants, look) {
            Verdict::Kept(candidate, standing) => usable.push((candidate, standing)),
            Verdict::Cooldown(wait) => waits.cooldown(wait),
            Verdict::RateLimited(wait) => waits.throttle(wait),
            Verdict::Disabled | Verdict::Unfit => {}
        }
    }
    if usable.is_empty() {
        return Err(waits.fault().unwrap_or_else(|| {
            Fault::new(Kind::UnsupportedCapability).param("model").say(format!(
                "The model `{}` has no deployment that serves {} here.",
                wants.public_model, wants.operation
            ))
        }));
    }
    let mut candidates = match wants.session {
        Some(session) => strategy::by_session(session, usable),
        None => strategy::order(strategy, usable, dice),
    };
    let mut pinned_by = wants.session.map(|_| "session");
    let maker =
        wants.origin.and_then(|origin| candidates.iter().position(|candidate| candidate.target.opaque_id == origin));
    if let Some(position) = maker {
        candidates.get_mut(..=position).unwrap_or_default().rotate_right(1);
        pinned_by = Some("state");
    }
    Ok(Plan { candidates, strategy, pinned_by })
}

/// How long deployments that could serve do not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waits {
    cooldown: Option<Duration>,
    throttle: Option<Duration>,
}

impl Waits {
    /// One is in cooldown.
    pub fn cooldown(&mut self, wait: Duration) {
        self.cooldown = Some(self.cooldown.map_or(wait, |known| known.min(wait)));
    }

    /// One is throttled by its provider.
    pub fn throttle(&mut self, wait: Duration) {
        self.throttle = Some(self.throttle.map_or(wait, |known| known.min(wait)));
    }

    /// What a caller is told when there are no others; `None` when nothing has to wait.
    #[must_use]
    pub fn fault(self) -> Option<Fault> {
        match (self.cooldown, self.throttle) {
            (None, None) => None,
            (None, Some(wait)) => Some(
                Fault::new(Kind::RateLimited)
                    .say("The provider's rate limit for this model has been reached; try again later.")
                    .retry_after(wait),
            ),
            (Some(wait), throttle) => Some(
                Fault::new(Kind::NoDeployments)
                    .code("deployments_in_cooldown")
                    .say("Every deployment of this model has failed lately and is being left alone; try again later.")
                    .retry_after(throttle.map_or(wait, |other| other.min(wait))),
            ),
        }
    }
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
