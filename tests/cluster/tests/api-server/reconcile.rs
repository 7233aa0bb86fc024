//! The operator's controller against a real API server: what is applied comes to exist, is kept as it should be, and goes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidelog_cluster_tests::Kubectl;

use crate::definitions::namespace;
use crate::operator::Operator;

const SOON: Duration = Duration::from_secs(20);

pub fn log(locations: &[&str], more: &str) -> String {
    let locations: Vec<String> = locations
        .iter()
        .map(|l| format!("{{name: {l}, endpoint: {{host: {l}.example.com}}}}"))
        .collect();
    format!(
        "apiVersion: tidelog.dev/v1alpha1\nkind: EventLog\nmetadata: {{name: orders}}\nspec:\n  application: {{name: shop, version: '1.3'}}\n  locations: [{}]\n{more}",
        locations.join(", ")
    )
}

pub fn link(name: &str, locations: &str, more: &str) -> String {
    format!(
        "apiVersion: tidelog.dev/v1alpha1\nkind: ReplicationLink\nmetadata: {{name: {name}}}\nspec:\n  eventLogRef: {{name: orders}}\n  topology: {{dense: {{locations: [{locations}]}}}}\n{more}"
    )
}

pub fn apply(kubectl: &Kubectl, manifest: &str) {
    kubectl.apply(manifest).unwrap().done().unwrap();
}

#[expect(clippy::disallowed_methods, reason = "no task runs on this thread")]
pub fn rest(time: Duration) {
    std::thread::sleep(time);
}

/// Waits until something can be seen.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(SOON, what, look)
}

/// The same for what takes longer.
pub fn within<T>(time: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + time;
    // Each look is a process, and others use the machine as well.
    let pause = Duration::from_millis(if time > SOON { 1_000 } else { 250 });
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {time:?}: {what}");
        rest(pause);
    }
}

/// Waits for an object.
pub fn appears(kubectl: &Kubectl, object: &str) -> Value {
    until(object, || kubectl.get(object).ok())
}

/// Status and reason of a condition.
pub fn condition(kubectl: &Kubectl, object: &str, type_: &str) -> Option<(String, String)> {
    let object = kubectl.get(object).ok()?;
    let conditions = object["status"]["conditions"].as_array()?.clone();
    let condition = conditions.into_iter().find(|c| c["type"] == type_)?;
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason")))
}

/// Kind and name of everything in a namespace that the operator applies, with its version.
pub fn versions(kubectl: &Kubectl) -> BTreeMap<String, String> {
    let kinds = "evlog,rlink,statefulset,service,configmap,networkpolicy,poddisruptionbudget";
    let answer = kubectl.run(&["get", kinds, "-o", "json"]).unwrap();
    let list: Value = serde_json::from_str(&answer.done().unwrap().output).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    let name = |item: &Value| {
        let name = item["metadata"]["name"].as_str().unwrap();
        format!("{} {name}", item["kind"].as_str().unwrap())
    };
    items
        .map(|item| (name(item), item["metadata"]["resourceVersion"].to_string()))
        .collect()
}

