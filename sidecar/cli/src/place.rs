//! From what people say (`eu`, `orders/eu`, an address, nothing) to the location that is meant.

use std::collections::BTreeSet;
use std::str::FromStr;

use clap::Args;
use tidelog_model::{LocationName, ParseError};

use crate::data_dir::DataDir;
use crate::dev_file::{DevFile, DevFileError};
use crate::failure::Failure;

/// A location as people name it: `L` or `LOG/L`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlaceName {
    /// The log, when it was said.
    pub log: Option<String>,
    /// The location.
    pub location: LocationName,
}

impl FromStr for PlaceName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (log, location) = match text.split_once('/') {
            // The names of logs have the form of those of locations.
            Some((log, location)) => (Some(LocationName::new(log)?.as_str().to_owned()), location),
            None => (None, text),
        };
        Ok(Self {
            log,
            location: LocationName::new(location)?,
        })
    }
}

impl std::fmt::Display for PlaceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.log {
            Some(log) => write!(f, "{log}/{}", self.location),
            None => write!(f, "{}", self.location),
        }
    }
}

/// Which location a command is about.
#[derive(Debug, Args)]
pub struct At {
    /// The location, as L or LOG/L; may be left out with --address.
    #[arg(long, value_name = "L")]
    pub location: Option<PlaceName>,
}

/// A location of a development network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The log.
    pub log: String,
    /// The location.
    pub location: LocationName,
    /// Address of the application API.
    pub api: String,
    /// Address of the admin API.
    pub admin: String,
    /// Whether a process runs it now.
    pub running: bool,
    /// The process that said last that it runs it.
    pub pid: Option<u32>,
}

/// A development network as its directory shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    directory: String,
    places: Vec<Place>,
}

impl From<DevFileError> for Failure {
    fn from(error: DevFileError) -> Self {
        Self::failed(&error).hint(error.way_out())
    }
}

impl Network {
    /// Reads the network of a data directory.
    pub fn load(data_dir: &DataDir) -> Result<Self, Failure> {
        let directory = data_dir.path().display().to_string();
        let Some(file) = DevFile::load(data_dir)? else {
            return Err(Failure::failed(format!("there is no development network in {directory}")).hint(
                "start one with `tidelog dev -f PATH`, name its directory with --data-dir, or a location with --address HOST:PORT",
            ));
        };
        let places = file
            .iter()
            .map(|(log, location, entry)| Place {
                log: log.to_owned(),
                location: location.clone(),
                api: entry.api.clone(),
                admin: entry.admin.clone(),
                running: data_dir.is_held(log, location),
                pid: entry.pid,
            })
            .collect();
        Ok(Self { directory, places })
    }

