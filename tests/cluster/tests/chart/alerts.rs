//! Alerts and dashboard speak of what there is: metrics of the reference with their labels, and a runbook for each alert.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::chart::{folder, objects, only, root};

/// Words of PromQL and of Grafana that are used here; another one is added when it is needed.
const WORDS: [&str; 10] = [
    "and",
    "by",
    "changes",
    "label_values",
    "max",
    "min",
    "or",
    "rate",
    "sum",
    "time",
];

/// Labels that Prometheus itself gives to what it scrapes.
const SCRAPED: [&str; 1] = ["namespace"];

/// What a chart with everything that watches installs.
fn installed() -> &'static [Value] {
    static INSTALLED: LazyLock<Vec<Value>> = LazyLock::new(|| {
        objects(
            "{location: {name: eu}, metrics: {serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}, dashboard: {enabled: true}}}",
        )
    });
    &INSTALLED
}

/// Metrics of the reference, each with its own labels.
fn metrics() -> &'static BTreeMap<String, BTreeSet<String>> {
    static METRICS: LazyLock<BTreeMap<String, BTreeSet<String>>> = LazyLock::new(|| {
        let page = fs::read_to_string(root().join("docs/reference/metrics.md")).unwrap();
        let mut metrics = BTreeMap::new();
        for line in page.lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, name, _, labels, _, _] = cells[..] else {
                continue;
            };
            let name = name.strip_prefix('`').and_then(|n| n.strip_suffix('`'));
            let Some(name) = name else {
                continue;
            };
            let labels = labels.split(", ").filter(|label| *label != "–");
            metrics.insert(name.to_owned(), labels.map(str::to_owned).collect());
        }
        metrics
    });
    assert!(METRICS.len() > 20, "{:?}", *METRICS);
    &METRICS
}

/// Labels that the ServiceMonitor of the sidecars takes over from their Service.
fn target_labels() -> BTreeSet<String> {
    let mut monitors = installed().iter().filter(|o| o["kind"] == "ServiceMonitor");
    let monitor = monitors
        .find(|o| o["metadata"]["name"] == "tidelog-logs")
        .unwrap();
    let labels = monitor["spec"]["targetLabels"].as_array().unwrap().iter();
    labels
        .map(|label| label.as_str().unwrap().replace(['.', '/'], "_"))
        .collect()
}

/// Names in an expression: neither what stands in quotes nor numbers with their units.
fn names(expression: &str) -> BTreeSet<String> {
    let token = Regex::new(r#""(?:[^"\\]|\\.)*"|[0-9][0-9a-z.]*|[A-Za-z_][A-Za-z0-9_]*"#).unwrap();
    let found = token.find_iter(expression).map(|found| found.as_str());
    let found =
        found.filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
    found
        .filter(|name| !WORDS.contains(name))
        .map(str::to_owned)
        .collect()
}

/// What an expression names and is not there.
fn unknown(expression: &str) -> BTreeSet<String> {
    let (metrics, targets) = (metrics(), target_labels());
    let names = names(expression);
    let (used, labels): (BTreeSet<_>, BTreeSet<_>) = names
        .into_iter()
        .partition(|name| metrics.contains_key(name));
    if used.is_empty() {
        return BTreeSet::from([format!("no metric in {expression}")]);
    }
    let is_there = |label: &String| {
        SCRAPED.contains(&label.as_str())
            || targets.contains(label)
            || used.iter().all(|metric| metrics[metric].contains(label))
    };
    labels
        .into_iter()
        .filter(|label| !is_there(label))
        .collect()
}

fn alerts() -> Vec<Value> {
    let groups = only(installed(), "PrometheusRule")["spec"]["groups"]
        .as_array()
        .unwrap();
    let rules = groups
        .iter()
        .map(|group| group["rules"].as_array().unwrap().clone());
    rules.flatten().collect()
}

#[test]
fn alerts_use_metrics_and_labels_that_there_are() {
    assert!(alerts().len() >= 6);
    for alert in alerts() {
        let expression = alert["expr"].as_str().unwrap();
        assert_eq!(unknown(expression), BTreeSet::new(), "{expression}");
    }
}

#[test]
fn a_metric_or_a_label_that_is_not_there_is_found() {
    for (expression, found) in [
        ("max by (log) (tidelog_serving) == 0", vec!["log"]),
        (
            "tidelog_served == 0",
            vec!["no metric in tidelog_served == 0"],
        ),
        ("sum by (source) (tidelog_head)", vec!["source"]),
        (
            "rate(tidelog_head[5m]) > tidelog_tails_total",
            vec!["tidelog_tails_total"],
        ),
        (
            "min by (source) (tidelog_edge_connected{namespace=~\"$source\"}) > 3e6",
            vec![],
        ),
    ] {
        let found: BTreeSet<String> = found.into_iter().map(str::to_owned).collect();
        assert_eq!(unknown(expression), found, "{expression}");
    }
}

#[test]
fn every_alert_says_what_is_wrong_how_bad_it_is_and_where_to_read_on() {
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(name.starts_with("Tidelog"), "{name}");
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(
            ["warning", "critical"].contains(&severity),
            "{name}: {severity}"
        );
        let summary = alert["annotations"]["summary"].as_str().unwrap();
        assert!(
            summary.ends_with('.') && summary.len() > 20,
            "{name}: {summary}"
        );
    }
}