#[test]
fn what_is_applied_comes_to_exist_and_is_kept_as_it_should_be() {
    let kubectl = namespace("reconcile");
    let _operator = Operator::start("reconcile", "eu");
    apply(&kubectl, &log(&["eu", "us"], "  replicas: 2\n"));
    apply(&kubectl, &link("orders", "eu, us", ""));
    let set = appears(&kubectl, "statefulset/orders-eu");
    let owner = &set["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["name"]),
        (&json!("EventLog"), &json!("orders"))
    );
    assert_eq!(owner["controller"], json!(true));
    assert!(
        kubectl.get("statefulset/orders-us").is_err(),
        "that is another cluster's"
    );
    appears(&kubectl, "poddisruptionbudget/orders-eu");
    let edges = || {
        let config = kubectl.get("configmap/orders-eu-config").ok()?;
        let text = config["data"]["sidecar.yaml"].as_str()?.to_owned();
        text.contains("source: us").then_some(text)
    };
    until("the link is in the configuration", edges);

    // What somebody deletes or changes is made as it was.
    let service = appears(&kubectl, "service/orders-eu-peers");
    kubectl
        .run(&["delete", "service", "orders-eu-peers"])
        .unwrap()
        .done()
        .unwrap();
    until("the Service is there again", || {
        let again = kubectl.get("service/orders-eu-peers").ok()?;
        (again["metadata"]["uid"] != service["metadata"]["uid"]).then_some(())
    });
    let scale = ["scale", "statefulset", "orders-eu", "--replicas=5"];
    kubectl.run(&scale).unwrap().done().unwrap();
    until("two replicas again", || {
        let set = kubectl.get("statefulset/orders-eu").ok()?;
        (set["spec"]["replicas"] == json!(2)).then_some(())
    });

    // What another spec does not need goes.
    apply(&kubectl, &log(&["eu", "us"], "  replicas: 1\n"));
    until("no budget for a single pod", || {
        kubectl
            .get("poddisruptionbudget/orders-eu")
            .is_err()
            .then_some(())
    });

    // Nothing more is written.
    let told = |type_| condition(&kubectl, "evlog/orders", type_);
    until("its status", || told("Ready"));
    rest(Duration::from_secs(2));
    let before = versions(&kubectl);
    rest(Duration::from_secs(6));
    assert_eq!(
        versions(&kubectl),
        before,
        "written although nothing has changed"
    );
}

#[test]
fn every_condition_is_there_from_the_first_visit_and_claims_nothing_that_nobody_has_seen() {
    let kubectl = namespace("conditions");
    let _operator = Operator::start("conditions", "*");
    apply(&kubectl, &log(&["eu", "us"], ""));
    apply(&kubectl, &link("orders", "eu, us", ""));
    let types = |object: &str| {
        let object = kubectl.get(object).ok()?;
        let conditions = object["status"]["conditions"].as_array()?.clone();
        let types: Vec<String> = conditions
            .iter()
            .map(|c| c["type"].as_str().unwrap_or_default().to_owned())
            .collect();
        Some(types)
    };
    let of_log = until("conditions of the log", || types("evlog/orders"));
    assert_eq!(of_log, tidelog_api::EVENT_LOG_CONDITIONS);
    let of_link = until("conditions of the link", || types("rlink/orders"));
    assert_eq!(of_link, tidelog_api::REPLICATION_LINK_CONDITIONS);
    // There is no kubelet: no pod has ever run.
    let unknown = |reason: &str| Some(("Unknown".to_owned(), reason.to_owned()));
    for type_ in [
        "Ready",
        "StorageReady",
        "Available",
        "PeersAgree",
        "Recovered",
    ] {
        assert_eq!(
            condition(&kubectl, "evlog/orders", type_),
            unknown("StatusUnknown"),
            "{type_}"
        );
    }
    until("both edges are seen from here", || {
        let link = kubectl.get("rlink/orders").ok()?;
        (link["status"]["edgesConnected"] == json!("0/2")).then_some(())
    });
    assert_eq!(
        condition(&kubectl, "rlink/orders", "Connected"),
        unknown("StatusUnknown")
    );
    let accepted = condition(&kubectl, "rlink/orders", "Accepted");
    assert_eq!(accepted, Some(("True".to_owned(), "Accepted".to_owned())));
    appears(&kubectl, "statefulset/orders-eu");
    appears(&kubectl, "statefulset/orders-us");
}

