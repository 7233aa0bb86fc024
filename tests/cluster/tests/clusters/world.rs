//! Who may be on the stage at the same time: whoever breaks a node or the network, or changes the operator, is there alone.

use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static WORLD: RwLock<()> = RwLock::new(());
/// Which addresses are in use.
static PLACES: Mutex<[bool; 3]> = Mutex::new([false; 3]);

/// Held while a test plays.
#[expect(dead_code, reason = "they are held")]
pub enum World {
    Alone(RwLockWriteGuard<'static, ()>),
    Shared(RwLockReadGuard<'static, ()>),
}

impl World {
    /// With nobody else.
    pub fn alone() -> Self {
        Self::Alone(WORLD.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// With others that ask for the same.
    pub fn shared() -> Self {
        Self::Shared(WORLD.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Addresses of load balancers, one in each cluster, and the names that lead to them (`kit/dns.yaml`).
pub struct Place(usize);

impl Place {
    /// The first one that nobody has. There are as many as threads of `make test-cluster`.
    pub fn free() -> Self {
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        let free = places.iter().position(|taken| !taken).unwrap();
        places[free] = true;
        Self(free)
    }

    /// What the balancer of the kit goes by.
    pub fn label(&self) -> String {
        format!("kit-address={}", 10 + self.0)
    }

    /// The first label of the name of a location there.
    pub fn host(&self) -> String {
        match self.0 {
            0 => "orders".to_owned(),
            n => format!("orders-{}", 10 + n),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        PLACES.lock().unwrap_or_else(PoisonError::into_inner)[self.0] = false;
    }
}