    /// The one location that is meant, running.
    pub fn find(&self, log: Option<&str>, name: &PlaceName) -> Result<&Place, Failure> {
        let log = one_log(log, name)?;
        self.check_log(log)?;
        let named: Vec<&Place> = self
            .places
            .iter()
            .filter(|place| {
                place.location == name.location && log.is_none_or(|log| place.log == log)
            })
            .collect();
        let running: Vec<&Place> = named
            .iter()
            .copied()
            .filter(|place| place.running)
            .collect();
        match (running.as_slice(), named.as_slice()) {
            ([place], _) => Ok(place),
            ([], [place]) => Err(self.stopped(place)),
            ([], []) => Err(Failure::failed(format!(
                "there is no location {name} in {}",
                self.directory
            ))
            .hint(self.listing(log))),
            ([], [first, ..]) => Err(self.stopped(first)),
            (several, _) => Err(Failure::usage(format!(
                "{} is a location of {}",
                name.location,
                several
                    .iter()
                    .map(|place| place.log.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            ))
            .hint("choose one with --log NAME")),
        }
    }

    /// The running locations of one log, or of all.
    pub fn running(&self, log: Option<&str>) -> Result<Vec<&Place>, Failure> {
        self.check_log(log)?;
        let running: Vec<&Place> = self
            .places
            .iter()
            .filter(|place| place.running && log.is_none_or(|log| place.log == log))
            .collect();
        if running.is_empty() {
            return Err(
                Failure::failed(format!("nothing runs in {}", self.directory)).hint(format!(
                    "start it again with `tidelog dev -f PATH`\n{}",
                    self.listing(log)
                )),
            );
        }
        Ok(running)
    }

    /// The one log that is meant: the one named, else the only one with running locations.
    pub fn one_log(&self, log: Option<&str>) -> Result<String, Failure> {
        let logs: BTreeSet<&str> = self
            .running(log)?
            .into_iter()
            .map(|place| place.log.as_str())
            .collect();
        match logs.into_iter().collect::<Vec<_>>().as_slice() {
            [one] => Ok((*one).to_owned()),
            several => Err(Failure::usage(format!(
                "several logs run here: {}",
                several.join(", ")
            ))
            .hint("choose one with --log NAME")),
        }
    }

    fn check_log(&self, log: Option<&str>) -> Result<(), Failure> {
        match log {
            Some(log) if !self.places.iter().any(|place| place.log == log) => Err(Failure::failed(
                format!("there is no log {log} in {}", self.directory),
            )
            .hint(self.listing(None))),
            _ => Ok(()),
        }
    }

    fn stopped(&self, place: &Place) -> Failure {
        let Place { log, location, .. } = place;
        let why = match place.pid {
            Some(pid) => format!("process {pid}, which ran it, is gone"),
            None => "it was stopped".to_owned(),
        };
        Failure::failed(format!("{log}/{location} does not run: {why}")).hint(format!(
            "start it again with `tidelog dev -f PATH`\n{}",
            self.listing(Some(log))
        ))
    }

    /// Which locations there are.
    fn listing(&self, log: Option<&str>) -> String {
        let names = |running: bool| -> String {
            self.places
                .iter()
                .filter(|place| place.running == running && log.is_none_or(|log| place.log == log))
                .map(|place| format!("{}/{}", place.log, place.location))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut lines = Vec::new();
        for (title, names) in [("running", names(true)), ("stopped", names(false))] {
            if !names.is_empty() {
                lines.push(format!("{title}: {names}"));
            }
        }
        lines.join("\n")
    }
}

/// The log of `--log` and of `LOG/L`, which must not contradict each other.
pub fn one_log<'a>(log: Option<&'a str>, name: &'a PlaceName) -> Result<Option<&'a str>, Failure> {
    match (log, name.log.as_deref()) {
        (Some(option), Some(named)) if option != named => Err(Failure::usage(format!(
            "--log says {option}, {name} says {named}"
        ))
        .hint("leave out one of them")),
        (option, named) => Ok(named.or(option)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn network(places: &[(&str, &str, bool)]) -> Network {
        let places = places
            .iter()
            .map(|(log, location, running)| Place {
                log: (*log).to_owned(),
                location: LocationName::new(location).unwrap(),
                api: format!("{log}-{location}"),
                admin: String::new(),
                running: *running,
                pid: Some(7),
            })
            .collect();
        Network {
            directory: ".tidelog".to_owned(),
            places,
        }
    }

    fn name(text: &str) -> PlaceName {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_has_an_optional_log() {
        assert_eq!(name("eu").to_string(), "eu");
        assert_eq!(name("orders/eu").log.as_deref(), Some("orders"));
        for wrong in ["", "/eu", "orders/", "a/b/c", "Eu"] {
            assert!(wrong.parse::<PlaceName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_log_may_be_left_out_when_there_is_one() {
        let one = network(&[("orders", "eu", true), ("orders", "us", true)]);
        assert_eq!(one.find(None, &name("us")).unwrap().api, "orders-us");
        assert_eq!(one.one_log(None), Ok("orders".to_owned()));
        let two = network(&[("m", "a", true), ("m", "c", true), ("n", "a", true)]);
        assert_eq!(
            two.find(None, &name("c")).unwrap().api,
            "m-c",
            "only one log has it"
        );
        let failure = two.find(None, &name("a")).unwrap_err();
        assert_eq!(
            (failure.exit, failure.message.as_str()),
            (Exit::Usage, "a is a location of m, n")
        );
        assert_eq!(two.find(Some("n"), &name("a")).unwrap().api, "n-a");
        assert_eq!(two.find(None, &name("n/a")).unwrap().api, "n-a");
        let failure = two.find(Some("m"), &name("n/a")).unwrap_err();
        assert_eq!(failure.message, "--log says m, n/a says n");
        assert_eq!(
            two.one_log(None).unwrap_err().message,
            "several logs run here: m, n"
        );
    }

    #[test]
    fn what_does_not_run_is_named_with_what_does() {
        let network = network(&[("orders", "eu", true), ("orders", "us", false)]);
        let failure = network.find(None, &name("us")).unwrap_err();
        assert_eq!(
            failure.message,
            "orders/us does not run: process 7, which ran it, is gone"
        );
        assert!(
            failure
                .hint
                .ends_with("running: orders/eu\nstopped: orders/us"),
            "{}",
            failure.hint
        );
        let failure = network.find(None, &name("mars")).unwrap_err();
        assert_eq!(failure.message, "there is no location mars in .tidelog");
        let failure = network.running(Some("payments")).unwrap_err();
        assert_eq!(failure.message, "there is no log payments in .tidelog");
    }

    #[test]
    fn a_network_that_is_stopped_says_so() {
        let network = network(&[("orders", "eu", false)]);
        let failure = network.running(None).unwrap_err();
        assert_eq!(failure.message, "nothing runs in .tidelog");
        assert!(
            failure.hint.contains("stopped: orders/eu"),
            "{}",
            failure.hint
        );
    }
}
