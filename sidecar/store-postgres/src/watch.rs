//! A connection may be dead without anybody telling: a node or a middlebox on the way forgets one flow, and what was sent into it is waited for until the
//! kernel gives up, a quarter of an hour later. Meanwhile the connection of the lease may be well, so nobody takes over either. So whoever waits long
//! for an answer has the server asked, over another connection, whether it works on it at all.

use std::sync::Arc;
use std::time::Duration;

use tidelog_store::StoreError;

use crate::session::{Backend, Channel};
use crate::statement::Statement;

/// How often the server is asked while an answer is waited for. A look that takes longer has found out nothing.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// For how many looks in a row the server may wait for us: half a minute, for what is sent or answered may be large and the network slow.
const WAITING_LOOKS_MAX: u32 = 6;
/// For how many it may not be there: what it answered last may not have been read yet.
const GONE_LOOKS_MAX: u32 = 1;

/// Over which connection the server is asked, and how often.
#[derive(Debug)]
pub struct Watch {
    control: Arc<Channel>,
    every: Duration,
}

/// The server does not work on what was sent to it.
#[derive(Debug)]
pub struct Lost;

impl From<Lost> for sqlx::Error {
    fn from(Lost: Lost) -> Self {
        Self::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "the server does not work on what was sent, so it never arrived or its answer was lost",
        ))
    }
}

/// What a server process does.
#[derive(Debug, PartialEq, Eq)]
enum Doing {
    /// Nobody knows, or it works.
    Something,
    /// It waits for us, since then (microseconds).
    Nothing(i64),
    /// It is not there any more.
    Gone,
}

impl Watch {
    /// Asks over `control`.
    pub fn new(control: Arc<Channel>, every: Duration) -> Self {
        Self { control, every }
    }

    /// Waits for work that a server process does, as long as it does it. It is lost when the process is gone, or goes on waiting for us
    /// since the same moment; what cannot be found out is taken for work.
    pub async fn heard<T>(
        &self,
        backend: Backend,
        work: impl Future<Output = T>,
    ) -> Result<T, Lost> {
        let mut work = std::pin::pin!(work);
        let mut before = Doing::Something;
        let mut looks = 0;
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(self.every) => {}
            }
            let now = tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                now = self.look(backend) => now,
            };
            looks = if now == before { looks + 1 } else { 0 };
            let looks_max = match now {
                Doing::Something => u32::MAX,
                Doing::Nothing(_) => WAITING_LOOKS_MAX,
                Doing::Gone => GONE_LOOKS_MAX,
            };
            if looks >= looks_max {
                tracing::warn!(?backend, ?now, "a connection to PostgreSQL is dead");
                return Err(Lost);
            }
            before = now;
        }
    }

    async fn look(&self, backend: Backend) -> Doing {
        match tokio::time::timeout(self.every, self.ask(backend)).await {
            Ok(Ok(doing)) => doing,
            Ok(Err(_)) | Err(_) => Doing::Something,
        }
    }

    async fn ask(&self, backend: Backend) -> Result<Doing, StoreError> {
        let mut statement = Statement::new(
            "SELECT CASE WHEN state LIKE 'idle%' THEN (extract(epoch FROM state_change) * 1000000)::int8 END
             FROM pg_stat_activity WHERE ",
        );
        backend.is(&mut statement);
        // A channel may be watched, and this is how.
        let rows = Box::pin(self.control.fetch(&statement)).await?;
        let Some(row) = rows.first() else {
            return Ok(Doing::Gone);
        };
        // Of a process of another role, which had the password before, everything but its number is hidden.
        let since: Option<i64> = sqlx::Row::try_get(row, 0).map_err(crate::error::store_error)?;
        Ok(since.map_or(Doing::Something, Doing::Nothing))
    }
}

#[cfg(test)]
mod tests {
    use tidelog_harness::postgres::Postgres;
    use tidelog_harness::proxy::{Flow, Proxy, Rules, Treatment};
    use tidelog_model::LocationName;

    use super::*;
    use crate::PostgresOptions;
    use crate::session::Connector;

    /// A statement that takes much longer than the looks that would be enough for a dead connection.
    const LONG: &str = "SELECT 1 FROM pg_sleep(2)";
    const EVERY: Duration = Duration::from_millis(50);

    fn connector(uri: &str) -> Arc<Connector> {
        let location = LocationName::new("eu").unwrap();
        Arc::new(Connector::new(PostgresOptions::new(uri, "orders", location)).unwrap())
    }

    /// A channel that goes through a proxy, watched over a connection that does not.
    async fn watched() -> (Channel, Proxy) {
        let server = Postgres::shared().await.unwrap();
        let uri = server.uri("postgres");
        let upstream = ([127, 0, 0, 1], server.port()).into();
        let proxy = Proxy::start(Some(upstream)).await.unwrap();
        let port = |port: u16| format!(":{port}/");
        let through = uri.replace(&port(server.port()), &port(proxy.address().port()));
        assert_ne!(through, uri);
        let control = Arc::new(Channel::new(connector(&uri), 1, None, None));
        let watch = Watch::new(control, EVERY);
        (
            Channel::new(connector(&through), 1, None, Some(watch)),
            proxy,
        )
    }

    #[tokio::test]
    async fn a_statement_that_works_for_long_is_waited_for() {
        let (channel, _proxy) = watched().await;
        let rows = channel.fetch(&Statement::new(LONG)).await.unwrap();
        assert_eq!(rows.len(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_was_lost_is_not_waited_for() {
        for lost_on_the_way_there in [true, false] {
            let (channel, proxy) = watched().await;
            channel.fetch(&Statement::new("SELECT 1")).await.unwrap();
            let drop = Treatment {
                flow: Flow::Drop,
                ..Treatment::default()
            };
            let mut rules = Rules::default();
            if lost_on_the_way_there {
                rules.up = drop;
            } else {
                rules.down = drop;
            }
            proxy.set(rules);
            let mut session = channel.take().await.unwrap();
            let statement = Statement::new("SELECT 1");
            let outcome = tokio::time::timeout(Duration::from_secs(20), session.run(statement));
            let error = outcome.await.unwrap().unwrap_err().to_string();
            assert!(error.contains("does not work on"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_process_that_is_gone_is_not_waited_for() {
        let (channel, proxy) = watched().await;
        channel.fetch(&Statement::new("SELECT 1")).await.unwrap();
        proxy.half_open();
        // Opened anew.
        channel.fetch(&Statement::new("SELECT 1")).await.unwrap();
    }
}
