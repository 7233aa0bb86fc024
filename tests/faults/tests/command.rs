//! What the command says before anything is started.

use std::process::{Command, Output};

use anyhow::{Context as _, Result};

fn faults(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog-faults"));
    Ok(command.args(arguments).output()?)
}

#[test]
fn the_help_says_how_a_long_run_goes_on() -> Result<()> {
    let output = faults(&["--help"])?;
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    for word in [
        "--resume",
        "--extra-minutes",
        "--mutants",
        "Ctrl-C",
        "wal-full",
    ] {
        assert!(text.contains(word), "{word} is missing:\n{text}");
    }
    Ok(())
}

#[test]
fn a_run_does_not_go_on_from_the_file_of_another_one() -> Result<()> {
    let file = std::env::temp_dir().join(format!("tidelog-other-run-{}", std::process::id()));
    std::fs::write(&file, "{}")?;
    let name = file.to_str().context("a path in UTF-8")?;
    let output = faults(&["--resume", name])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    std::fs::remove_file(&file)?;
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("was not written by --resume"), "{said}");
    Ok(())
}
