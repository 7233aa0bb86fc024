//! What an operator is started with.

use std::time::Duration;

use tidelog_api::{EventLog, Location, LocationState};
use tidelog_build::Settings;

/// Which locations of a log a cluster realises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Realises {
    /// The one of this name.
    One(String),
    /// All of them: a trial, tests, the zones of one cluster.
    All,
}

impl Realises {
    /// As it is written: a name, or `*`.
    pub fn parse(text: &str) -> Self {
        match text {
            "*" => Self::All,
            name => Self::One(name.to_owned()),
        }
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::One(name) => name,
            Self::All => "*",
        }
    }

    /// The active locations of a log that are realised here.
    pub fn of<'a>(&self, log: &'a EventLog) -> Vec<&'a Location> {
        let active = log.spec.locations.iter();
        let active = active.filter(|l| l.state == LocationState::Active);
        active
            .filter(|l| match self {
                Self::One(name) => l.name == *name,
                Self::All => true,
            })
            .collect()
    }
}

/// What an operator is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The locations of this cluster.
    pub location: Realises,
    /// Its Lease, as NAMESPACE/NAME: by that others of the same cluster know whether it is still there. Without one it cannot be known.
    pub lease: Option<String>,
    /// Another operator whose Lease has not changed for so long is gone.
    pub gone_after: Duration,
    /// The one namespace that is looked at; all of them where absent.
    pub namespace: Option<String>,
    /// What is the same for all logs.
    pub settings: Settings,
    /// How often a resource is looked at although nothing has happened.
    pub resync: Duration,
    /// Resources of one kind that are looked at at the same time.
    pub concurrency: u16,
    /// How long one call of a watch lasts, in whole seconds. One that has fallen silent is opened anew 5 s later.
    pub watch: Duration,
}
