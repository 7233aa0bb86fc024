//! Sockets of a location: bound before anything else starts, so that a busy port is an error of the start and not of a task.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// The longest path of a Unix socket, in bytes; longer ones are left out with a note.
pub const SOCKET_PATH_BYTES_MAX: usize = 100;

/// A socket that cannot be bound.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error("port {} is in use ({what} of {location} at {address}); stop what listens there, or choose another port (listen.{what} in the configuration; of `tidelog dev` --base-port N, or --listen {location}=HOST:PORT)", .address.port())]
    Busy {
        /// Which port of the location.
        what: &'static str,
        /// The location.
        location: String,
        /// The address.
        address: SocketAddr,
    },
    /// Any other reason.
    #[error("cannot listen on {address} ({what} of {location}): {error}")]
    Failed {
        /// Which port of the location.
        what: &'static str,
        /// The location.
        location: String,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// Somebody else listens on the Unix socket, or its path is that of another file.
    #[error("{} is in use; stop what listens there, or choose another path (listen.socket in the configuration)", .path.display())]
    SocketBusy {
        /// The path.
        path: PathBuf,
    },
    /// A Unix socket that cannot be bound.
    #[error("cannot listen on {}: {error}", .path.display())]
    Socket {
        /// The path.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Plain text beyond this machine without being asked for by name.
    #[error(
        "{what} of {location} would listen on {address} in plain text; only loopback may, unless `insecure: true` (--insecure) asks for it"
    )]
    Insecure {
        /// Which port of the location.
        what: &'static str,
        /// The location.
        location: String,
        /// The address.
        address: SocketAddr,
    },
}

/// Binds one TCP port.
pub(crate) async fn tcp(
    what: &'static str,
    location: &str,
    address: SocketAddr,
) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|error| {
        let location = location.to_owned();
        if error.kind() == io::ErrorKind::AddrInUse {
            ListenError::Busy {
                what,
                location,
                address,
            }
        } else {
            ListenError::Failed {
                what,
                location,
                address,
                error,
            }
        }
    })
}

/// Refuses plain text beyond loopback unless it was asked for.
pub(crate) fn check_plain_text(
    what: &'static str,
    location: &str,
    address: SocketAddr,
    insecure: bool,
) -> Result<(), ListenError> {
    if insecure || address.ip().is_loopback() {
        return Ok(());
    }
    Err(ListenError::Insecure {
        what,
        location: location.to_owned(),
        address,
    })
}

/// Binds a Unix socket; a file that a dead process left behind is replaced, the socket of a living one is not. `None`: the path is too long
/// for the system.
pub(crate) async fn unix(path: &Path) -> Result<Option<UnixListener>, ListenError> {
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        tracing::warn!(path = %path.display(), "no Unix socket: its path is longer than {SOCKET_PATH_BYTES_MAX} bytes");
        return Ok(None);
    }
    let failed = |error| ListenError::Socket {
        path: path.to_path_buf(),
        error,
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let nobody_listens = UnixStream::connect(path)
        .await
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if nobody_listens && is_socket {
        std::fs::remove_file(path).map_err(failed)?;
    }
    let bound = UnixListener::bind(path);
    // As open as the loopback port: in a pod the application is another user. Its folder says who comes that far.
    if bound.is_ok() {
        std::fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(failed)?;
    }
    bound.map(Some).map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            ListenError::SocketBusy {
                path: path.to_path_buf(),
            }
        } else {
            failed(error)
        }
    })
}