#[test]
fn every_alert_has_its_section_in_the_guide_and_every_section_its_alert() {
    let guide = "docs/guides/troubleshooting.md";
    let page = fs::read_to_string(root().join(guide)).unwrap();
    let (_, section) = page.split_once("\n## Alerts\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let told: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    let alerts = alerts();
    let known: BTreeSet<&str> = alerts
        .iter()
        .map(|a| a["alert"].as_str().unwrap())
        .collect();
    assert_eq!(told, known);
    for alert in &alerts {
        let link = alert["annotations"]["runbook_url"].as_str().unwrap();
        let (page, anchor) = link.split_once('#').unwrap();
        assert!(page.ends_with(guide), "{link}");
        assert_eq!(
            anchor,
            alert["alert"].as_str().unwrap().to_lowercase(),
            "{link}"
        );
    }
}

#[test]
fn the_alert_of_certificates_goes_by_their_own_length_and_comes_before_the_end_of_the_shortest() {
    let alerts = alerts();
    let mut found = alerts
        .iter()
        .filter(|a| a["alert"] == "TidelogCertificateEnds");
    let alert = found.next().unwrap();
    let expression = alert["expr"].as_str().unwrap();
    // A fixed time would always be near for some and too near for others: the sidecar knows from when on its certificate is late.
    assert!(
        names(expression).contains("tidelog_certificate_late_timestamp_seconds"),
        "{expression}"
    );
    assert!(
        !expression.contains(|c: char| c.is_ascii_digit()),
        "{expression}"
    );
    let minutes = alert["for"].as_str().unwrap().strip_suffix('m').unwrap();
    let minutes: i64 = minutes.parse().unwrap();
    // Ten minutes, and the hour that it is dated back; late when a sixth is left.
    let left = (10 + 60) / 6;
    assert!(minutes <= left / 2, "{minutes} of {left} minutes");
}

/// Every query below a value of the dashboard.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let text = value.as_str().filter(|text| !text.is_empty());
                match text {
                    Some(text) if ["expr", "definition"].contains(&key.as_str()) => {
                        found.push(text.to_owned());
                    }
                    // Of a variable: the kind of data source is none.
                    Some(text) if key == "query" && text.contains('(') => {
                        found.push(text.to_owned());
                    }
                    _ => queries(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_metrics_that_there_are() {
    let installed = only(installed(), "ConfigMap")["data"]["tidelog.json"]
        .as_str()
        .unwrap();
    let file = fs::read_to_string(folder().join("files/dashboard.json")).unwrap();
    assert_eq!(installed.trim(), file.trim());
    let dashboard: Value = serde_json::from_str(installed).unwrap();
    let mut found = Vec::new();
    queries(&dashboard, &mut found);
    assert!(found.len() >= 12, "{found:?}");
    for query in found {
        assert_eq!(unknown(&query), BTreeSet::new(), "{query}");
    }
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(
            panel["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty()),
            "{panel}"
        );
    }
}