#[test]
fn what_cannot_be_planned_is_refused_with_its_reason_and_leaves_what_runs_alone() {
    let kubectl = namespace("refused");
    let operator = Operator::start("refused", "eu");
    apply(&kubectl, &link("lonely", "eu, us", ""));
    let no = |reason: &str| Some(("False".to_owned(), reason.to_owned()));
    until("a link without its log", || {
        let resolved = condition(&kubectl, "rlink/lonely", "ResolvedRefs");
        (resolved == no("LogNotFound")).then_some(())
    });
    apply(&kubectl, &log(&["eu", "us"], ""));
    let config = || {
        let config = kubectl.get("configmap/orders-eu-config").ok()?;
        let text = config["data"]["sidecar.yaml"].as_str()?.to_owned();
        text.contains("source: us").then_some(text)
    };
    let before = until("its link is found", config);
    // A second link for the same directions, and one to nowhere.
    apply(&kubectl, &link("twice", "eu, us", ""));
    until("the second one is refused", || {
        let accepted = condition(&kubectl, "rlink/twice", "Accepted");
        (accepted == no("DuplicateEdge")).then_some(())
    });
    kubectl
        .run(&["delete", "rlink", "twice"])
        .unwrap()
        .done()
        .unwrap();
    apply(&kubectl, &link("nowhere", "eu, mars", ""));
    until("a location that nobody knows", || {
        let accepted = condition(&kubectl, "rlink/nowhere", "Accepted");
        (accepted == no("UnknownLocation")).then_some(())
    });
    // Neither another spec of the log nor another operator takes away what the next start needs.
    apply(&kubectl, &log(&["eu", "us"], "  replicas: 2\n"));
    appears(&kubectl, "poddisruptionbudget/orders-eu");
    drop(operator);
    let _operator = Operator::start("refused", "eu");
    apply(&kubectl, &log(&["eu", "us"], "  replicas: 1\n"));
    until("no budget for a single pod", || {
        let budget = kubectl.get("poddisruptionbudget/orders-eu");
        budget.is_err().then_some(())
    });
    assert_eq!(
        config().as_ref(),
        Some(&before),
        "the next start has what runs"
    );
    kubectl
        .run(&["delete", "rlink", "nowhere"])
        .unwrap()
        .done()
        .unwrap();
    until("the first one is accepted again", || {
        let accepted = condition(&kubectl, "rlink/lonely", "Accepted");
        (accepted == Some(("True".to_owned(), "Accepted".to_owned()))).then_some(())
    });
}

#[test]
fn a_filtered_cycle_is_refused_and_runs_as_soon_as_its_filter_is_gone() {
    let kubectl = namespace("cycle");
    let _operator = Operator::start("cycle", "eu");
    let example = include_str!("../../../../examples/filtered-cycle/manifests.yaml");
    apply(&kubectl, example);
    let waits_for = |type_: &str, status: &str, reason: &str| {
        let wanted = Some((status.to_owned(), reason.to_owned()));
        until(&format!("{type_}={status}, {reason}"), || {
            (condition(&kubectl, "rlink/orders-regions", type_) == wanted).then_some(())
        });
    };
    waits_for("Accepted", "False", "FilteredCycle");
    waits_for("Stalled", "True", "FilteredCycle");
    waits_for("Ready", "False", "FilteredCycle");
    let edges = || {
        let config = appears(&kubectl, "configmap/orders-eu-config");
        let text = config["data"]["sidecar.yaml"].as_str().unwrap().to_owned();
        text.matches("source: ").count()
    };
    assert_eq!(edges(), 0, "nothing of it runs");
    let (without, _) = example.split_once("  filters:").unwrap();
    apply(&kubectl, without);
    waits_for("Accepted", "True", "Accepted");
    until("its edges are there", || (edges() > 0).then_some(()));
}

#[test]
fn what_another_operator_realises_is_left_alone() {
    let kubectl = namespace("neighbours");
    apply(&kubectl, &log(&["eu", "us"], ""));
    let first = Operator::start("neighbours", "eu");
    let set = appears(&kubectl, "statefulset/orders-eu");
    drop(first);
    let _second = Operator::start("neighbours", "us");
    appears(&kubectl, "statefulset/orders-us");
    rest(Duration::from_secs(2));
    let still = kubectl.get("statefulset/orders-eu").unwrap();
    assert_eq!(still["metadata"]["uid"], set["metadata"]["uid"]);
    assert_eq!(still["metadata"]["deletionTimestamp"], Value::Null);
}

