//! The program itself: what it says of its options, and of one that is wrong.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidelog-operator"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

#[test]
fn help_begins_with_what_it_is_for_and_names_what_it_takes() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(
        help.starts_with("The operator: realises the locations of its cluster"),
        "{help}"
    );
    for option in [
        "--location",
        "--namespace",
        "--sidecar-image",
        "--concurrency",
    ] {
        assert!(help.contains(option), "{option} in {help}");
    }
}

#[test]
fn what_is_wrong_is_named_before_anything_is_asked() {
    for (arguments, said) in [
        (&[][..], "--location"),
        (&["--location", "EU"][..], "EU"),
        (
            &["--location", "eu", "--concurrency", "0"][..],
            "--concurrency",
        ),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}
