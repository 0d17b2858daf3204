//! Where a request can go: the primary pool, and the chains behind it. The same for requests and for those who ask what
//! would become of one.

use std::collections::HashSet;

use super::Parts;
use super::task::Task;
use crate::domain::fallback::FallbackReason;
use crate::domain::names::PublicModel;
use crate::fault::Outcome;
use crate::routing::plan::Wants;
use crate::routing::{Candidate, Plan, Snapshot, Target, plan};

/// Where one request can go.
#[derive(Clone, Copy)]
pub(super) struct Routes<'a> {
    pub parts: &'a Parts,
    pub snapshot: &'a Snapshot,
    pub task: &'a dyn Task,
}

/// Where it goes first.
pub(super) struct Primary {
    pub candidates: Vec<Candidate>,
    /// Whether the chain for any reason serves in place of the pool.
    pub is_chain: bool,
    /// What put the first one first, if not the strategy.
    pub pinned_by: Option<&'static str>,
}

impl<'a> Routes<'a> {
    /// The primary pool. While none of it is to be called, the chain for any reason serves in its place.
    pub(super) fn primary(&self) -> Outcome<Primary> {
        let fault = match self.plan(self.task.model()) {
            Ok(plan) => {
                let Plan { candidates, pinned_by, .. } = plan;
                return Ok(Primary { candidates, is_chain: false, pinned_by });
            }
            Err(fault) => fault,
        };
        // Only those that are waited for name a time.
        if fault.wait().is_none() {
            return Err(fault);
        }
        let candidates = self.chain(FallbackReason::General);
        if candidates.is_empty() { Err(fault) } else { Ok(Primary { candidates, is_chain: true, pinned_by: None }) }
    }

    /// What the request needs of the deployments of a model.
    pub(super) fn wants(&self, public_model: &'a str) -> Wants<'a> {
        Wants {
            public_model,
            operation: self.task.operation(),
            transports: self.task.transports(),
            origin: self.task.origin(),
            session: None,
        }
    }

    /// Candidates of one model.
    pub(super) fn plan(&self, public_model: &'a str) -> Outcome<Plan> {
        let dice = &self.parts.dice;
        let now = self.parts.clock.instant();
        let look = |target: &Target| self.parts.health.standing(target, now);
        let is_pinned = self.snapshot.settings().pins_sessions(public_model);
        let session = if is_pinned { self.task.session() } else { None };
        let wants = Wants { session: session.as_deref(), ..self.wants(public_model) };
        let mut plan = plan(self.snapshot, wants, &look, &mut |below| dice(below))?;
        // Nobody but its maker can read state: that one stays the first.
        if plan.pinned_by != Some("state") && self.prefer(&mut plan.candidates) {
            plan.pinned_by = Some("content");
        }
        Ok(plan)
    }

    /// Within a tier, puts those in front that lose less of the request. Says whether the first is another now.
    fn prefer(&self, candidates: &mut [Candidate]) -> bool {
        let first = candidates.first().map(|candidate| candidate.target.id);
        let rank = |candidate: &Candidate| (candidate.target.priority, candidate.target.weight == 0);
        for tier in candidates.chunk_by_mut(|one, other| rank(one) == rank(other)) {
            if tier.len() > 1 {
                tier.sort_by_cached_key(|candidate| self.task.loss(candidate));
            }
        }
        first != candidates.first().map(|candidate| candidate.target.id)
    }

    /// Candidates of a chain, each once.
    pub(super) fn chain(&self, reason: FallbackReason) -> Vec<Candidate> {
        let Ok(primary) = PublicModel::parse(self.task.model()) else { return Vec::new() };
        let mut seen = HashSet::new();
        let chain = self.snapshot.chain(&primary, reason).iter();
        let candidates = chain.filter_map(|model| self.plan(model.as_str()).ok()).flat_map(|plan| plan.candidates);
        candidates.filter(|candidate| seen.insert(candidate.target.id)).collect()
    }
}
