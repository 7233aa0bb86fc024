//! What values are taken, and what is said of those that are not: always the field.

use std::fs;

use serde_json::{Value, json};
use tidelog_cluster_tests::Answer;

use crate::chart::{EVERYTHING_ON, SETS, folder, helm, template};

/// A field, values that it takes, values that it does not.
type Case = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

/// Values as YAML.
const CASES: &[Case] = &[
    (
        "/location/name",
        &["eu", "'*'", "store-17", "a"],
        &[
            "''", "EU", "eu-", "'-eu'", "17", "'1eu'", "eu.west", "'eu,us'", "'**'", LONG_LABEL,
        ],
    ),
    (
        "/image/tag",
        &[
            "''",
            "v1.2.3-rc.1_4",
            "0.1.0@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ],
        &["'a b'", "'-1'", "'1.2@sha256:12'", "'tag:tag'", "1.2"],
    ),
    (
        "/image/repository",
        &["r", "r.example.com:5000/a/b"],
        &["''"],
    ),
    ("/image/pullPolicy", &["Never"], &["never", "''"]),
    ("/sidecar/image/pullPolicy", &["Always"], &["always"]),
    ("/test/image/pullPolicy", &["Always"], &["always"]),
    ("/postgres/image", &["postgres:16"], &["''"]),
    (
        "/imagePullSecrets",
        &["[]", "[a, b.c]"],
        &["['']", "[A_B]", "[{name: a}]"],
    ),
    (
        "/certificates/lifetime",
        &["2160h", "1h30m"],
        &["90d", "''", "'5'", "'-1h'", "1.5h"],
    ),
    ("/gateway/name", &["''", "outside"], &["Outside", "a/b"]),
    (
        "/gateway/namespace",
        &["''", "gateways"],
        &["Gateways", "a.b"],
    ),
    (
        "/watchNamespace",
        &["''", "shop", "'9'"],
        &["Shop", "a_b", "a.b", "'*'", LONG_LABEL],
    ),
    ("/replicas", &["0", "1", "10"], &["-1", "11", "1.5", "'2'"]),
    ("/concurrency", &["1", "256"], &["0", "257", "8.5"]),
    ("/logging/format", &["text", "json"], &["yaml", "JSON"]),
    ("/logging/level", &["'info,kube=debug'"], &["''"]),
    (
        "/serviceAccount/name",
        &["''", "keeper"],
        &["Keeper", "a b"],
    ),
    ("/priorityClassName", &["''", "high"], &["High"]),
    ("/test/log", &["orders"], &["''", "Orders", "a.b"]),
    ("/test/namespace", &["shop"], &["''", "Shop"]),
    ("/test/location", &["''", "eu"], &["'*'", "EU"]),
    (
        "/test/trustDomain",
        &["tidelog", "a.example.com", "9_x"],
        &["''", "Example.com", "a.", "spiffe://a"],
    ),
    ("/test/insecure", &["true"], &["'true'", "1"]),
    (
        "/metrics/serviceMonitor/interval",
        &["15s", "1m30s"],
        &["15", "often", "''"],
    ),
    (
        "/metrics/prometheusRule/runbooks",
        &["https://runbooks.example.com/tidelog"],
        &["''", "runbooks", "https://example.com/#there"],
    ),
    (
        "/tolerations",
        &["[]", "[{operator: Exists}]"],
        &["[all]", "{}"],
    ),
];

const LONG_LABEL: &str = "a123456789012345678901234567890123456789012345678901234567890123";

/// Maps whose keys belong to Kubernetes or to whoever writes them.
const FREE: [&str; 15] = [
    "/affinity",
    "/global",
    "/metrics/dashboard/labels",
    "/metrics/prometheusRule/labels",
    "/metrics/serviceMonitor/labels",
    "/nodeSelector",
    "/podAnnotations",
    "/podLabels",
    "/postgres/resources/limits",
    "/postgres/resources/requests",
    "/resources/limits",
    "/resources/requests",
    "/serviceAccount/annotations",
    "/sidecar/resources/limits",
    "/sidecar/resources/requests",
];

fn is_free(path: &str) -> bool {
    let below = |free: &str| {
        path.strip_prefix(free)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    FREE.iter().any(|free| below(free))
}

/// The values of the chart, as they are documented.
fn documented() -> Value {
    let text = fs::read_to_string(folder().join("values.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// Every map and every value of `values`, with its path.
fn walk(path: &str, values: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, values);
    for (key, value) in values.as_object().into_iter().flatten() {
        walk(&format!("{path}/{key}"), value, visit);
    }
}

/// Values with `value` at `path`.
fn with(values: &Value, path: &str, value: Value) -> Value {
    let mut values = values.clone();
    let mut place = &mut values;
    for key in path.split('/').skip(1) {
        place = &mut place[key];
    }
    *place = value;
    values
}

fn at_eu() -> Value {
    json!({"location": {"name": "eu"}})
}

/// Refused, with a message of which one line names the field and the word.
fn names(answer: &Answer, path: &str, word: &str) -> bool {
    let field = format!("at '{path}");
    let mut lines = answer.errors.lines();
    !answer.success && lines.any(|line| line.contains(&field) && line.contains(word))
}

/// Judges all values at once: each takes a process.
fn judge<T: Sync>(all: &[T], wrong: impl Fn(&T) -> Option<String> + Sync) {
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let parts = all.chunks(all.len().div_ceil(4).max(1));
        let parts = parts.map(|part| scope.spawn(|| part.iter().filter_map(&wrong).collect()));
        let parts: Vec<_> = parts.collect();
        let found = parts.into_iter().map(|part| part.join().unwrap());
        found.collect::<Vec<Vec<String>>>().concat()
    });
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_documented_values_are_complete_but_for_the_location() {
    let lint = |more: &[&str]| {
        let folder = folder();
        let arguments = [&["lint", "--strict", folder.to_str().unwrap()], more].concat();
        helm().run(&arguments).unwrap()
    };
    lint(&["--set", "location.name=eu"]).done().unwrap();
    let without = lint(&[]);
    assert!(!without.success, "{}", without.output);
    let answer = template("{}");
    assert!(
        names(&answer, "/location/name", "pattern"),
        "{}",
        answer.errors
    );
}

#[test]
fn every_set_of_values_is_linted_without_a_warning() {
    judge(&SETS, |(name, values)| {
        let folder = folder();
        let arguments = [
            "lint",
            "--strict",
            folder.to_str().unwrap(),
            "--values",
            "-",
        ];
        let answer = helm().run_with(&arguments, values).unwrap();
        let is_fine = answer.success && !answer.output.contains("[WARNING]");
        (!is_fine).then(|| format!("{name}: {}{}", answer.output, answer.errors))
    });
}

/// What is said when all of these are wrong at once: each has to be named.
fn refused<'a>(wrong: impl IntoIterator<Item = (&'a str, Value)>, word: &str) {
    let wrong: Vec<(&str, Value)> = wrong.into_iter().collect();
    let mut values = at_eu();
    for (path, value) in &wrong {
        values = with(&values, path, value.clone());
    }
    let answer = template(&values.to_string());
    for (path, value) in wrong {
        let is_named = names(&answer, path, word);
        assert!(is_named, "{path}: {value}: {}", answer.errors);
    }
}

/// The first of each list, then the second of each, and so on, with their paths.
fn rounds(lists: &[(&'static str, &'static [&'static str])]) -> Vec<Vec<(&'static str, Value)>> {
    let longest = lists.iter().map(|(_, list)| list.len()).max().unwrap();
    let round = |number: usize| {
        let these = lists
            .iter()
            .filter_map(|(path, list)| Some((*path, list.get(number)?)));
        these
            .map(|(path, value)| (path, serde_yaml::from_str(value).unwrap()))
            .collect()
    };
    (0..longest).map(round).collect()
}

#[test]
fn what_is_valid_is_taken() {
    let accepts: Vec<_> = CASES
        .iter()
        .map(|(path, accepts, _)| (*path, *accepts))
        .collect();
    for round in rounds(&accepts) {
        let mut values = at_eu();
        for (path, value) in round {
            values = with(&values, path, value);
        }
        template(&values.to_string()).done().unwrap();
    }
}

#[test]
fn what_is_not_valid_is_refused_with_its_name() {
    let rejects: Vec<_> = CASES
        .iter()
        .map(|(path, _, rejects)| (*path, *rejects))
        .collect();
    for round in rounds(&rejects) {
        refused(round, "");
    }
}

#[test]
fn unknown_keys_are_refused_at_every_level() {
    let mut maps = Vec::new();
    walk("", &documented(), &mut |path, value| {
        if value.is_object() && !is_free(path) {
            maps.push(path.to_owned());
        }
    });
    assert!(maps.len() > 20, "{maps:?}");
    let mut values = at_eu();
    for path in &maps {
        values = with(&values, &format!("{path}/nonsense"), json!(1));
    }
    let answer = template(&values.to_string());
    for path in maps {
        let is_named = names(&answer, &format!("{path}'"), "'nonsense'");
        assert!(is_named, "{path}: {}", answer.errors);
    }
}

#[test]
fn wrong_types_are_refused_everywhere() {
    let mut all = Vec::new();
    walk("", &documented(), &mut |path, value| {
        let inside_free = is_free(path) && !FREE.contains(&path);
        if !path.is_empty() && !inside_free {
            all.push((path.to_owned(), value.is_string()));
        }
    });
    assert!(all.len() > 60, "{all:?}");
    // What is in a map is not looked at when the map itself is wrong: so a level at a time.
    for level in 1..=4 {
        let level = all
            .iter()
            .filter(|(path, _)| path.matches('/').count() == level);
        let other = |is_string: bool| if is_string { json!(7) } else { json!("text") };
        refused(
            level.map(|(path, is_string)| (path.as_str(), other(*is_string))),
            "",
        );
    }
}

/// Another value that is valid in the same place.
fn other(path: &str, value: &Value) -> Value {
    let another = |words: [&str; 2]| json!(words[usize::from(value == words[0])]);
    match value {
        Value::Bool(is) => json!(!is),
        Value::Number(number) => json!(number.as_i64().unwrap() + 1),
        Value::Array(_) => json!([]),
        Value::Object(_) => json!({"other": "other"}),
        _ if path.ends_with("/pullPolicy") => another(["Always", "Never"]),
        _ if path.ends_with("/format") => another(["text", "json"]),
        _ if path.ends_with("/lifetime") || path.ends_with("/interval") => json!("9h"),
        _ if path.ends_with("/runbooks") => json!("https://other.example.com"),
        _ => json!("other"),
    }
}

#[test]
fn every_value_changes_what_is_installed() {
    let on: Value = serde_yaml::from_str(EVERYTHING_ON).unwrap();
    let before = template(EVERYTHING_ON).done().unwrap().output;
    let mut all = Vec::new();
    walk("", &documented(), &mut |path, value| {
        let is_leaf = !value.is_object() || FREE.contains(&path);
        if is_leaf && (!is_free(path) || FREE.contains(&path)) {
            all.push((path.to_owned(), value.clone()));
        }
    });
    judge(&all, |(path, value)| {
        let value = on.pointer(path).unwrap_or(value);
        let mut values = with(&on, path, other(path, value));
        if path == "/leaderElection/enabled" {
            // With one replica only: see below.
            values["replicas"] = json!(1);
        }
        let answer = template(&values.to_string());
        let is_right = answer.success && answer.output != before;
        (!is_right).then(|| format!("{path}: {}", answer.errors))
    });
}

#[test]
fn several_replicas_elect_one() {
    let both = "{location: {name: eu}, replicas: 2, leaderElection: {enabled: false}}";
    let answer = template(both);
    assert!(
        !answer.success && answer.errors.contains("leaderElection.enabled"),
        "{}",
        answer.errors
    );
}
