//! What every command needs: options, output, and the way to a location.

use std::time::Duration;

use tidelog_access::Port;
use tonic::Request;

use crate::args::GlobalArgs;
use crate::client::{self, AdminClient, LogClient};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::output::Output;
use crate::place::{Network, Place, PlaceName};

/// How long one request may take when nobody says otherwise.
const UNARY_TIMEOUT: Duration = Duration::from_secs(10);

/// What every command needs.
#[derive(Debug, Clone)]
pub struct Context {
    /// Options of every command.
    pub global: GlobalArgs,
    /// Where results go.
    pub output: Output,
}

/// A location to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The log; empty when only an address is known, which then serves one.
    pub log: String,
    /// What to call it in messages.
    pub title: String,
    /// `HOST:PORT`.
    pub address: String,
}

impl Context {
    /// The directory of the development network.
    pub fn data_dir(&self) -> DataDir {
        DataDir::new(&self.global.data_dir)
    }

    /// The log that was named.
    pub fn log(&self) -> Option<&str> {
        self.global.log.as_deref()
    }

    /// The development network.
    pub fn network(&self) -> Result<Network, Failure> {
        Network::load(&self.data_dir())
    }

    /// How long one request may take.
    pub fn unary_timeout(&self) -> Duration {
        self.global.timeout.unwrap_or(UNARY_TIMEOUT)
    }

    /// A request with one answer.
    pub fn unary<T>(&self, message: T) -> Request<T> {
        Self::bounded(message, self.unary_timeout())
    }

    /// A request with one answer, within this time.
    pub fn bounded<T>(message: T, patience: Duration) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(patience);
        request
    }

    /// The location that is meant: `--address`, else a running one of the development network.
    fn target(
        &self,
        name: Option<&PlaceName>,
        address: fn(&Place) -> &str,
    ) -> Result<Target, Failure> {
        if let Some(address) = &self.global.address {
            return Ok(Target {
                log: name
                    .and_then(|name| name.log.clone())
                    .or_else(|| self.global.log.clone())
                    .unwrap_or_default(),
                title: name.map_or_else(|| address.clone(), PlaceName::to_string),
                address: address.clone(),
            });
        }
        let network = self.network()?;
        let Some(name) = name else {
            let running: Vec<String> = network
                .running(self.log())?
                .into_iter()
                .map(|place| format!("{}/{}", place.log, place.location))
                .collect();
            return Err(Failure::usage("no location was named").hint(format!(
                "name one with --location, or --address HOST:PORT\nrunning: {}",
                running.join(", ")
            )));
        };
        let place = network.find(self.log(), name)?;
        let address = address(place).to_owned();
        self.output
            .detail(&format!("{}/{} is at {address}", place.log, place.location));
        Ok(Target {
            log: place.log.clone(),
            title: place.location.to_string(),
            address,
        })
    }

    /// The application API of a location.
    pub async fn log_client(
        &self,
        name: Option<&PlaceName>,
    ) -> Result<(LogClient, Target), Failure> {
        if self.is_in_clusters() {
            let found = self.location_in_clusters(name).await?;
            let channel = found.channel(Port::Api, self.unary_timeout()).await?;
            return Ok((client::log_over(channel), found.target()));
        }
        let target = self.target(name, |place| &place.api)?;
        Ok((client::log(&target, self.unary_timeout()).await?, target))
    }

    /// The admin API of a location.
    pub async fn admin_client(
        &self,
        name: Option<&PlaceName>,
    ) -> Result<(AdminClient, Target), Failure> {
        if self.is_in_clusters() {
            let found = self.location_in_clusters(name).await?;
            let channel = found.channel(Port::Admin, self.unary_timeout()).await?;
            return Ok((client::admin_over(channel), found.target()));
        }
        let target = self.target(name, |place| &place.admin)?;
        Ok((client::admin(&target, self.unary_timeout()).await?, target))
    }

    /// The admin API of a place of the network.
    pub async fn admin_client_at(&self, place: &Place) -> Result<AdminClient, Failure> {
        let target = Target {
            log: place.log.clone(),
            title: format!("{}/{}", place.log, place.location),
            address: place.admin.clone(),
        };
        client::admin(&target, self.unary_timeout()).await
    }
}
