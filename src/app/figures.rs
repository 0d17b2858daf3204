//! What is read when somebody asks for metrics: facts that merely are, from those who know them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::watch;

use super::serve::ConnectionCount;
use crate::api::http::body::BodyReader;
use crate::api::ops::health::Readiness;
use crate::control::system::Mode;
use crate::gateway::Refusals;
use crate::ledger::figures::SETTLE_BOUNDS_US;
use crate::ledger::settle::Recorder;
use crate::routing::{Availability, Health, Publisher, Snapshot};
use crate::store::postgres::PostgresStore;
use crate::store::sqlite::SqliteStore;
use crate::telemetry::metrics::cells::{HistogramReading, as_f64};
use crate::telemetry::metrics::readings::Readings;
use crate::telemetry::metrics::{Metrics, NO_LABELS, names, process};
use crate::telemetry::otel::Sent;
use crate::time::Clock;
use crate::transport::Connects;

/// Those who know.
pub(super) struct Sources {
    pub clock: Arc<dyn Clock>,
    pub began: Instant,
    pub publisher: Arc<Publisher>,
    pub health: Arc<Health>,
    pub readiness: watch::Receiver<Readiness>,
    pub bodies: Arc<BodyReader>,
    pub connects: Arc<Connects>,
    pub connections: Vec<Arc<ConnectionCount>>,
    pub sent: Arc<Sent>,
    pub refusals: Arc<Refusals>,
    pub mode: Mode,
    pub database: Database,
    pub recorder: Arc<Recorder>,
}

/// Whose connections are counted.
pub(super) enum Database {
    /// One pool.
    Postgres(Box<PostgresStore>),
    /// Some that read and one that writes.
    Sqlite(SqliteStore),
}

/// Has everything read that `metrics` does not count itself.
pub(super) fn register(metrics: &Metrics, sources: Sources) {
    let started_at = sources.clock.now();
    metrics.register(Arc::new(move |readings| {
        readings.number(&names::BUILD_INFO, [env!("CARGO_PKG_VERSION"), mode_word(sources.mode)], 1.0);
        let uptime = sources.clock.instant().saturating_duration_since(sources.began);
        readings.number(&names::UPTIME_SECONDS, NO_LABELS, uptime.as_secs_f64());
        process::read(readings);
        readings.number(&names::PROCESS_START, NO_LABELS, whole(started_at.unix_ms()) / 1e3);
        sources.read_configuration(readings);
        sources.read_traffic(readings);
        sources.read_ledger(readings);
    }));
}

impl Sources {
    fn read_configuration(&self, readings: &mut Readings) {
        let snapshot = self.publisher.current();
        readings.number(&names::CONFIG_REVISION, NO_LABELS, whole(snapshot.revision().0));
        let age_ms = self.clock.now().unix_ms().saturating_sub(snapshot.in_force_since().unix_ms());
        readings.number(&names::CONFIG_AGE, NO_LABELS, whole(age_ms) / 1e3);
        readings.number(&names::QUARANTINED, NO_LABELS, size(snapshot.quarantined().len()));
        let (deployments, keys, chains) = snapshot.counts();
        for (kind, count) in [("deployment", deployments), ("virtual_key", keys), ("fallback_chain", chains)] {
            readings.number(&names::CONFIG_ROWS, [kind], size(count));
        }
        self.read_deployments(&snapshot, readings);
        let readiness = *self.readiness.borrow();
        let is_ready = readiness.is_loaded && !readiness.is_draining && !readiness.is_standby;
        readings.number(&names::READY, NO_LABELS, f64::from(u8::from(is_ready)));
        for (name, is_up) in [("postgres", readiness.postgres), ("redis", readiness.redis)] {
            if let Some(is_up) = is_up {
                readings.number(&names::DEPENDENCY_UP, [name], f64::from(u8::from(is_up)));
            }
        }
    }

    fn read_deployments(&self, snapshot: &Snapshot, readings: &mut Readings) {
        const STATES: [&str; 5] = ["available", "half_open", "cooldown", "rate_limited", "disabled"];
        let now = self.clock.instant();
        let mut counts: BTreeMap<(&str, &str), [usize; STATES.len()]> = BTreeMap::new();
        for target in snapshot.pools().flat_map(|pool| &pool.targets) {
            let state = match self.health.standing(target, now).availability {
                _ if !target.enabled => 4,
                Availability::Available => 0,
                Availability::HalfOpen => 1,
                Availability::Cooldown(_) => 2,
                Availability::RateLimited(_) => 3,
            };
            let counts = counts.entry((target.public_model.as_str(), &target.provider)).or_default();
            if let Some(count) = counts.get_mut(state) {
                *count += 1;
            }
        }
        for ((model, provider), counts) in counts {
            for (state, count) in STATES.into_iter().zip(counts) {
                let labels = [model.to_owned(), provider.to_owned(), state.to_owned()];
                readings.number(&names::DEPLOYMENTS, labels, size(count));
            }
        }
    }

