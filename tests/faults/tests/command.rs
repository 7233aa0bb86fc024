//! What the command says before anything is started.

use std::process::{Command, Output};

fn faults(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog-faults"));
    command.args(arguments).output().unwrap()
}

#[test]
fn the_help_says_how_a_long_run_goes_on() {
    let output = faults(&["--help"]);
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
}

#[test]
fn a_run_does_not_go_on_from_the_file_of_another_one() {
    let file = std::env::temp_dir().join(format!("tidelog-other-run-{}", std::process::id()));
    std::fs::write(&file, "{}").unwrap();
    let name = file.to_str().unwrap();
    let output = faults(&["--resume", name]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("was not written by --resume"), "{said}");
}
