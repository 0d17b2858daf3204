//! The store of either mode, as one thing.

use std::path::PathBuf;

use super::figures::Database as Counted;
use super::follow::SessionStates;
use super::tasks::Tasks;
use crate::config::secrets::{EmbeddedSecrets, GivenSecrets, load_or_create};
use crate::config::store::Databases;
use crate::config::{Config, security::Security, store::Store};
use crate::control::system::Mode;
use crate::domain::secret::{ExposeSecret, SecretString};
use crate::fault::{Fault, Kind, Outcome};
use crate::store::Stores;
use crate::store::postgres::{self, PostgresSettings, PostgresStore, SessionState, Sharing};
use crate::store::sqlite::{self, DataDirLock, SqliteStore};
use crate::vault::{Keyring, SystemEntropy};

/// The database's file in `DATA_DIR`.
const DATABASE_FILE: &str = "gateway.db";
/// How long a call waits for a connection before it answers `Unavailable`.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// The store of either mode.
pub(super) enum Storage {
    /// One file, one process.
    Sqlite {
        /// The store.
        store: SqliteStore,
        /// The right to the folder, for as long as this lives.
        _data_dir: DataDirLock,
    },
    /// Shared by replicas.
    Postgres {
        /// The store.
        store: Box<PostgresStore>,
        /// Whether start-up migrates.
        auto_migrate: bool,
        /// Whether others may share it.
        sharing: Sharing,
    },
}

/// The secrets a gateway runs with.
pub(super) struct Secrets {
    pub(super) master_key: SecretString,
    pub(super) is_new: bool,
    pub(super) path: Option<PathBuf>,
    pub(super) keyring: Keyring,
}

impl Storage {
    /// Opens the store that the settings ask for, and finds the secrets that go with it. SQLite is migrated at once; of
    /// PostgreSQL nothing is asked yet.
    ///
    /// # Errors
    /// What keeps it from being opened, in words for the operator.
    pub(super) async fn open(store: Store, security: Security) -> Outcome<(Self, Secrets)> {
        match store.databases {
            Some(databases) => Ok((Self::postgres(&databases)?, shared_secrets(security)?)),
            None => {
                let data_dir = sqlite::lock_data_dir(&store.data_dir)?;
                let database = store.data_dir.join(DATABASE_FILE);
                let given = GivenSecrets { master_key: security.master_key, keyring: security.keyring };
                let found = load_or_create(&store.data_dir, given, database.exists(), &SystemEntropy)?;
                let EmbeddedSecrets { master_key, master_key_is_new, master_key_path, keyring, warnings } = found;
                for warning in &warnings {
                    tracing::warn!("{warning}");
                }
                let secrets = Secrets { master_key, is_new: master_key_is_new, path: master_key_path, keyring };
                Ok((Self::Sqlite { store: sqlite::open(&database).await?, _data_dir: data_dir }, secrets))
            }
        }
    }

    /// The store alone, for commands that need no secrets of clients.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) async fn open_for_command(config: Config) -> Outcome<(Self, Secrets)> {
        Self::open(config.store, config.security).await
    }

    fn postgres(databases: &Databases) -> Outcome<Self> {
        let store = postgres::open(&PostgresSettings {
            url: databases.postgres.clone(),
            listen_url: databases.postgres_listen.clone(),
            max_connections: databases.max_connections,
            acquire_timeout: PATIENCE,
        })?;
        let sharing = if databases.redis.is_some() { Sharing::Shared } else { Sharing::Sole };
        Ok(Self::Postgres { store: Box::new(store), auto_migrate: databases.auto_migrate, sharing })
    }

    /// The stores, one per noun.
    pub(super) fn stores(&self) -> Stores {
        match self {
            Self::Sqlite { store, .. } => store.stores(),
            Self::Postgres { store, .. } => store.stores(),
        }
    }

    /// The store for those who count its connections; it does not keep the right to a folder.
    pub(super) fn counted(&self) -> Counted {
        match self {
            Self::Sqlite { store, .. } => Counted::Sqlite(store.clone()),
            Self::Postgres { store, .. } => Counted::Postgres(store.clone()),
        }
    }

    /// How the gateway is set up.
    pub(super) fn mode(&self) -> Mode {
        match self {
            Self::Sqlite { .. } => Mode::Embedded,
            Self::Postgres { .. } => Mode::Clustered,
        }
    }

    /// Brings the schema to what this version needs, or finds that it is.
    ///
    /// # Errors
    /// `Unavailable`, with what is wrong.
    pub(super) async fn prepare(&self) -> Outcome<()> {
        match self {
            Self::Sqlite { .. } => Ok(()),
            Self::Postgres { store, auto_migrate: true, .. } => store.migrate().await,
            Self::Postgres { store, auto_migrate: false, .. } => store.check_schema().await,
        }
    }

    /// Brings the schema up to date, whatever the settings say of start-up.
    ///
    /// # Errors
    /// `Unavailable`, with what is wrong.
    pub(super) async fn migrate(&self) -> Outcome<()> {
        match self {
            Self::Sqlite { .. } => Ok(()),
            Self::Postgres { store, .. } => store.migrate().await,
        }
    }

    /// Starts to listen for changes by others. A store of one's own has none to listen for.
    pub(super) fn listen(&self, tasks: &Tasks, stop: tokio_util::sync::CancellationToken) -> SessionStates {
        let sole = SessionState { is_listening: true, has_place: true, wakeups: 0 };
        match self {
            Self::Sqlite { .. } => SessionStates::constant(sole),
            Self::Postgres { store, sharing, .. } => {
                let session = store.session(*sharing);
                let (states, seen) = tokio::sync::watch::channel(SessionState::default());
                tasks.start(async move {
                    _ = Box::pin(stop.run_until_cancelled(session.run(states))).await;
                });
                SessionStates::of(seen)
            }
        }
    }

    /// Waits for what is under way and closes the connections.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { store, .. } => store.close().await,
            Self::Postgres { store, .. } => store.close().await,
        }
    }
}

/// In production mode the settings give the secrets; [`crate::config`] has seen to it.
fn shared_secrets(security: Security) -> Outcome<Secrets> {
    let missing = |variable: &str| Fault::new(Kind::Unavailable).say(format!("{variable} is required."));
    let master_key = security.master_key.ok_or_else(|| missing("MASTER_KEY"))?;
    let keyring = security.keyring.ok_or_else(|| missing("CREDENTIALS_ENCRYPTION_KEY"))?;
    if master_key.expose_secret().is_empty() {
        return Err(missing("MASTER_KEY"));
    }
    Ok(Secrets { master_key, is_new: false, path: None, keyring })
}
