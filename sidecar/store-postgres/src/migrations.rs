//! The files of `migrations/`, compiled in. Without the macro of sqlx for it, which would have the drivers of all databases built a second time, for
//! the compiler's own use.

use std::sync::LazyLock;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Version, name and text. Append-only: a migration that was released is never changed.
const FILES: [(i64, &str, &str); 2] = [
    (1, "log", include_str!("../migrations/0001_log.sql")),
    (2, "sums", include_str!("../migrations/0002_sums.sql")),
];

/// All of them, in order.
pub static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let files = FILES.map(|(version, name, text)| {
        let kind = MigrationType::Simple;
        Migration::new(version, name.into(), kind, text.into_sql_str(), false)
    });
    Migrator::with_migrations(files.to_vec())
});

/// The newest version that this build knows.
pub fn known() -> i64 {
    FILES.iter().map(|file| file.0).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_compiled_in() {
        let mut listed: Vec<_> = FILES
            .iter()
            .map(|(version, name, _)| format!("{version:04}_{name}.sql"))
            .collect();
        listed.sort();
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
        let mut found: Vec<_> = folder
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(listed, found);
    }
}
