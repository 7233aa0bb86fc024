//! Watches that are late or silent, and writes that somebody else has overtaken.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tidelog_cluster_tests::ApiServer;
use tidelog_harness::proxy::{Flow, Proxy, Rules, Treatment};
use tokio::runtime::Runtime;

use crate::definitions::namespace;
use crate::operator::{Between, Operator};
use crate::reconcile::{appears, apply, condition, link, log, until};
use crate::sidecars::{self, Node};

/// A proxy in front of the API server.
pub fn proxy() -> Proxy {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let kubectl = ApiServer::shared().kubectl();
    let said = kubectl.run(&["config", "view", "--minify", "-o", "json"]);
    let config: Value = serde_json::from_str(&said.unwrap().done().unwrap().output).unwrap();
    let address = config["clusters"][0]["cluster"]["server"].as_str().unwrap();
    let address: SocketAddr = address.strip_prefix("https://").unwrap().parse().unwrap();
    let runtime = RUNTIME.get_or_init(|| Runtime::new().unwrap());
    runtime.block_on(Proxy::start(Some(address))).unwrap()
}

fn behind(proxy: &Proxy) -> Between {
    Between {
        address: Some(proxy.address()),
        before: None,
    }
}

#[test]
fn an_operator_whose_watches_are_late_says_so_once_and_goes_on_when_they_come() {
    let kubectl = namespace("late");
    let proxy = proxy();
    let held_back = Treatment {
        flow: Flow::Stall,
        ..Treatment::default()
    };
    proxy.set(Rules {
        down: held_back,
        ..Rules::default()
    });
    let operator = Operator::start_behind("late", "eu", behind(&proxy));
    apply(&kubectl, &log(&["eu", "us"], ""));
    let late = |kind: &str| {
        let said = operator.said();
        let of_kind = said.lines().filter(|line| {
            line.contains("has not told yet") && line.contains(&format!("kind=\"{kind}\""))
        });
        of_kind.count()
    };
    for kind in ["EventLog", "ReplicationLink", "StatefulSet", "Pod"] {
        until(kind, || (late(kind) > 0).then_some(()));
    }
    assert!(kubectl.get("statefulset/orders-eu").is_err());
    proxy.mend();
    appears(&kubectl, "statefulset/orders-eu");
    until("it is taken back", || {
        let said = operator.said();
        said.contains("tells of this kind again").then_some(())
    });
    assert_eq!(late("StatefulSet"), 1, "{}", operator.said());
}

#[test]
fn a_watch_that_has_fallen_silent_is_opened_anew() {
    let kubectl = namespace("silent");
    let proxy = proxy();
    let _operator = Operator::start_behind("silent", "eu", behind(&proxy));
    apply(&kubectl, &log(&["eu", "us"], ""));
    appears(&kubectl, "statefulset/orders-eu");
    // Whoever has a connection keeps it and hears nothing any more.
    proxy.half_open();
    let second = log(&["eu", "us"], "").replace("name: orders", "name: audit");
    apply(&kubectl, &second);
    appears(&kubectl, "statefulset/audit-eu");
}

#[test]
fn a_record_that_was_overtaken_by_somebody_else_is_written_on_top_of_theirs() {
    let kubectl = namespace("overtaken");
    let (armed, theirs) = (Arc::new(AtomicBool::new(false)), kubectl.clone());
    let is_armed = Arc::clone(&armed);
    // Between the operator's look and its write.
    let interfere = move |request: &str| {
        let is_record = request.starts_with("PUT ") && request.ends_with("/orders-eu-witness");
        if is_record && is_armed.swap(false, Ordering::SeqCst) {
            let annotate = ["annotate", "configmap", "orders-eu-witness", "theirs=kept"];
            theirs.run(&annotate).unwrap().done().unwrap();
        }
    };
    let between = Between {
        address: None,
        before: Some(Arc::new(interfere)),
    };
    let operator = Operator::start_behind("overtaken", "eu", between);
    let mut node = Node::new(&kubectl, 34);
    apply(&kubectl, &sidecars::log(34));
    apply(&kubectl, &link("orders", "eu, us", ""));
    let eu = node.start("eu");
    until("the log is ready", || {
        let ready = condition(&kubectl, "evlog/orders", "Ready")?;
        (ready.0 == "True").then_some(())
    });
    node.append("eu");
    armed.store(true, Ordering::SeqCst);
    node.stop(eu);
    let record = node.witness("eu").unwrap();
    assert!(record.contains("cleanStop"), "{record}");
    assert!(record.contains("\"sequence\":1"), "{record}");
    assert!(!armed.load(Ordering::SeqCst), "nobody interfered");
    let refused = operator.refused(409);
    assert_eq!(refused.len(), 1, "{refused:?}");
    let object = kubectl.get("configmap/orders-eu-witness").unwrap();
    assert_eq!(object["metadata"]["annotations"]["theirs"], "kept");
}
