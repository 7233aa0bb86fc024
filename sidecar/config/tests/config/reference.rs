//! What the configuration says about itself, and what changes it from outside.

use tidelog_config::{FieldReference, Hash64, Span, VARIABLES, fields, reference};

use crate::fixture::{FULL, load, small};

#[test]
fn every_variable_sets_its_field_and_overrides_the_file() {
    for variable in &VARIABLES {
        let value = match variable.name {
            "TIDELOG_APPLICATION_VERSION" => "2.0",
            "TIDELOG_INSECURE" => "true",
            "TIDELOG_LOG_FORMAT" => "Json",
            "TIDELOG_LOG_LEVEL" => "debug",
            "TIDELOG_POSTGRES_URI" => "postgres://h/d",
            name if name.starts_with("TIDELOG_LISTEN") && !name.ends_with("SOCKET") => {
                "127.0.0.1:9999"
            }
            _ => "some/path",
        };
        let mut changed = small();
        changed.apply_env([(variable.name, value)]).unwrap();
        let yaml = changed.to_yaml().unwrap();
        assert_ne!(changed, small(), "{}", variable.name);
        assert!(yaml.contains(value), "{}: {yaml}", variable.name);
        assert!(
            fields().iter().any(|f| f.path == variable.field),
            "{}",
            variable.field
        );
        // Where one process is reached is not in what all of its location are told.
        if variable.name == "TIDELOG_LISTEN_ADVERTISED" {
            assert_eq!(small().restart_needed(&changed), Vec::<String>::new());
            continue;
        }
        assert!(
            small()
                .restart_needed(&changed)
                .iter()
                .any(|f| variable.field.starts_with(f.as_str())),
            "{}",
            variable.name
        );
    }
}

#[test]
fn wrong_variables_are_reported_by_name_and_foreign_ones_are_left_alone() {
    let mut c = small();
    let variables = [
        ("TIDELOG_INSECURE", "maybe"),
        ("PATH", "/bin"),
        ("TIDELOG_OPERATOR_PORT", "tcp://10.0.0.1:80"),
        ("TIDELOG_LISTEN_API", "localhost"),
    ];
    let error = c.apply_env(variables).unwrap_err().to_string();
    for part in [
        "2 error(s)",
        "TIDELOG_INSECURE: `maybe`",
        "TIDELOG_LISTEN_API: `localhost`",
        "127.0.0.1:7440",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(c, small());
}

#[test]
fn only_links_and_filters_change_while_running() {
    let old = load(FULL).unwrap();
    let mut new = old.clone();
    new.edges.incoming.pop();
    new.peers.pop();
    new.export_filter = None;
    new.plan_id = Hash64(7);
    new.spec_hash = "aa".into();
    assert_eq!(old.restart_needed(&new), Vec::<String>::new());
    new.writer.lease = Span::secs(9);
    new.listen.socket = None;
    new.application.version = "2".parse().unwrap();
    assert_eq!(
        old.restart_needed(&new),
        ["application.version", "listen.socket", "writer.lease"]
    );
    // What runs then has taken over everything else, and nothing of these.
    let runs = old.with_live_fields_of(&new);
    assert_eq!(old.restart_needed(&runs), Vec::<String>::new());
    assert_eq!(runs.restart_needed(&new), old.restart_needed(&new));
    new.writer.lease = old.writer.lease;
    new.listen.socket = old.listen.socket;
    new.application = old.application;
    assert_eq!(runs, new);
}

#[test]
fn the_reference_tells_every_field_with_type_default_and_meaning() {
    let rows = fields();
    for field in &rows {
        assert!(!field.meaning.is_empty(), "{} has no meaning", field.path);
        assert!(!field.kind.is_empty(), "{}", field.path);
    }
    let row = |path: &str| {
        let found = rows.iter().find(|f| f.path == path);
        let f = found.unwrap_or_else(|| panic!("{path} is missing"));
        (f.kind.as_str(), f.default.as_str())
    };
    assert_eq!(row("log"), ("text", "required"));
    assert_eq!(row("insecure"), ("true or false", "`false`"));
    assert_eq!(row("listen"), ("section", ""));
    assert_eq!(row("listen.api"), ("text", "`127.0.0.1:7440`"));
    assert_eq!(row("listen.socket"), ("text", ""));
    assert_eq!(row("storage.sqlite.path"), ("text", "required"));
    assert_eq!(row("storage.postgres.maxConnections"), ("number", "`10`"));
    assert_eq!(row("edges.outgoing"), ("list", "empty"));
    assert_eq!(
        row("edges.outgoing[].dial"),
        ("`Source`, `Target`", "required")
    );
    assert_eq!(
        row("edges.outgoing[].filters[].onError"),
        ("`Stall`, `Drop`, `Pass`", "`Stall`")
    );
    assert_eq!(row("edges.outgoing[].batch.maxBytes"), ("size", "`4Mi`"));
    assert_eq!(row("edges.incoming[].endpoint"), ("HOST:PORT", ""));
    assert_eq!(row("writer.lease"), ("duration", "`5s`"));
    assert_eq!(row("exportFilter.cel"), ("text", "required"));
    assert_eq!(row("logging.format"), ("`Text`, `Json`", "`Text`"));
    let text = reference();
    for line in text.lines().filter(|l| l.starts_with('|')) {
        let cells = line.replace("\\|", "").matches('|').count();
        assert!(cells == 5 || cells == 3, "{line}");
    }
    // Every leaf that is rendered is documented.
    let rendered = load(FULL).unwrap().to_yaml().unwrap();
    for key in rendered
        .lines()
        .filter_map(|l| l.trim_start_matches([' ', '-']).split_once(':'))
    {
        let last = |f: &FieldReference| f.path.rsplit('.').next() == Some(key.0);
        assert!(rows.iter().any(last), "{} is not documented", key.0);
    }
}
