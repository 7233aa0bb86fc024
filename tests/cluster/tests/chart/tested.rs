//! `helm test`: its pod speaks to a log as a pod does that was given a sidecar.

use serde_json::{Value, json};
use tidelog_build::{Injection, inject};

use crate::chart::{objects, only};

/// The sidecar that the operator's own code puts into a pod.
fn injected(trust_domain: &str, insecure: bool) -> Value {
    let injection = Injection {
        log: "orders".to_owned(),
        location: "eu".to_owned(),
        trust_domain: trust_domain.to_owned(),
        insecure,
        image: "tidelog/sidecar:0.1.0".to_owned(),
    };
    let mut pod = json!({"kind": "Pod", "metadata": {}, "spec": {"containers": [{"name": "one"}]}});
    inject(&mut pod, &injection).unwrap();
    pod["spec"].clone()
}

/// What a sidecar is told, the socket aside: the commands of the test use the port.
fn told(pod: &Value) -> Vec<&Value> {
    let told = pod["initContainers"][0]["args"].as_array().unwrap().iter();
    told.filter(|a| !a.as_str().unwrap().starts_with("--socket="))
        .collect()
}

fn client(pod: &Value) -> Option<&Value> {
    let mut volumes = pod["volumes"].as_array()?.iter();
    volumes.find(|volume| volume["name"] == "tidelog-client")
}

#[test]
fn the_pod_of_the_test_reaches_a_log_as_its_spec_says_in_plain_text_and_with_another_trust_domain()
{
    for (values, trust_domain, insecure) in [
        ("{}", "tidelog", false),
        ("{trustDomain: example.com}", "example.com", false),
        ("{insecure: true}", "tidelog", true),
    ] {
        let objects = objects(&format!("{{location: {{name: eu}}, test: {values}}}"));
        let pod = &only(&objects, "Pod")["spec"];
        let wanted = injected(trust_domain, insecure);
        assert_eq!(told(pod), told(&wanted), "{values}");
        assert_eq!(client(pod), client(&wanted), "{values}");
        assert_eq!(client(pod).is_none(), insecure, "{values}");
        let mounts = pod["initContainers"][0]["volumeMounts"].as_array();
        assert_eq!(mounts.is_none_or(Vec::is_empty), insecure, "{values}");
    }
}
