//! Connections: how they are opened, what is checked of the server, and what happens to one that is left in the middle of a statement.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{Connection as _, Row as _};
use tidelog_store::{InstanceId, StoreError};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{breaks_connection, connect_error, store_error};
use crate::options::{self, PostgresOptions};
use crate::state::{INSTANCE, instance};
use crate::statement::Statement;
use crate::watch::{Lost, Watch};

/// Everything of ours lives in this schema.
pub const SCHEMA: &str = "tidelog";
const SERVER_VERSION_MIN: u32 = 140_000;
/// How long an interrupted write may take to end before callers are told to come back.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(5);

/// Forces what the contract needs, whatever role, database or URI say, and asks what the server is. Set by statement, not by startup
/// option: a session setting wins over all the others.
///
/// `synchronous_commit` may be stricter. Statements have no time limit: a commit that is cut off by one would be of unknown outcome. A
/// transaction that is left open would hold up the writer: the server ends it. A server that does not hear from us any more finds out.
const PREPARE_SESSION: &str = "
    SELECT pg_is_in_recovery(),
           current_setting('fsync'),
           current_setting('full_page_writes'),
           current_setting('server_encoding'),
           pg_backend_pid(),
           (SELECT (extract(epoch FROM backend_start) * 1000000)::int8 FROM pg_stat_activity WHERE pid = pg_backend_pid()),
           set_config('synchronous_commit',
                      CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
           set_config('search_path', 'tidelog', false),
           set_config('default_transaction_isolation', 'read committed', false),
           set_config('statement_timeout', '0', false),
           set_config('lock_timeout', '0', false),
           set_config('idle_in_transaction_session_timeout', '30s', false),
           set_config('tcp_keepalives_idle', '10', false),
           set_config('tcp_keepalives_interval', '5', false),
           set_config('tcp_keepalives_count', '3', false),
           set_config('jit', 'off', false),
           (SELECT count(set_config(name, '0', false)) FROM pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout'))";

/// Opens connections to one database.
#[derive(Debug)]
pub struct Connector {
    source: PostgresOptions,
    options: RwLock<PgConnectOptions>,
    place: String,
}

/// Which server process serves a connection. A process id alone may be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend {
    pid: i32,
    started_micros: i64,
}

impl Backend {
    /// Appends what is true of its row in `pg_stat_activity`.
    pub fn is(self, statement: &mut Statement) {
        statement.push("pid = ");
        statement.bind(self.pid, "int4");
        statement.push(" AND (extract(epoch FROM backend_start) * 1000000)::int8 = ");
        statement.bind(self.started_micros, "int8");
    }
}

/// A connection that is ready.
#[derive(Debug)]
pub struct Session {
    connection: PgConnection,
    backend: Backend,
    /// The database behind it, once somebody has asked.
    instance: Option<InstanceId>,
}

impl Session {
    /// The connection.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Connector {
    /// For one database.
    pub fn new(source: PostgresOptions) -> Result<Self, StoreError> {
        let options = source.connect_options()?;
        Ok(Self {
            place: options::place(&options),
            options: RwLock::new(options),
            source,
        })
    }

    /// What messages call it.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What it was made from.
    pub fn source(&self) -> &PostgresOptions {
        &self.source
    }

    /// What it connects with now.
    pub fn options(&self) -> PgConnectOptions {
        let before = { self.options.read() }
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(next) = self.source.rotated(&before) else {
            return before;
        };
        let mut options = self.options.write().unwrap_or_else(PoisonError::into_inner);
        options.clone_from(&next);
        next
    }

    /// Opens a connection and refuses a server that would not keep what it acknowledges.
    pub async fn open(&self) -> Result<Session, StoreError> {
        tokio::time::timeout(self.source.connect_timeout, self.open_in_time())
            .await
            .unwrap_or_else(|_| {
                Err(StoreError::Unavailable(format!(
                    "{} did not answer within {:?}; check that it runs and that host and port of the storage URI are right",
                    self.place, self.source.connect_timeout
                )))
            })
    }

    async fn open_in_time(&self) -> Result<Session, StoreError> {
        let mut connection = PgConnection::connect_with(&self.options())
            .await
            .map_err(|error| connect_error(error, &self.place))?;
        if let Some(version) = connection.server_version_num()
            && version < SERVER_VERSION_MIN
        {
            return Err(StoreError::Setting(format!(
                "{} is version {}; the oldest that works is {}",
                self.place,
                version / 10_000,
                SERVER_VERSION_MIN / 10_000
            )));
        }
        let row = sqlx::query(PREPARE_SESSION)
            .persistent(false)
            .fetch_one(&mut connection)
            .await
            .map_err(|error| connect_error(error, &self.place))?;
        if row.try_get(0).map_err(store_error)? {
            return Err(StoreError::Unavailable(format!(
                "{} is a standby and read-only; wait for its promotion, or point the storage URI at the primary",
                self.place
            )));
        }
        for (column, name) in [(1, "fsync"), (2, "full_page_writes")] {
            if row.try_get::<&str, _>(column).map_err(store_error)? != "on" {
                return Err(StoreError::NotDurable(format!(
                    "{} runs with {name} = off and may lose what it acknowledged; set {name} = on in postgresql.conf",
                    self.place
                )));
            }
        }
        let encoding: &str = row.try_get(3).map_err(store_error)?;
        if encoding != "UTF8" {
            return Err(StoreError::Setting(format!(
                "{} has encoding {encoding}; create the database with ENCODING 'UTF8' TEMPLATE template0",
                self.place
            )));
        }
        let backend = Backend {
            pid: row.try_get(4).map_err(store_error)?,
            started_micros: row.try_get(5).map_err(store_error)?,
        };
        Ok(Session {
            connection,
            backend,
            instance: None,
        })
    }
}

/// Server processes that may still be busy with a write whose answer nobody waits for any more.
///
/// Such a write is not over because we stopped waiting: the server may commit it later. So before the state is told to anybody, the process
/// is ended and waited for; from then on the outcome stands.
#[derive(Debug, Default)]
pub struct Doubts(Mutex<Vec<Backend>>);

impl Doubts {
    fn add(&self, backend: Backend) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(backend);
    }

    fn all(&self) -> Vec<Backend> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remove(&self, backend: Backend) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|b| *b != backend);
    }

    /// Ends them all and waits until they are gone. An own session may always be ended. One that ended by itself, or with its server, is not
    /// listed any more; a process leaves the list after its transaction is over.
    pub async fn settle(&self, control: &Channel) -> Result<(), StoreError> {
        for backend in self.all() {
            let begin = Instant::now();
            let mut pause = Duration::from_millis(2);
            while is_listed_and_told_to_end(backend, control).await? {
                if begin.elapsed() > SETTLE_TIME_MAX {
                    return Err(StoreError::Unavailable(format!(
                        "an interrupted write (server process {}) does not end",
                        backend.pid
                    )));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            self.remove(backend);
            tracing::info!(pid = backend.pid, "an interrupted write has ended");
        }
        Ok(())
    }
}

async fn is_listed_and_told_to_end(
    backend: Backend,
    control: &Channel,
) -> Result<bool, StoreError> {
    let mut statement =
        Statement::new("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ");
    backend.is(&mut statement);
    Ok(!control.fetch(&statement).await?.is_empty())
}

/// A few connections of one purpose, opened when needed. (Not `sqlx::Pool`: it asks the server before or after each use, and hides why
/// a connection could not be opened.)
#[derive(Debug)]
pub struct Channel {
    connector: Arc<Connector>,
    size: u32,
    permits: Semaphore,
    idle: Mutex<Vec<Session>>,
    doubts: Option<Arc<Doubts>>,
    watch: Option<Watch>,
}

impl Channel {
    /// At most `size` connections. With `doubts`, one that is not handed back is noted there: its last statement wrote. With `watch`, nobody waits for a
    /// connection that is dead.
    pub fn new(
        connector: Arc<Connector>,
        size: u32,
        doubts: Option<Arc<Doubts>>,
        watch: Option<Watch>,
    ) -> Self {
        Self {
            connector,
            size,
            permits: Semaphore::new(size as usize),
            idle: Mutex::new(Vec::new()),
            doubts,
            watch,
        }
    }

    /// Waits for what a server process does. When it is lost, so may be what else was opened before: the next call opens a connection.
    pub async fn heard<T>(
        &self,
        backend: Backend,
        work: impl Future<Output = T>,
    ) -> Result<T, Lost> {
        let Some(watch) = &self.watch else {
            return Ok(work.await);
        };
        let heard = watch.heard(backend, work).await;
        if heard.is_err() {
            self.idle().clear();
        }
        heard
    }

    /// A connection, for one call. Waits while all are in use.
    pub async fn take(&self) -> Result<InUse<'_>, StoreError> {
        let permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| StoreError::Unavailable("the store is closed".into()))?;
        let idle = self.idle().pop();
        let reused = idle.is_some();
        let session = match idle {
            Some(session) => session,
            None => self.connector.open().await?,
        };
        Ok(InUse {
            channel: self,
            _permit: permit,
            session: Some(session),
            reused,
        })
    }

    /// Runs a read, or a write that may be repeated. A connection that has died since its last use is replaced.
    pub async fn fetch(&self, statement: &Statement) -> Result<Vec<PgRow>, StoreError> {
        self.fetch_from(statement, None).await
    }

    /// The same, from one database only: an error when connections lead to another one now.
    pub async fn fetch_from(
        &self,
        statement: &Statement,
        only: Option<&InstanceId>,
    ) -> Result<Vec<PgRow>, StoreError> {
        loop {
            let mut session = self.take().await?;
            let useless = match session.fetch(statement, only).await {
                Ok(Some(rows)) => {
                    session.done();
                    return Ok(rows);
                }
                Ok(None) => StoreError::Unavailable(format!(
                    "{} is another database than the one in which the lease was taken; the writer looks what it holds",
                    self.connector.place()
                )),
                Err(error) if breaks_connection(&error) => store_error(error),
                Err(error) => {
                    session.done();
                    return Err(store_error(error));
                }
            };
            let try_another = session.is_reused();
            session.discard();
            if !try_another {
                return Err(useless);
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in a connection that was opened elsewhere.
    pub fn put(&self, session: Session) {
        self.idle().push(session);
    }

    /// Waits until nothing is in use, then ends all connections; later calls fail.
    pub async fn close(&self) {
        let all = self.permits.acquire_many(self.size).await;
        self.permits.close();
        drop(all);
        let sessions = std::mem::take(&mut *self.idle());
        for session in sessions {
            // Nobody is left to tell about an error.
            let _ = session.connection.close().await;
        }
    }
}

/// A connection while it is used. Dropped without [`InUse::done`] (an error, or nobody waits any more) it is closed: it may be in the
/// middle of an answer.
#[derive(Debug)]
pub struct InUse<'a> {
    channel: &'a Channel,
    _permit: SemaphorePermit<'a>,
    session: Option<Session>,
    reused: bool,
}

impl InUse<'_> {
    /// The connection.
    pub fn connection(&mut self) -> &mut PgConnection {
        match &mut self.session {
            Some(session) => &mut session.connection,
            None => unreachable!("taken only by the methods that consume self"),
        }
    }

    /// The server process behind it.
    pub fn backend(&self) -> Backend {
        match &self.session {
            Some(session) => session.backend,
            None => unreachable!("taken only by the methods that consume self"),
        }
    }

    /// Prepares a statement (see [`Statement::prepare`]).
    pub async fn prepare(&mut self, statement: &Statement) -> Result<(), sqlx::Error> {
        let (channel, backend) = (self.channel, self.backend());
        let work = statement.prepare(self.connection());
        channel.heard(backend, work).await?
    }

    /// Runs a write (see [`Statement::run`]).
    pub async fn run(&mut self, statement: Statement) -> Result<bool, sqlx::Error> {
        let (channel, backend) = (self.channel, self.backend());
        let work = statement.run(self.connection());
        channel.heard(backend, work).await?
    }

    /// Runs a read; `None` when it leads to another database than the one it is to be from. A connection never changes its database, so it
    /// is asked once.
    async fn fetch(
        &mut self,
        statement: &Statement,
        only: Option<&InstanceId>,
    ) -> Result<Option<Vec<PgRow>>, sqlx::Error> {
        let Some(session) = &mut self.session else {
            unreachable!("taken only by the methods that consume self")
        };
        let (channel, backend) = (self.channel, session.backend);
        if only.is_some() && session.instance.is_none() {
            let statement = Statement::new(INSTANCE);
            let work = statement.fetch(&mut session.connection);
            let rows = channel.heard(backend, work).await??;
            session.instance = rows.first().and_then(|row| instance(row).ok());
        }
        if only.is_some() && session.instance.as_ref() != only {
            return Ok(None);
        }
        let work = statement.fetch(&mut session.connection);
        channel.heard(backend, work).await?.map(Some)
    }

    /// True when it was opened for an earlier call, so that it may have died since.
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Hands it back: the answer was read to its end.
    pub fn done(mut self) {
        if let Some(session) = self.session.take() {
            self.channel.put(session);
        }
    }

    /// Closes it: it is broken, but its last statement wrote nothing.
    pub fn discard(mut self) {
        self.session = None;
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        if let (Some(session), Some(doubts)) = (&self.session, &self.channel.doubts) {
            doubts.add(session.backend);
        }
    }
}
