//! A TCP proxy that breaks what passes through it: between two locations, on one machine, without any privilege.
//!
//! Each direction has a [`Treatment`] of its own, changed while connections stand. What a fault did is counted in [`Counts`]: a test asks
//! there whether a fault happened at all.

mod connection;
mod counts;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use counts::{Counted, Counts};

/// What becomes of the bytes of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Treatment {
    /// What becomes of them at all.
    pub flow: Flow,
    /// How much later they arrive.
    pub delay: Duration,
    /// How much later still, at most; drawn for each piece, order is kept.
    pub jitter: Duration,
    /// How many may pass in a second; 0 = as many as come.
    pub bytes_per_second: u32,
    /// One bit is turned over in one of so many bytes; 0 = in none.
    pub corrupt_one_in: u32,
}

/// What becomes of the bytes of one direction at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    #[default]
    Pass,
    /// They are not taken in: the sender's buffers fill. What was sent arrives when this is over.
    Stall,
    /// They are taken in and never arrive. A connection that lost some is cut when this is over, for a stream cannot go on behind a hole.
    Drop,
}

/// What happens to connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Bytes towards the side that was dialled.
    pub up: Treatment,
    /// Bytes towards the side that dialled.
    pub down: Treatment,
    /// New connections are cut at once.
    pub refuse: bool,
}

impl Rules {
    /// The same in both directions.
    pub fn both(treatment: Treatment) -> Self {
        Self {
            up: treatment,
            down: treatment,
            refuse: false,
        }
    }
}

/// What happens once to the connections that stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Blow {
    number: u64,
    half: bool,
}

/// What the connections of a proxy share.
struct Shared {
    upstream: Mutex<Option<SocketAddr>>,
    counts: Counts,
    /// Bytes that may still pass before a connection is cut.
    budget: AtomicI64,
}

/// A running proxy. Dropping it cuts everything.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    rules: watch::Sender<Rules>,
    blows: watch::Sender<Blow>,
    task: JoinHandle<()>,
}

/// No cut is pending.
const UNLIMITED: i64 = i64::MAX;

impl Proxy {
    /// Listens on a free port of 127.0.0.1. Without an upstream, connections are cut.
    pub async fn start(upstream: Option<SocketAddr>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("a port for a proxy")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            counts: Counts::default(),
            budget: AtomicI64::new(UNLIMITED),
        });
        let (rules, watched) = watch::channel(Rules::default());
        let (blows, struck) = watch::channel(Blow::default());
        let task = tokio::spawn(accept(listener, Arc::clone(&shared), watched, struck));
        Ok(Self {
            address,
            shared,
            rules,
            blows,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it dials from now on.
    pub fn route(&self, upstream: SocketAddr) {
        *lock(&self.shared.upstream) = Some(upstream);
    }

    /// What it did so far.
    pub fn counted(&self) -> Counted {
        self.shared.counts.read()
    }

    /// How connections are treated now.
    pub fn rules(&self) -> Rules {
        *self.rules.borrow()
    }

    /// Treats connections in another way, those that stand too.
    pub fn set(&self, rules: Rules) {
        self.rules.send_replace(rules);
    }

    /// Cuts all connections that stand, with RST.
    pub fn reset(&self) {
        self.strike(false);
    }

    /// Takes the dialled side away from all connections that stand, and leaves the other side in the belief that all is well.
    pub fn half_open(&self) {
        self.strike(true);
    }

    /// Cuts the connection over which the last of so many further bytes passes.
    pub fn cut_after(&self, bytes: u32) {
        self.shared
            .budget
            .store(i64::from(bytes), Ordering::Relaxed);
    }

    /// Treats everything well again. Connections that lost bytes are cut.
    pub fn mend(&self) {
        self.shared.budget.store(UNLIMITED, Ordering::Relaxed);
        self.set(Rules::default());
    }

    fn strike(&self, half: bool) {
        self.blows.send_modify(|blow| {
            blow.number += 1;
            blow.half = half;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.reset();
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    rules: watch::Receiver<Rules>,
    blows: watch::Receiver<Blow>,
) {
    loop {
        // It fails when the process has no descriptors left; that passes.
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let connection = connection::run(client, Arc::clone(&shared), rules.clone(), blows.clone());
        tokio::spawn(connection);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
