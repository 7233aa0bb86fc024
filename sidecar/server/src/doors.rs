//! The ports of a location: bound, and who comes in at each of them.

use std::net::SocketAddr;
use std::path::PathBuf;

use tidelog_config::{Config, Endpoint};
use tidelog_model::Role;
use tidelog_tls::Tls;
use tokio::net::TcpListener;

use crate::entrance::{Entrance, Lead, Listener, Times};
use crate::listen::{self, ListenError};
use crate::secured::{Guests, secured};
use crate::serve::Door;
use crate::surroundings::Network;

/// Where a running location listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// `LogService` in clear.
    pub api: SocketAddr,
    /// The same on a Unix socket, unless its path is too long or none was asked for.
    pub socket: Option<PathBuf>,
    /// `/metrics`, `/livez`, `/readyz`.
    pub metrics: SocketAddr,
    /// gRPC health.
    pub health: SocketAddr,
    /// `ReplicationService`.
    pub replication: SocketAddr,
    /// `AdminService`.
    pub admin: SocketAddr,
    /// `LogService` for other processes of this location.
    pub clients: Option<SocketAddr>,
}

/// Where the connections of a location come from.
pub(crate) struct Doors {
    pub(crate) api: Door,
    pub(crate) replication: Door,
    pub(crate) admin: Door,
    pub(crate) clients: Option<Door>,
    pub(crate) socket: Option<(Door, PathBuf)>,
    /// Metrics and health: where there are sockets.
    pub(crate) probes: Option<(TcpListener, TcpListener)>,
}

/// Sockets of a location, bound.
pub(crate) struct Sockets {
    api: TcpListener,
    socket: Option<(tokio::net::UnixListener, PathBuf)>,
    metrics: TcpListener,
    health: TcpListener,
    replication: TcpListener,
    admin: TcpListener,
    clients: Option<TcpListener>,
}

impl Doors {
    /// On another network than that of this machine.
    pub(crate) fn given(network: Network) -> Self {
        Self {
            api: Door::Given(network.api),
            replication: Door::Given(network.replication),
            admin: Door::Given(network.admin),
            clients: None,
            socket: None,
            probes: None,
        }
    }

    /// Other locations, and this location's own people, come in with a certificate where there are any. With `times`, what comes in while another process
    /// writes is led there.
    pub(crate) fn new(
        sockets: Sockets,
        tls: Option<&Tls>,
        config: &Config,
        times: Option<&Times>,
    ) -> Self {
        let entrance = |what, listener, lead: Lead| match times {
            Some(times) => Entrance::led(what, listener, times.clone(), lead),
            None => Entrance::here(what, listener),
        };
        let door = |what, entrance, guests| match tls {
            Some(tls) => Door::Given(secured(what, entrance, tls.clone(), guests)),
            None => Door::Given(entrance.incoming()),
        };
        let advertised = config.listen.advertised.as_ref();
        let own = tls.map(|tls| (tls.clone(), config.location.clone()));
        let to_clients = Lead::Clients(advertised.map_or(0, Endpoint::port), own);
        let replication = Lead::Same(config.listen.replication.port());
        let replication = entrance(
            "replication",
            Listener::Tcp(sockets.replication),
            replication,
        );
        let admin = Entrance::here("admin", Listener::Tcp(sockets.admin));
        let clients = sockets.clients.map(|listener| {
            let same = Lead::Same(advertised.map_or(0, Endpoint::port));
            let entrance = entrance("clients", Listener::Tcp(listener), same);
            let guests = Guests::Own(&[Role::Client, Role::Location]);
            door("clients", entrance, guests)
        });
        // The shortest way where nobody is led elsewhere.
        let api = match times {
            None => Door::Tcp(sockets.api),
            Some(_) => {
                let entrance = entrance("api", Listener::Tcp(sockets.api), to_clients.clone());
                Door::Gathered(entrance.incoming())
            }
        };
        let socket = sockets.socket.map(|(listener, path)| {
            let entrance = entrance("socket", Listener::Unix(listener), to_clients);
            (Door::Gathered(entrance.incoming()), path)
        });
        Self {
            api,
            replication: door("replication", replication, Guests::Peers),
            admin: door("admin", admin, Guests::Own(&[Role::Admin])),
            clients,
            socket,
            probes: Some((sockets.metrics, sockets.health)),
        }
    }
}

impl Sockets {
    pub(crate) async fn bind(config: &Config) -> Result<Self, ListenError> {
        let name = config.location.as_str();
        let l = &config.listen;
        listen::check_plain_text("api", name, l.api, config.insecure)?;
        let allowed = config.insecure || config.tls.is_some();
        listen::check_plain_text("replication", name, l.replication, allowed)?;
        listen::check_plain_text("admin", name, l.admin, allowed)?;
        if let Some(clients) = l.clients {
            listen::check_plain_text("clients", name, clients, allowed)?;
        }
        let socket = match &l.socket {
            Some(path) => listen::unix(path)
                .await?
                .map(|listener| (listener, path.clone())),
            None => None,
        };
        Ok(Self {
            api: listen::tcp("api", name, l.api).await?,
            socket,
            metrics: listen::tcp("metrics", name, l.metrics).await?,
            health: listen::tcp("health", name, l.health).await?,
            replication: listen::tcp("replication", name, l.replication).await?,
            admin: listen::tcp("admin", name, l.admin).await?,
            clients: match l.clients {
                Some(clients) => Some(listen::tcp("clients", name, clients).await?),
                None => None,
            },
        })
    }

    pub(crate) fn addresses(&self, config: &Config) -> Addresses {
        let bound = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let l = &config.listen;
        Addresses {
            api: bound(&self.api, l.api),
            socket: self.socket.as_ref().map(|(_, path)| path.clone()),
            metrics: bound(&self.metrics, l.metrics),
            health: bound(&self.health, l.health),
            replication: bound(&self.replication, l.replication),
            admin: bound(&self.admin, l.admin),
            clients: self
                .clients
                .as_ref()
                .zip(l.clients)
                .map(|(c, asked)| bound(c, asked)),
        }
    }
}

/// The addresses of the configuration, where no socket was bound.
pub(crate) fn configured(config: &Config) -> Addresses {
    let l = &config.listen;
    Addresses {
        api: l.api,
        socket: None,
        metrics: l.metrics,
        health: l.health,
        replication: l.replication,
        admin: l.admin,
        clients: None,
    }
}
