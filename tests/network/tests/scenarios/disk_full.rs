//! No room: appends are refused with `STORAGE_FULL`, reads go on, and appends resume when there is room.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::manifests::{Link, Manifests};
use tidelog_harness::network::{Network, Storage};
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

/// A file system of a few megabytes, in a mount namespace of the location's own process: what it is told is what a full disk tells.
#[tokio::test]
async fn a_full_disk_refuses_appends_and_takes_them_again() -> Result<()> {
    let mut network = Network::prepare(Storage::Sqlite, pair())?;
    let outcome = async {
        let place = network
            .data()
            .join("logs")
            .join(&network.manifests.log)
            .join("eu");
        std::fs::create_dir_all(&place)?;
        let inner = network.dev_command(&["eu"])?;
        let mut command = Command::new("unshare");
        command.args(unshare()?);
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
        network.spawn_command("eu", command)?;
        network.ready("eu").await?;
        network.spawn_command("us", network.dev_command(&["us"])?)?;
        network.ready("us").await?;
        let mut eu = network.session("w-eu", "eu")?;
        append_each(&mut eu, 3, "k").await?;
        // Its own view of the file system: only there is the directory small.
        let pid = network.process("eu")?.id();
        let inside = std::path::PathBuf::from(format!("/proc/{pid}/root{}", place.display()));
        let filler = inside.join("filler");
        fill(&filler)?;
        refused_while_full(&mut network, &mut eu).await?;
        std::fs::remove_file(&filler)?;
        resumed(&mut network, &mut eu).await
    }
    .await;
    network.finish(outcome)
}

/// How this user may have a mount of its own.
fn unshare() -> Result<Vec<&'static str>> {
    for options in [
        vec!["--mount"],
        vec!["--user", "--map-root-user", "--mount"],
    ] {
        let mut probe = Command::new("unshare");
        probe
            .args(&options)
            .args(["sh", "-c", "mount -t tmpfs -o size=1m tidelog-test /mnt"]);
        if probe.output().is_ok_and(|output| output.status.success()) {
            return Ok(options);
        }
    }
    anyhow::bail!(
        "this test needs a small file system of its own: run it as root, or where unprivileged user namespaces are allowed \
         (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)"
    )
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
    let begun = std::time::Instant::now();
    eu.append_surely(vec![Draft::of("k")], SOON).await?;
    ensure!(
        begun.elapsed() < Duration::from_secs(10),
        "it took {:?} to notice that there is room",
        begun.elapsed()
    );
    append_each(eu, 3, "k").await?;
    network.judge().await?;
    Ok(())
}
