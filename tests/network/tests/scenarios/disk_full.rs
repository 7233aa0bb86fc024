//! No room: appends are refused with `STORAGE_FULL`, reads go on, and appends resume when there is room.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::{Network, Storage};
use tidelog_harness::process::run;
use tidelog_harness::record::Answer;
use tidelog_harness::session::{Draft, Session};

use super::{SOON, append_each, with};

fn pair() -> Manifests {
    Manifests::new("orders", &["eu", "us"]).link(Link::both("l", "eu", "us"))
}

/// The statement is refused by the server itself, with the error that it gives when its disk is full.
#[tokio::test]
async fn a_full_postgresql_refuses_appends_and_takes_them_again() -> Result<()> {
    let storage = Storage::postgres().await?;
    with(storage, pair(), async |network| {
        let Storage::Postgres(server) = storage else { unreachable!() };
        let database = Storage::database(&network.manifests.log, "eu");
        let mut eu = network.session("w-eu", "eu")?;
        append_each(&mut eu, 3, "k").await?;
        let schema = server.sql(&database, "SELECT schemaname FROM pg_tables WHERE tablename = 'events'")?;
        server.sql(
            &database,
            &format!(
                "CREATE FUNCTION {schema}.full_disk() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$; \
                 CREATE TRIGGER full_disk BEFORE INSERT ON {schema}.events EXECUTE FUNCTION {schema}.full_disk()"
            ),
        )?;
        refused_while_full(network, &mut eu).await?;
        server.sql(&database, &format!("DROP TRIGGER full_disk ON {schema}.events"))?;
        resumed(network, &mut eu).await
    })
    .await
}

/// A file system of a few megabytes, in a mount namespace of the location's own process: what it is told is what a full disk tells. Where
/// this user may not mount anything, the system calls say so instead.
#[tokio::test]
async fn a_full_disk_refuses_appends_and_takes_them_again() -> Result<()> {
    match mount_options() {
        Some(options) => on_a_small_file_system(options).await,
        None => with_system_calls_that_say_so().await,
    }
}

/// The same without any privilege: the system calls of the process answer that there is no room.
#[tokio::test]
async fn system_calls_that_find_no_room_refuse_appends_and_take_them_again() -> Result<()> {
    with_system_calls_that_say_so().await
}

async fn on_a_small_file_system(options: &[&str]) -> Result<()> {
    let mut network = Network::prepare(Storage::Sqlite, pair())?;
    let outcome = async {
        let place = place(&network)?;
        let inner = network.dev_command(&["eu"])?;
        let mut command = Command::new("unshare");
        command.args(options);
        command.args([
            "sh",
            "-c",
            "mount -t tmpfs -o size=6m tidelog-test \"$0\" && exec \"$@\"",
        ]);
        command
            .arg(&place)
            .arg(inner.get_program())
            .args(inner.get_args());
        command
            .current_dir(network.path(""))
            .env_remove("TIDELOG_DATA_DIR");
        start(&mut network, command).await?;
        let mut eu = network.session("w-eu", "eu")?;
        append_each(&mut eu, 3, "k").await?;
        // Its own view of the file system: only there is the directory small.
        let pid = network.process("eu")?.id();
        let filler = PathBuf::from(format!("/proc/{pid}/root{}/filler", place.display()));
        fill(&filler)?;
        refused_while_full(&mut network, &mut eu).await?;
        std::fs::remove_file(&filler)?;
        resumed(&mut network, &mut eu).await
    }
    .await;
    network.finish(outcome)
}

async fn with_system_calls_that_say_so() -> Result<()> {
    let mut network = Network::prepare(Storage::Sqlite, pair())?;
    let outcome = async {
        let full = network.path("full");
        let mut command = network.dev_command(&["eu"])?;
        command.env("LD_PRELOAD", shim(&network).await?);
        command
            .env("TEST_PLACE", place(&network)?)
            .env("TEST_FULL", &full);
        start(&mut network, command).await?;
        let mut eu = network.session("w-eu", "eu")?;
        append_each(&mut eu, 3, "k").await?;
        std::fs::write(&full, "")?;
        refused_while_full(&mut network, &mut eu).await?;
        std::fs::remove_file(&full)?;
        resumed(&mut network, &mut eu).await
    }
    .await;
    network.finish(outcome)
}

