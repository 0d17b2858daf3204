//! Follows the store: brings the configuration in force at the start and after every change, and reports that it is.
//!
//! Without its databases a gateway stays up: live, not ready, trying again. With PostgreSQL lost it serves what it has.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tonic_health::server::HealthReporter;

use super::storage::Storage;
use crate::api::grpc;
use crate::api::ops::health::Readiness;
use crate::control::{Propagation, Replicas};
use crate::domain::ids::Revision;
use crate::domain::replica::BEAT_EVERY;
use crate::fault::{Fault, Outcome};
use crate::store::postgres::SessionState;

/// A listener that hears nothing costs so much, not an outage.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Reports of revisions that follow each other are put together.
const REPORT_PAUSE: Duration = Duration::from_millis(20);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A report that takes longer is given up; the next one says the same.
const REPORT_PATIENCE: Duration = Duration::from_secs(5);

/// What the listening connection says.
pub(super) struct SessionStates {
    states: watch::Receiver<SessionState>,
    _sender: Option<watch::Sender<SessionState>>,
}

impl SessionStates {
    /// A state that never changes.
    pub(super) fn constant(state: SessionState) -> Self {
        let (sender, states) = watch::channel(state);
        Self { states, _sender: Some(sender) }
    }

    /// The states of a connection.
    pub(super) fn of(states: watch::Receiver<SessionState>) -> Self {
        Self { states, _sender: None }
    }
}

/// Follows the store until no more connections are taken.
pub(super) struct Follower {
    pub storage: Arc<Storage>,
    pub propagation: Arc<Propagation>,
    pub replicas: Arc<Replicas>,
    pub session: SessionStates,
    /// Whether Redis answers.
    pub redis: Option<watch::Receiver<bool>>,
    pub readiness: watch::Sender<Readiness>,
    pub grpc_health: HealthReporter,
    /// Becomes `false` when no more connections are taken.
    pub accepting: watch::Receiver<bool>,
}

impl Follower {
    /// Until the gateway stops.
    pub(super) async fn run(mut self) {
        let mut accepting = self.accepting.clone();
        let stops = async move {
            _ = accepting.wait_for(|accepting| !*accepting).await;
        };
        let revisions = self.propagation.publisher().subscribe();
        let reports = report(Arc::clone(&self.replicas), revisions, self.readiness.subscribe());
        let follows = async {
            self.bring_up().await;
            tokio::join!(self.keep_up(), reports);
        };
        tokio::select! {
            () = follows => {}
            () = stops => {}
        }
    }

    /// Tries until a configuration is in force.
    async fn bring_up(&mut self) {
        let mut pause = FIRST_PAUSE;
        let mut told = String::new();
        loop {
            if self.is_standing_by() {
                self.tell(None);
                if told != "standby" {
                    tracing::warn!(
                        "another gateway has this database for itself; waiting for it to end (set REDIS_URL on all \
                         replicas to run several)"
                    );
                    "standby".clone_into(&mut told);
                }
                self.next_event(LOOK_EVERY).await;
                continue;
            }
            match self.load().await {
                Ok(()) => break,
                Err(fault) => {
                    self.tell(Some(false));
                    if told != fault.message() {
                        tracing::warn!(error = fault.cause(), "no configuration yet, trying again: {fault}");
                        fault.message().clone_into(&mut told);
                    }
                    self.next_event(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        self.tell(Some(true));
        self.readiness.send_modify(|readiness| readiness.is_loaded = true);
        grpc::set_health(&self.grpc_health, true).await;
        let revision = self.propagation.publisher().current().revision().0;
        tracing::info!(revision, "the configuration is in force: ready");
    }

    async fn load(&mut self) -> Outcome<()> {
        if !self.propagation.publisher().current().is_loaded() {
            self.storage.prepare().await?;
            self.propagation.load().await?;
        }
        Ok(())
    }

    /// Reads what changed whenever somebody says so, and once a second.
    async fn keep_up(&mut self) {
        let mut is_failing = false;
        loop {
            self.next_event(LOOK_EVERY).await;
            let caught_up = self.propagation.catch_up().await;
            match (&caught_up, is_failing) {
                (Err(fault), false) => tracing::warn!(
                    error = fault.cause(),
                    "the store cannot be read; what is in force stays in force: {fault}"
                ),
                (Ok(revision), true) => tracing::info!(revision = revision.0, "the store can be read again"),
                (Ok(_), false) | (Err(_), true) => {}
            }
            is_failing = caught_up.is_err();
            self.tell(Some(!is_failing));
        }
    }

    /// A connection that is up and has no place; without a connection nothing is known of it.
    fn is_standing_by(&self) -> bool {
        let state = self.session.states.borrow();
        state.is_listening && !state.has_place
    }

    /// Puts what is known of the databases where readiness is answered from.
    fn tell(&self, postgres: Option<bool>) {
        let is_standby = self.is_standing_by();
        let redis = self.redis.as_ref().map(|is_up| *is_up.borrow());
        self.readiness.send_if_modified(|readiness| {
            let before = *readiness;
            readiness.is_standby = is_standby;
            readiness.redis = redis;
            // Only a store that others share can be out of reach.
            if readiness.postgres.is_some() && postgres.is_some() {
                readiness.postgres = postgres;
            }
            before != *readiness
        });
    }

    /// A change, or the end of the time.
    async fn next_event(&mut self, at_most: Duration) {
        let redis = async {
            match &mut self.redis {
                Some(is_up) => changed(is_up).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(at_most) => {}
            () = changed(&mut self.session.states) => {}
            () = redis => {}
        }
    }
}

async fn changed<T>(watched: &mut watch::Receiver<T>) {
    if watched.changed().await.is_err() {
        // Nobody is left to change it.
        std::future::pending::<()>().await;
    }
}

/// Reports which revision is in force here: at once when it changes, and every few seconds.
async fn report(
    replicas: Arc<Replicas>,
    mut revisions: watch::Receiver<Revision>,
    mut readiness: watch::Receiver<Readiness>,
) {
    let mut is_failing = false;
    loop {
        revisions.mark_unchanged();
        let is_draining = readiness.borrow_and_update().is_draining;
        let reported = tokio::time::timeout(REPORT_PATIENCE, replicas.report(is_draining)).await;
        let failure: Option<Fault> = match reported {
            Ok(outcome) => outcome.err(),
            Err(_) => Some(crate::fault::Kind::Timeout.into()),
        };
        if let (Some(fault), false) = (&failure, is_failing) {
            tracing::warn!(error = fault.cause(), "the other replicas cannot be told what is in force here: {fault}");
        }
        is_failing = failure.is_some();
        tokio::time::sleep(REPORT_PAUSE).await;
        tokio::select! {
            () = tokio::time::sleep(BEAT_EVERY) => {}
            () = changed(&mut revisions) => {}
            () = changed(&mut readiness) => {}
        }
    }
}
