//! Starting one location.

use std::time::Duration;

use tidelog_config::Config;
use tidelog_server::{LocationOptions, RunningLocation, StartError};
use tidelog_store::StoreError;
use tidelog_store_postgres::create_database;
use tokio::time::{Instant, sleep};

use super::super::board::Board;
use super::super::options::{Key, PostgresServer, StorageChoice};
use crate::failure::Failure;

/// How long a server that does not answer is tried.
const CREATE_MAX: Duration = Duration::from_secs(20);
/// The same for one that refuses the login.
const LOGIN_MAX: Duration = Duration::from_secs(5);
const CREATE_PAUSE: Duration = Duration::from_secs(1);

const POSTGRES_HINT: &str = "check address, user and password of --storage postgres://USER:PASSWORD@HOST:PORT, and that the server runs";

/// Creates the database where there is none, and starts the location.
pub async fn open(
    storage: &StorageChoice,
    key: &Key,
    config: Config,
    board: &Board,
) -> Result<RunningLocation, Failure> {
    let name = format!("{}/{}", key.0, key.1);
    if let StorageChoice::Postgres(server) = storage {
        create(server, key, &name, board).await?;
    }
    let options = LocationOptions { development: true };
    RunningLocation::start_with(config, options)
        .await
        .map_err(|error| {
            let failure = Failure::failed(format!("{name} does not start: {error}"));
            match error {
                StartError::Listen(_) => failure.hint("choose other ports with --base-port N"),
                StartError::Store { .. } if matches!(storage, StorageChoice::Postgres(_)) => {
                    failure.hint(POSTGRES_HINT)
                }
                _ => failure,
            }
        })
}

fn longest(error: &StoreError) -> Duration {
    match error {
        StoreError::LoginRefused(_) => LOGIN_MAX,
        _ => CREATE_MAX,
    }
}

async fn create(
    server: &PostgresServer,
    key: &Key,
    name: &str,
    board: &Board,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        match create_database(server.uri(), &PostgresServer::database(key)).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_retryable() && begun.elapsed() < longest(&error) => {
                if !std::mem::replace(&mut told, true) {
                    board.warning(&format!(
                        "{name}: {error}; trying again for {} s",
                        longest(&error).as_secs()
                    ));
                }
                sleep(CREATE_PAUSE).await;
            }
            Err(error) => {
                return Err(Failure::failed(format!("{name}: {error}")).hint(POSTGRES_HINT));
            }
        }
    }
}
