//! A copy of a log in use.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tidelog_store::StoreError;

use crate::error::store_error;
use crate::open::DATABASE_FILE;
use crate::row::unsigned;
use crate::store::Shared;

impl Shared {
    /// Writes a database folder. SQLite copies one snapshot, row by row, while the writer goes on.
    pub async fn copy_into(&self, directory: &Path) -> Result<String, StoreError> {
        let failed = |e: io::Error| {
            StoreError::Unavailable(format!("backup to {}: {e}", directory.display()))
        };
        fs::create_dir_all(directory).map_err(failed)?;
        if fs::read_dir(directory).map_err(failed)?.next().is_some() {
            return Err(StoreError::Setting(format!(
                "backup directory {} is not empty; name an empty or absent one",
                directory.display()
            )));
        }
        // Under another name until it is whole, so that nobody takes half a copy for a backup.
        let partial = directory.join(format!("{DATABASE_FILE}.partial"));
        let copied = self.copy_file(&partial).await;
        let file = directory.join(DATABASE_FILE);
        let finished = match copied {
            Ok(head) => {
                let paths = (directory.to_owned(), partial.clone(), file.clone());
                // Flushing a large copy takes a while.
                tokio::task::spawn_blocking(move || finish(&paths.0, &paths.1, &paths.2))
                    .await
                    .unwrap_or_else(|e| Err(io::Error::other(e)))
                    .map_err(failed)
                    .map(|bytes| (head, bytes))
            }
            Err(error) => Err(error),
        };
        let (head, bytes) = finished.inspect_err(|_| _ = fs::remove_file(&partial))?;
        Ok(format!(
            "{}: {head} events, {bytes} bytes; to restore, put it as {DATABASE_FILE} into the empty folder of the location",
            file.display(),
        ))
    }

    async fn copy_file(&self, partial: &Path) -> Result<u64, StoreError> {
        let failed = |e| store_error(e, "copying the database");
        let name = partial.to_str().ok_or_else(|| {
            StoreError::Setting(format!("{} is not valid UTF-8", partial.display()))
        })?;
        let mut connection = self.reader().await?;
        sqlx::query("VACUUM INTO ?")
            .bind(name)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
        let mut copy = SqliteConnectOptions::new()
            .filename(partial)
            .read_only(true)
            .disable_statement_logging()
            .connect()
            .await
            .map_err(failed)?;
        let row = sqlx::query("SELECT head FROM head")
            .fetch_one(&mut copy)
            .await
            .map_err(failed)?;
        copy.close().await.map_err(failed)?;
        unsigned(&row, 0, "the copy")
    }
}

/// Makes the copy durable under its name.
fn finish(directory: &Path, partial: &Path, file: &Path) -> io::Result<u64> {
    let copy = File::open(partial)?;
    copy.sync_all()?;
    fs::rename(partial, file)?;
    File::open(directory)?.sync_all()?;
    Ok(copy.metadata()?.len())
}
