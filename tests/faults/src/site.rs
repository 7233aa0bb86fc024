//! The network under test: a dense triangle and two spokes behind filters that only dial out, each location with a process and a database
//! of its own, and a proxy in every connection.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::client::Client;
use tidelog_harness::disk::Disk;
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::{Network, Place, Storage};
use tidelog_harness::postgres::{Disks, Postgres};
use tidelog_harness::process::run;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::kind::Store;
use crate::links::{Links, Pair};

/// The dense ones. `eu` is the hub of the others.
pub const REGIONS: [&str; 3] = ["eu", "us", "ap"];
/// The spokes. What a spoke gets carries its name.
pub const SPOKES: [&str; 2] = ["s1", "s2"];

/// Room on the disks of one server, and on that of a location with SQLite: several times what a run writes.
const DATA_MIB: u32 = 1_536;
const WAL_MIB: u32 = 512;
const FILE_MIB: u32 = 512;
/// So many connections a server has, with those that it keeps for its superuser.
const CONNECTIONS: &str = "25";

/// The servers of a set, one for each location. They stay for all episodes.
#[derive(Clone, Default)]
pub struct Servers(BTreeMap<String, &'static Postgres>);

impl Servers {
    /// Starts one for each location.
    pub async fn start(on_disks: bool) -> Result<Self> {
        let mut starting = JoinSet::new();
        for name in REGIONS.into_iter().chain(SPOKES) {
            starting.spawn(async move {
                let mut settings =
                    vec![("max_connections", CONNECTIONS), ("shared_buffers", "32MB")];
                let mut disks = None;
                if on_disks && Disk::possible().is_ok() {
                    settings.extend([("max_wal_size", "128MB"), ("min_wal_size", "16MB")]);
                    disks = Some(Disks {
                        data: Disk::start(DATA_MIB)?,
                        wal: Disk::start(WAL_MIB)?,
                    });
                }
                let server = Postgres::start_on(disks, &settings).await?;
                anyhow::Ok((name.to_owned(), server))
            });
        }
        let mut servers = BTreeMap::new();
        while let Some(started) = starting.join_next().await {
            let (name, server) = started??;
            // For the rest of the process, as the harness wants them; a watchdog ends them after it.
            servers.insert(name, &*Box::leak(Box::new(server)));
        }
        Ok(Self(servers))
    }

    /// The server of a location.
    pub fn of(&self, location: &str) -> Result<&'static Postgres> {
        self.0
            .get(location)
            .copied()
            .with_context(|| format!("{location} has no server"))
    }

    /// Stops all of them: what is left of them is their directories, until this process ends.
    pub async fn stop(&self) -> Result<()> {
        for server in self.0.values() {
            server.stop().await?;
        }
        Ok(())
    }
}

/// The network under test.
pub struct Site {
    /// Its processes, and what is written down of them.
    pub network: Network,
    /// Its servers, when it has some.
    pub servers: Servers,
    /// The proxies.
    pub links: Arc<Links>,
    /// With which store.
    pub store: Store,
    /// The disks of locations with SQLite, when they have some; those of servers are theirs.
    pub disks: BTreeMap<String, Disk>,
}

/// What a network is started in.
#[derive(Debug, Clone, Default)]
pub struct World<'a> {
    /// Whether locations with SQLite get disks of their own, where that is possible.
    pub disks: bool,
    /// The bug that the sidecars have.
    pub mutant: Option<&'a str>,
}

/// What the manifests say.
fn manifests(log: &str) -> Manifests {
    let own = "has(event.metadata.store) && event.metadata.store == target";
    let spokes = Link::hub_and_spoke("stores", "eu", &SPOKES).filtered(
        &["eu"],
        &[],
        own,
        Arc::new(|fact, _, target| {
            fact.metadata
                .get("store")
                .is_some_and(|store| store == target)
        }),
    );
    Manifests::new(log, &REGIONS)
        .behind_nat(&SPOKES)
        .link(Link::dense("regions", &REGIONS))
        .link(spokes)
}

/// Who dials whom: in the triangle everybody everybody, outside of it the spokes the hub.
fn pairs() -> Vec<Pair> {
    let dense = REGIONS
        .iter()
        .flat_map(|from| REGIONS.iter().map(move |to| (*from, *to)));
    let spokes = SPOKES.iter().map(|spoke| (*spoke, "eu"));
    dense
        .filter(|(from, to)| from != to)
        .chain(spokes)
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .collect()
}