    fn read_traffic(&self, readings: &mut Readings) {
        readings.number(&names::REFUSALS_UNRECORDED, NO_LABELS, as_f64(self.refusals.left_out()));
        readings.number(&names::ANSWERS_BEFORE_RECORD, NO_LABELS, as_f64(self.refusals.late()));
        self.read_database(readings);
        readings.number(&names::BODY_BYTES, NO_LABELS, size(self.bodies.inflight_bytes()));
        for (outcome, count) in [("made", self.connects.made()), ("failed", self.connects.failed())] {
            readings.number(&names::UPSTREAM_CONNECTIONS, [outcome], as_f64(count));
        }
        let connects = &self.connects;
        for (state, count) in
            [("connecting", connects.connecting()), ("in_use", connects.in_use()), ("idle", connects.idle())]
        {
            readings.number(&names::OPEN_UPSTREAM, [state], as_f64(count));
        }
        for listener in &self.connections {
            readings.number(&names::CONNECTIONS, [listener.name], listener.open.read());
            readings.number(&names::CONNECTIONS_TAKEN, [listener.name], of(&listener.taken));
            readings.number(&names::CONNECTIONS_REFUSED, [listener.name], of(&listener.refused));
        }
        let sent = &self.sent;
        for (signal, outcome, count) in [
            ("spans", "sent", &sent.spans),
            ("spans", "queue_full", &sent.spans_crowded_out),
            ("spans", "undelivered", &sent.spans_undelivered),
            ("metrics", "sent", &sent.reports),
            ("metrics", "undelivered", &sent.reports_undelivered),
        ] {
            readings.number(&names::TELEMETRY, [signal, outcome], of(count));
        }
    }
}

impl Sources {
    fn read_database(&self, readings: &mut Readings) {
        let pools = match &self.database {
            Database::Postgres(postgres) => vec![("postgres", postgres.connections())],
            Database::Sqlite(sqlite) => {
                readings.number(&names::DATABASE_WAITING, NO_LABELS, as_f64(sqlite.writes_waiting()));
                sqlite.connections().to_vec()
            }
        };
        for (pool, (in_use, idle)) in pools {
            readings.number(&names::DATABASE_CONNECTIONS, [pool, "in_use"], size(in_use));
            readings.number(&names::DATABASE_CONNECTIONS, [pool, "idle"], size(idle));
        }
    }

    fn read_ledger(&self, readings: &mut Readings) {
        let ledger = self.recorder.figures().read(self.clock.now());
        for (metric, count) in [
            (&names::HOLD_WAITS, ledger.waits),
            (&names::LET_THROUGH, ledger.let_through),
            (&names::NOT_KEPT, ledger.not_kept),
            (&names::RECORDS_WAITING, ledger.waiting),
            (&names::RECORDS_KEPT, ledger.kept),
            (&names::SPOOL_BYTES, ledger.spool_bytes),
            (&names::RECORDS_INHERITED, ledger.inherited),
        ] {
            readings.number(metric, NO_LABELS, as_f64(count));
        }
        readings.number(&names::HOLD_WAIT_SECONDS, NO_LABELS, ledger.waited.as_secs_f64());
        readings.number(&names::RECORDS_LAG, NO_LABELS, ledger.lag.as_secs_f64());
        for (reason, count) in ledger.refusals {
            readings.number(&names::LIMIT_REFUSALS, [reason], as_f64(count));
        }
        let bounds = SETTLE_BOUNDS_US.iter().map(|us| as_f64(*us) / 1e6).chain([f64::INFINITY]);
        let settled = HistogramReading {
            buckets: bounds.zip(ledger.settle_buckets).collect(),
            sum: ledger.settle.as_secs_f64(),
            count: ledger.settle_buckets.iter().sum(),
        };
        readings.sizes(&names::SETTLEMENT_SECONDS, NO_LABELS, settled);
    }
}

fn of(count: &AtomicU64) -> f64 {
    as_f64(count.load(Ordering::Relaxed))
}

fn size(count: usize) -> f64 {
    as_f64(u64::try_from(count).unwrap_or(u64::MAX))
}

fn whole(number: i64) -> f64 {
    as_f64(u64::try_from(number).unwrap_or_default())
}

const fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Embedded => "embedded",
        Mode::Clustered => "clustered",
    }
}
