//! A plan that is refused while real sidecars run what was in force before: they go on, and everybody is told the truth about it.

use serde_json::json;

use crate::definitions::namespace;
use crate::operator::Operator;
use crate::reconcile::{apply, condition, link, until};
use crate::sidecars::{Node, log};

const NETWORK: u8 = 36;

#[test]
fn one_link_that_is_refused_leaves_the_others_running_and_what_waits_for_it_says_so() {
    let kubectl = namespace("rejected");
    let _operator = Operator::start("rejected", "*");
    let mut node = Node::new(&kubectl, NETWORK);
    apply(&kubectl, &log(NETWORK));
    apply(&kubectl, &link("orders", "eu, us", ""));
    let (eu, us) = (node.start("eu"), node.start("us"));
    let told = |object: &str, type_: &str, status: &str, reason: &str| {
        let wanted = Some((status.to_owned(), reason.to_owned()));
        until(&format!("{object} {type_}={status} {reason}"), || {
            (condition(&kubectl, object, type_) == wanted).then_some(())
        });
    };
    let delete = |name: &str| {
        kubectl
            .run(&["delete", "rlink", name])
            .unwrap()
            .done()
            .unwrap();
    };
    let runs = || {
        told("rlink/orders", "Connected", "True", "Connected");
        told("rlink/orders", "Synced", "True", "CaughtUp");
        let object = kubectl.get("rlink/orders").unwrap();
        assert_eq!(object["status"]["edgesConnected"], json!("2/2"));
        let head = us.sidecar().location_status().head;
        node.append("eu");
        until("an event arrives", || {
            (us.sidecar().location_status().head > head).then_some(())
        });
    };
    runs();

    // Another one is refused: that one does not run, and this one does.
    apply(&kubectl, &link("nowhere", "eu, mars", ""));
    told("rlink/nowhere", "Accepted", "False", "UnknownLocation");
    told("rlink/nowhere", "Connected", "Unknown", "UnknownLocation");
    told("evlog/orders", "Stalled", "True", "PlanRejected");
    told("evlog/orders", "Ready", "True", "Serving");
    told("rlink/orders", "Accepted", "True", "Accepted");
    told("rlink/orders", "Ready", "True", "Connected");
    runs();

    // What is changed meanwhile is not in force, and says why.
    apply(&kubectl, &link("orders", "eu, us", "  paused: true\n"));
    told("rlink/orders", "Accepted", "False", "PlanRejected");
    told("rlink/orders", "Ready", "False", "PlanRejected");
    told("rlink/orders", "Stalled", "True", "PlanRejected");
    runs();
    delete("nowhere");
    told("rlink/orders", "Connected", "False", "Paused");
    told("rlink/orders", "Accepted", "True", "Accepted");
    told("evlog/orders", "Stalled", "False", "Progressing");
    apply(&kubectl, &link("orders", "eu, us", ""));
    runs();

    // It is refused itself: what it said before runs on.
    apply(&kubectl, &link("orders", "eu, us, mars", ""));
    told("rlink/orders", "Accepted", "False", "UnknownLocation");
    told("rlink/orders", "Ready", "False", "UnknownLocation");
    runs();
    apply(&kubectl, &link("orders", "eu, us", ""));
    told("rlink/orders", "Ready", "True", "Connected");
    told("evlog/orders", "Stalled", "False", "Progressing");
    node.stop(eu);
    node.stop(us);
}