impl Site {
    /// Starts everything, and waits until all serve. Each start has a log of another name: the servers stay.
    pub async fn start(
        store: Store,
        servers: &Servers,
        log: &str,
        world: &World<'_>,
    ) -> Result<Self> {
        let mut network = Network::prepare(Storage::Sqlite, manifests(log))?;
        let links = Arc::new(Links::start(pairs()).await?);
        let shim = shim(&network).await?;
        let mut disks = BTreeMap::new();
        for name in network.names() {
            let storage = match store {
                Store::Postgres => Some(Storage::Postgres(servers.of(&name)?)),
                Store::Sqlite => None,
            };
            let mut folder = network.data().join("logs").join(log).join(&name);
            if store == Store::Sqlite && world.disks && Disk::possible().is_ok() {
                let disk = Disk::start(FILE_MIB)?;
                let place = disk.path().join("data");
                std::fs::create_dir(&place)?;
                std::fs::create_dir_all(network.data().join("logs").join(log))?;
                std::os::unix::fs::symlink(&place, &folder)?;
                folder = place;
                disks.insert(name.clone(), disk);
            }
            let mut environment = vec![
                ("LD_PRELOAD", shim.clone()),
                ("TEST_PLACE", folder),
                ("TEST_FLAGS", network.path(&format!("flags-{name}"))),
            ];
            environment.extend(world.mutant.map(|id| ("TIDELOG_MUTANT", id.into())));
            let place = Place {
                storage,
                peers: links.peers(&name),
                environment: environment
                    .into_iter()
                    .map(|(key, path)| (key.to_owned(), path.display().to_string()))
                    .collect(),
            };
            network.settle_at(&name, place);
        }
        network.start_all().await?;
        for name in network.names() {
            links.route(&name, &network.address(&name, "replication")?)?;
        }
        Ok(Self {
            network,
            servers: servers.clone(),
            links,
            store,
            disks,
        })
    }

    /// The file that makes something of the world of a location so.
    pub fn flag(&self, location: &str, name: &str) -> PathBuf {
        self.network.path(&format!("flags-{location}.{name}"))
    }

    /// The database of a location on its server.
    pub fn database(&self, location: &str) -> String {
        Storage::database(&self.network.manifests.log, location)
    }

    /// Copies what the disks of locations hold to where they are mounted for the network, so that it outlives them.
    pub fn keep_disks(&self) {
        let logs = self.network.data().join("logs");
        for (name, disk) in &self.disks {
            let place = logs.join(&self.network.manifests.log).join(name);
            let copied = std::fs::remove_file(&place).is_ok()
                && Command::new("cp")
                    .arg("-a")
                    .arg(disk.path().join("data"))
                    .arg(&place)
                    .status()
                    .is_ok_and(|status| status.success());
            if !copied {
                crate::report::note(&format!("what {name} has on its disk is lost"));
            }
        }
    }

    /// Clients of all locations.
    pub fn clients(&self) -> Result<BTreeMap<String, Client>> {
        let names = self.network.names().into_iter();
        names
            .map(|name| Ok((name.clone(), self.network.client(&name)?)))
            .collect()
    }

    /// Removes the databases of this network from the servers.
    pub fn clear(&self) -> Result<()> {
        if self.store == Store::Postgres {
            for name in self.network.names() {
                let statement = format!(
                    "DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)",
                    self.database(&name)
                );
                self.servers.of(&name)?.sql("postgres", &statement)?;
            }
        }
        Ok(())
    }
}

/// Builds the library that changes what a sidecar is told of its disk and its clock.
async fn shim(network: &Network) -> Result<PathBuf> {
    let (source, library) = (network.path("shim.c"), network.path("shim.so"));
    std::fs::write(&source, include_str!("shim.c"))?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]);
    compiler.arg(&library).arg(&source).arg("-ldl");
    let output = run(compiler, Duration::from_mins(1)).await?;
    ensure!(
        output.status.success(),
        "cc, the C compiler, could not build the library that fills disks and sets clocks: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(library)
}

/// Resident memory of a process now, in MiB.
pub fn resident_mib(pid: u32) -> Option<f64> {
    of_status(pid, "VmRSS:")
}

/// The most that it ever was.
pub fn most_resident_mib(pid: u32) -> Option<f64> {
    of_status(pid, "VmHWM:")
}

fn of_status(pid: u32, line: &str) -> Option<f64> {
    let text =
        std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let kib = text.lines().find_map(|l| l.strip_prefix(line))?;
    let kib: f64 = kib.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

/// What the kernel says a process does: `R`, `S`, `T` when it is stopped; `None` when there is none.
pub fn state_of(pid: u32) -> Option<char> {
    let text =
        std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name in front may hold spaces and brackets.
    text.rsplit_once(')')?.1.trim_start().chars().next()
}

/// A figure of a sidecar, from its page of metrics.
pub async fn metric(address: &str, name: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = b"GET /metrics HTTP/1.1\r\nHost: sidecar\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    let line = text.lines().find(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    })?;
    line.rsplit_once(' ')?.1.parse().ok()
}
