//! A database for each test, on a server for all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tidelog_harness::postgres::Postgres;
use tidelog_model::LocationName;
use tidelog_store::LogStore;
use tidelog_store::conformance::Fixture;
use tidelog_store_postgres::{PostgresOptions, PostgresStore};

/// An empty database and how to open it.
pub struct Database<'s> {
    pub server: &'s Postgres,
    pub name: String,
    pub options: PostgresOptions,
}

impl Database<'static> {
    /// On the shared server.
    pub async fn new() -> Self {
        Self::on(Postgres::shared().await.unwrap())
    }
}

impl<'s> Database<'s> {
    /// On a server of its own.
    pub fn on(server: &'s Postgres) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("log_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let uri = server.create_database(&name).unwrap();
        Self {
            server,
            name,
            options: PostgresOptions::new(uri, "orders", location("eu")),
        }
    }

    pub async fn open(&self) -> PostgresStore {
        PostgresStore::open(self.options.clone()).await.unwrap()
    }

    /// Runs SQL beside the store.
    pub fn sql(&self, statement: &str) -> String {
        self.server.sql(&self.name, statement).unwrap()
    }
}

#[async_trait]
impl Fixture for Database<'static> {
    async fn open(&self) -> Arc<dyn LogStore> {
        Arc::new(Database::open(self).await)
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

pub fn location(name: &str) -> LocationName {
    LocationName::new(name).unwrap()
}
