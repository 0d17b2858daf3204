//! A database for one test, on the server that the test command has started.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use url::Url;

use crate::domain::secret::SecretString;
use crate::store::postgres::PostgresSettings;
use crate::vault::SystemEntropy;

/// Where the server is: a URL whose user may create databases.
const VARIABLE: &str = "UNIFIED_TEST_DATABASE_URL";

/// A database that is dropped with this.
pub(in crate::store) struct TestDatabase {
    server: Url,
    name: String,
}

impl TestDatabase {
    /// A new, empty one.
    pub(in crate::store) async fn create() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the test command tells where its servers are")]
        let server = std::env::var(VARIABLE)
            .unwrap_or_else(|_| panic!("{VARIABLE} is not set: run `make test`, which starts PostgreSQL"));
        let server: Url = server.parse().unwrap();
        let database = Self { server, name: format!("test_{:016x}", SystemEntropy::roll(u64::MAX)) };
        database.on_server(format!("CREATE DATABASE {}", database.name)).await;
        database
    }

    /// Its URL.
    pub(in crate::store) fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url.to_string()
    }

    /// How the store reaches it.
    pub(in crate::store) fn settings(&self) -> PostgresSettings {
        PostgresSettings {
            url: SecretString::from(self.url()),
            listen_url: None,
            max_connections: 5,
            acquire_timeout: Duration::from_secs(30),
        }
    }

    async fn on_server(&self, sql: String) {
        let mut connection = PgConnection::connect(self.server.as_str()).await.unwrap();
        connection.execute(AssertSqlSafe(sql)).await.unwrap();
        connection.close().await.unwrap();
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), std::mem::take(&mut self.name));
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = PgConnection::connect(server.as_str()).await.unwrap();
                connection.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
            });
        });
        drop(dropped.join());
    }
}
