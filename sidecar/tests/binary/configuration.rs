//! What the program makes of its configuration, its arguments and its environment, before it does anything.

use std::process::{Command, Output};

use tidelog_config::{Config, Storage};

use crate::sidecar::{Sidecar, program, text};

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(mut command: Command) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Said {
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// Runs `--check` on a configuration.
fn check(sidecar: &Sidecar, yaml: &str) -> Said {
    let file = sidecar.write(yaml);
    run(program(&["--check", "--config", text(&file)]))
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
}

#[test]
fn a_good_configuration_is_shown_with_all_defaults_and_nothing_is_started() {
    let eu = Sidecar::new("eu");
    let said = check(&eu, &eu.yaml("writer: {lease: 7s}\n"));
    assert_eq!((said.code, &*said.err), (Some(0), ""));
    says(
        &said.out,
        &["lease: 7s", "queueRequests: 10000", "level: info"],
    );
    // What is shown is a configuration itself, and the same one.
    let again = check(&eu, &said.out);
    assert_eq!((again.code, again.out), (Some(0), said.out));
    assert!(!eu.path("data").exists() && !eu.path("witness").exists());
    assert!(!eu.socket().exists());
}

#[test]
fn a_bad_configuration_is_told_by_file_field_value_and_way_out() {
    let eu = Sidecar::new("eu");
    let file = eu.path("config.yaml");
    let name = text(&file);
    let good = eu.yaml("");
    let cases: [(String, Vec<String>); 5] = [
        // The form, with its place.
        (
            eu.yaml("writers: {lease: 7s}\n"),
            vec![
                format!("{name}:7:1: "),
                "unknown field `writers`".into(),
                "`writer`".into(),
            ],
        ),
        (
            good.replace("location: eu", "location: E U"),
            vec![
                format!("{name}:2:"),
                "location".into(),
                "`E U`".into(),
                "a-z".into(),
            ],
        ),
        (
            eu.yaml("writer: {lease: 7 parsecs}\n"),
            vec![
                format!("{name}:7:"),
                "writer.lease".into(),
                "`7 parsecs`".into(),
                "5s".into(),
            ],
        ),
        // Values, all of them at once.
        (
            eu.yaml("writer: {lease: 2h, queueRequests: 0}\n"),
            vec![
                format!("{name}: "),
                "2 error(s)".into(),
                "writer.lease: is 2h, must be 1s to 1h".into(),
                "writer.queueRequests: is 0, must be 1 to 1000000".into(),
            ],
        ),
        (
            good.replace(&format!("api: '{}'", eu.address(0)), "api: '0.0.0.0:7440'"),
            vec![
                format!("{name}: "),
                "listen.api: 0.0.0.0:7440".into(),
                "insecure: true".into(),
            ],
        ),
    ];
    for (yaml, parts) in cases {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let checked = check(&eu, &yaml);
        assert_eq!((checked.code, &*checked.out), (Some(1), ""), "{yaml}");
        says(&checked.err, &parts);
        // Without --check it says the same, and starts nothing.
        let started = run(program(&["--config", name]));
        assert_eq!((started.code, started.err), (Some(1), checked.err));
        assert!(!eu.path("data").exists());
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let eu = Sidecar::new("eu");
    let missing = eu.path("missing.yaml");
    let said = run(program(&["--config", text(&missing)]));
    assert_eq!((said.code, &*said.out), (Some(1), ""));
    says(&said.err, &[text(&missing), "No such file"]);
}

#[test]
fn the_environment_is_above_the_file_and_below_the_arguments() {
    let eu = Sidecar::new("eu");
    let file = eu.write(&eu.yaml(""));
    let mut command = program(&["--check"]);
    command
        .env("TIDELOG_CONFIG", &file)
        .env("TIDELOG_LISTEN_API", "127.0.0.1:1234")
        .env("TIDELOG_LISTEN_SOCKET", "")
        .env("TIDELOG_APPLICATION_VERSION", "2.0")
        .env("TIDELOG_SQLITE_PATH", eu.path("elsewhere"))
        // Kubernetes sets such ones for every Service.
        .env("TIDELOG_SERVICE_PORT", "tcp://10.0.0.1:80");
    let said = run(command);
    assert_eq!((said.code, &*said.err), (Some(0), ""));
    let config = Config::from_yaml(&said.out, "shown").unwrap();
    assert_eq!(config.listen.api.to_string(), "127.0.0.1:1234");
    assert_eq!(config.listen.admin.to_string(), eu.address(4));
    assert_eq!(config.listen.socket, None);
    assert_eq!(config.application.version.to_string(), "2.0");
    let Storage::Sqlite(sqlite) = config.storage else {
        panic!("{:?}", config.storage);
    };
    assert_eq!(sqlite.path, eu.path("elsewhere"));

    let mut command = program(&["--check", "--config", text(&file)]);
    command.env("TIDELOG_CONFIG", "/nowhere");
    assert_eq!(run(command).code, Some(0));

    let mut command = program(&["--check", "--config", text(&file)]);
    command.env("TIDELOG_LISTEN_API", "localhost");
    let said = run(command);
    assert_eq!((said.code, &*said.out), (Some(1), ""));
    says(
        &said.err,
        &["TIDELOG_LISTEN_API: `localhost`", "127.0.0.1:7440"],
    );
}

#[test]
fn a_password_is_shown_to_nobody() {
    let eu = Sidecar::new("eu");
    let file = eu.write(&eu.yaml(""));
    for uri in [
        "postgres://eu:sesame@db/orders",
        "mysql://eu:sesame@db/orders",
    ] {
        let mut command = program(&["--check", "--config", text(&file)]);
        command.env("TIDELOG_POSTGRES_URI", uri);
        let said = run(command);
        assert!(!said.out.contains("sesame"), "{}", said.out);
        assert!(!said.err.contains("sesame"), "{}", said.err);
        assert_eq!(said.code, Some(i32::from(uri.starts_with("mysql"))));
    }
}

#[test]
fn help_says_how_to_begin_and_wrong_use_has_its_own_exit_code() {
    let help = run(program(&["--help"]));
    assert_eq!((help.code, &*help.err), (Some(0), ""));
    says(
        &help.out,
        &[
            "--config <FILE>",
            "TIDELOG_CONFIG",
            "--check",
            "Example:",
            "docs/reference/configuration.md",
        ],
    );
    let version = run(program(&["--version"]));
    assert_eq!(version.code, Some(0));
    says(
        &version.out,
        &["tidelog-sidecar ", env!("CARGO_PKG_VERSION")],
    );
    for arguments in [&[] as &[&str], &["--config"], &["--conf", "x"], &["x"]] {
        let said = run(program(arguments));
        assert_eq!((said.code, &*said.out), (Some(2), ""), "{arguments:?}");
        says(&said.err, &["--config"]);
    }
}