/// The directory of the database, which the store makes itself otherwise.
fn place(network: &Network) -> Result<PathBuf> {
    let place = network
        .data()
        .join("logs")
        .join(&network.manifests.log)
        .join("eu");
    std::fs::create_dir_all(&place)?;
    Ok(place)
}

async fn start(network: &mut Network, eu: Command) -> Result<()> {
    network.spawn_command("eu", eu)?;
    network.ready("eu").await?;
    network.spawn_command("us", network.dev_command(&["us"])?)?;
    network.ready("us").await
}

/// How this user may have a mount of its own, if at all.
fn mount_options() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    ways.into_iter().find(|options| {
        let mut probe = Command::new("unshare");
        probe
            .args(*options)
            .args(["sh", "-c", "mount -t tmpfs -o size=1m tidelog-test /mnt"]);
        probe.output().is_ok_and(|output| output.status.success())
    })
}

/// A library that is loaded before the C library: writes below `TEST_PLACE` fail with ENOSPC while the file `TEST_FULL` exists.
async fn shim(network: &Network) -> Result<PathBuf> {
    const SOURCE: &str = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <unistd.h>
        static int full(int fd) {
            const char *place = getenv("TEST_PLACE"), *flag = getenv("TEST_FULL");
            if (!place || !flag || access(flag, F_OK) != 0) return 0;
            char link[64], path[4096];
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            ssize_t length = readlink(link, path, sizeof path - 1);
            if (length < 0) return 0;
            path[length] = 0;
            return strncmp(path, place, strlen(place)) == 0;
        }
        #define GUARD(name, type, parameters, arguments) \
            type name parameters { \
                if (full(fd)) { errno = ENOSPC; return -1; } \
                type (*real) parameters = (type (*) parameters) dlsym(RTLD_NEXT, #name); \
                return real arguments; \
            }
        GUARD(write, ssize_t, (int fd, const void *bytes, size_t count), (fd, bytes, count))
        GUARD(pwrite, ssize_t, (int fd, const void *bytes, size_t count, off_t at), (fd, bytes, count, at))
        GUARD(pwrite64, ssize_t, (int fd, const void *bytes, size_t count, off64_t at), (fd, bytes, count, at))
    "#;
    let source = network.path("full.c");
    let library = network.path("full.so");
    std::fs::write(&source, SOURCE)?;
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl");
    let output = run(compiler, SOON).await?;
    ensure!(
        output.status.success(),
        "cc: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(library)
}

fn fill(file: &std::path::Path) -> Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(file).context("create a file that fills the disk")?;
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
    Ok(())
}

/// Appends until there is no room, also not in files that the database had reserved.
async fn refused_while_full(network: &mut Network, eu: &mut Session) -> Result<()> {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let draft = Draft {
            payload: vec![7; 20_000],
            ..Draft::of("k")
        };
        match eu.append(vec![draft]).await {
            Answer::Ok { .. } => {}
            Answer::Refused { reason, message } => {
                ensure!(reason == "STORAGE_FULL", "{reason}: {message}");
                break;
            }
            Answer::Unknown { message } => {
                anyhow::bail!("nobody knows what became of it: {message}")
            }
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "the disk is never full"
        );
    }
    // It stays up, keeps saying so, and can be read.
    for _ in 0..3 {
        let draft = Draft {
            payload: vec![7; 20_000],
            ..Draft::of("k")
        };
        let answer = eu.append(vec![draft]).await;
        ensure!(
            matches!(&answer, Answer::Refused { reason, .. } if reason == "STORAGE_FULL"),
            "{answer:?}"
        );
    }
    network.process("eu")?.assert_well()?;
    eu.read("k")
        .await
        .context("a read while the disk is full")?;
    Ok(())
}

async fn resumed(network: &mut Network, eu: &mut Session) -> Result<()> {
    eu.append_surely(vec![Draft::of("k")], SOON)
        .await
        .context("there is room again")?;
    append_each(eu, 3, "k").await?;
    network.judge().await?;
    Ok(())
}
