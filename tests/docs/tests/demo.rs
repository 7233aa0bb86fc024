//! `make demo`: the tour that plays by itself gets to its end, and does not when a step fails.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Result, ensure};
use tidelog_docs_tests::root;
use tidelog_harness::ports::Ports;
use tidelog_harness::process;

/// The last line of a tour that got there.
const END: &str = "That was the tour. The same network, to play with: make run";

/// Plays the tour with a program; what it said, and whether it has left its network running.
async fn play(program: &Path) -> Result<(Output, bool)> {
    // `examples/shop` has five locations, a block of ports each.
    let ports = Ports::take(5)?;
    let mut command = Command::new(root().join("tests/tools/demo.sh"));
    command
        .env("TIDELOG", program)
        .env("DEMO_BASE_PORT", ports.first.to_string())
        .env_remove("TIDELOG_DATA_DIR");
    let output = process::run(command, Duration::from_mins(3)).await?;
    let left =
        (ports.first..ports.first + 50).any(|port| TcpListener::bind(("127.0.0.1", port)).is_err());
    Ok((output, left))
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn the_demo_plays_every_step_and_ends_with_its_closing_line() -> Result<()> {
    let (output, left) = play(process::tidelog()?).await?;
    ensure!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.trim_end().ends_with(END), "{text}");
    let script = fs::read_to_string(root().join("tests/tools/demo.sh"))?;
    let titles: Vec<&str> = script
        .lines()
        .filter_map(|line| line.strip_prefix("step \"")?.strip_suffix('"'))
        .collect();
    ensure!(titles.len() > 5, "no steps were found in the script");
    for (number, title) in (1..).zip(titles) {
        let step = format!("\n{number}. {title}\n");
        ensure!(text.contains(&step), "step {number} is missing:\n{text}");
    }
    ensure!(!left, "the network runs on");
    Ok(())
}

#[tokio::test]
async fn a_demo_with_a_step_that_fails_fails_there() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let real = process::tidelog()?.display();
    for broken in ["plan", "dev", "append", "edge cut --isolate", "verify"] {
        let program = directory.path().join("tidelog");
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in \"{broken}\"*) echo 'it broke' >&2; exit 1 ;; esac\nexec {real} \"$@\"\n"
        );
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let (output, left) = play(&program).await?;
        let text = said(&output);
        ensure!(
            !output.status.success(),
            "passed without `{broken}`:\n{text}"
        );
        ensure!(text.contains("it broke"), "{text}");
        ensure!(!text.contains(END), "{text}");
        ensure!(!left, "the network runs on after `{broken}` failed");
    }
    Ok(())
}
