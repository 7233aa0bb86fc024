//! The ten ports of a location, kept from its first start on.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tidelog_model::LocationName;

use super::{DevFile, DevLocation};

/// Where the ports of the first location begin.
pub const DEFAULT_BASE_PORT: u16 = 7440;
/// Ports of one location.
const BLOCK: u16 = 10;
/// The highest first port of a location.
pub(super) const FIRST_MAX: u16 = u16::MAX - (BLOCK - 1);
/// The highest number of a location, of all ports there are.
pub(super) const INDEX_MAX: u32 = (FIRST_MAX / BLOCK) as u32;

/// What listens on a port of a location; the last digit of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The application API.
    Api = 0,
    /// Metrics over HTTP.
    Metrics = 1,
    /// Health over gRPC.
    Health = 2,
    /// Where other locations dial.
    Replication = 3,
    /// The admin API.
    Admin = 4,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Api,
        Self::Metrics,
        Self::Health,
        Self::Replication,
        Self::Admin,
    ];

    /// What it is, for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Api => "application API",
            Self::Metrics => "metrics",
            Self::Health => "health",
            Self::Replication => "replication",
            Self::Admin => "admin API",
        }
    }
}

/// The ports of one location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its number in the network.
    pub index: u32,
    /// The first port.
    pub first: u16,
}

impl Block {
    /// The address of a service on this machine.
    pub fn address(self, service: Service) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.first + service as u16))
    }

    /// The entry of a location with these ports.
    pub fn entry(self, pid: u32, socket: Option<String>) -> DevLocation {
        let address = |service| self.address(service).to_string();
        DevLocation {
            index: self.index,
            ports: self.first,
            pid: Some(pid),
            api: address(Service::Api),
            admin: address(Service::Admin),
            replication: address(Service::Replication),
            metrics: address(Service::Metrics),
            health: address(Service::Health),
            socket,
        }
    }

    /// Whether all these services could listen now.
    pub fn check_free(
        self,
        services: &[Service],
        log: &str,
        location: &LocationName,
    ) -> Result<(), PortError> {
        for service in services {
            let address = self.address(*service);
            TcpListener::bind(address).map_err(|source| PortError::Busy {
                port: address.port(),
                title: service.title(),
                log: log.to_owned(),
                location: location.clone(),
                source,
            })?;
        }
        Ok(())
    }
}

/// Why a location has no ports.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Something else listens there.
    #[error("port {port} ({title} of {log}/{location}) cannot be used: {source}")]
    Busy {
        /// The port.
        port: u16,
        /// What it is for.
        title: &'static str,
        /// The log.
        log: String,
        /// The location.
        location: LocationName,
        /// Why.
        source: std::io::Error,
    },
    /// There are not that many ports.
    #[error(
        "location number {number} has no ports: from {base} on, ten each, they end above 65535"
    )]
    Exhausted {
        /// Which location it is, counted from 1.
        number: u32,
        /// Where ports begin.
        base: u16,
    },
}

impl PortError {
    /// What to do about it.
    pub fn way_out(&self) -> String {
        match self {
            Self::Busy { .. } => {
                "stop what listens there, or choose other ports with --base-port N (ten for each location, from N on)".to_owned()
            }
            Self::Exhausted { .. } => format!("choose a lower --base-port, for instance {DEFAULT_BASE_PORT}"),
        }
    }
}

/// Reads `--base-port`.
pub fn base_port(text: &str) -> Result<u16, String> {
    text.parse::<u16>()
        .ok()
        .filter(|port| port % BLOCK == 0 && *port >= 1024)
        .ok_or_else(|| "expected a multiple of ten from 1030 to 65520".to_owned())
}

impl DevFile {
    /// The ports of a location: those it had, unless `base` says otherwise; a new location gets the next ones.
    ///
    /// The number of a location never changes, and nobody else gets the ports of one that is stopped or was taken out of the
    /// manifests.
    pub fn block(
        &self,
        log: &str,
        location: &LocationName,
        base: Option<u16>,
    ) -> Result<Block, PortError> {
        let (index, kept) = match self.get(log, location) {
            Some(entry) => (entry.index, Some(entry.ports)),
            None => {
                let next = self
                    .iter()
                    .map(|(_, _, entry)| entry.index + 1)
                    .max()
                    .unwrap_or(0);
                (next, None)
            }
        };
        let first = match (base, kept) {
            (None, Some(first)) => first,
            (None, None) => numbered(self.base(), index)?,
            (Some(base), _) => numbered(base, index)?,
        };
        let taken = |first: u16| {
            self.iter().any(|(other_log, other, entry)| {
                entry.ports == first && (other_log, other) != (log, location)
            })
        };
        // Networks that were started with different base ports can meet.
        let mut block = Block { index, first };
        while taken(block.first) {
            block.first = next_block(block.first).ok_or(PortError::Exhausted {
                number: index + 1,
                base: first,
            })?;
        }
        Ok(block)
    }

    /// Where the ports of this network begin.
    fn base(&self) -> u16 {
        self.iter()
            .min_by_key(|(_, _, entry)| entry.index)
            .and_then(|(_, _, entry)| {
                let before = u16::try_from(entry.index).ok()?.checked_mul(BLOCK)?;
                entry.ports.checked_sub(before)
            })
            .unwrap_or(DEFAULT_BASE_PORT)
    }
}

fn numbered(base: u16, index: u32) -> Result<u16, PortError> {
    u16::try_from(index)
        .ok()
        .and_then(|index| index.checked_mul(BLOCK))
        .and_then(|offset| base.checked_add(offset))
        .filter(|first| first.checked_add(BLOCK - 1).is_some())
        .ok_or(PortError::Exhausted {
            number: index + 1,
            base,
        })
}

fn next_block(first: u16) -> Option<u16> {
    let next = first.checked_add(BLOCK)?;
    next.checked_add(BLOCK - 1).map(|_| next)
}