#[test]
fn what_the_server_refuses_is_told_and_the_rest_is_done() {
    let kubectl = namespace("invalid");
    let _operator = Operator::start("invalid", "eu");
    let storage = |size: &str| format!("  storage: {{managed: {{size: {size}}}}}\n");
    apply(&kubectl, &log(&["eu", "us"], &storage("1Gi")));
    appears(&kubectl, "statefulset/orders-eu");
    // A StatefulSet never takes another size of its volumes; nor does the definition, but by way of another database.
    let elsewhere = "  storage: {external: {uriSecretRef: {name: database, key: uri}}}\n";
    apply(&kubectl, &log(&["eu", "us"], elsewhere));
    apply(
        &kubectl,
        &log(&["eu", "us"], &(storage("2Gi") + "  replicas: 2\n")),
    );
    until("it says so", || {
        let stalled = condition(&kubectl, "evlog/orders", "Stalled");
        (stalled == Some(("True".to_owned(), "Invalid".to_owned()))).then_some(())
    });
    appears(&kubectl, "poddisruptionbudget/orders-eu");
    apply(&kubectl, &log(&["eu", "us"], elsewhere));
    apply(&kubectl, &log(&["eu", "us"], &storage("1Gi")));
    until("it is mended", || {
        let stalled = condition(&kubectl, "evlog/orders", "Stalled");
        (stalled == Some(("False".to_owned(), "Progressing".to_owned()))).then_some(())
    });
}

#[test]
fn a_log_without_a_location_here_is_left_alone() {
    let kubectl = namespace("elsewhere");
    let _operator = Operator::start("elsewhere", "ap");
    apply(&kubectl, &log(&["eu", "us"], ""));
    until("it says so", || {
        let ready = condition(&kubectl, "evlog/orders", "Ready");
        (ready == Some(("True".to_owned(), "NotLocal".to_owned()))).then_some(())
    });
    let names: Vec<String> = versions(&kubectl).into_keys().collect();
    let names: Vec<&String> = names
        .iter()
        .filter(|n| !n.contains("kube-root-ca"))
        .collect();
    assert_eq!(names, ["EventLog orders"]);
}

#[test]
fn a_secret_that_is_missing_or_wrong_is_named_until_it_is_right() {
    let kubectl = namespace("secrets");
    let _operator = Operator::start("secrets", "eu");
    let storage = "  storage: {external: {uriSecretRef: {name: database, key: uri}}}\n";
    apply(&kubectl, &log(&["eu", "us"], storage));
    let told = |type_: &str, status: &str, reason: &str| {
        let wanted = Some((status.to_owned(), reason.to_owned()));
        until(&format!("{type_}={status} {reason}"), || {
            (condition(&kubectl, "evlog/orders", type_) == wanted).then_some(())
        });
    };
    told("StorageReady", "False", "SecretNotFound");
    told("Stalled", "True", "SecretNotFound");
    let secret = |data: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: database}}\nstringData: {data}\n")
    };
    apply(&kubectl, &secret("{other: x}"));
    told("StorageReady", "False", "SecretInvalid");
    apply(&kubectl, &secret("{uri: mysql://elsewhere}"));
    told("Stalled", "True", "SecretInvalid");
    // Nobody tells of a Secret: it is looked at again by itself.
    apply(&kubectl, &secret("{uri: 'postgres://a:b@elsewhere/c'}"));
    told("Stalled", "False", "Progressing");
    // And one that goes away later.
    let gone = ["delete", "secret", "database"];
    kubectl.run(&gone).unwrap().done().unwrap();
    let look = ["annotate", "evlog/orders", "looked=again"];
    kubectl.run(&look).unwrap().done().unwrap();
    told("Stalled", "True", "SecretNotFound");
}
