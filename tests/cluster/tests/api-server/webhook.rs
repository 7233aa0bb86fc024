//! Pods that ask for a sidecar by a label get one before they are stored.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use serde_json::{Value, json};
use tidelog_cluster_tests::{ApiServer, Kubectl};
use tidelog_webhook::{Webhook, WebhookOptions};
use tokio::sync::oneshot;

use crate::definitions::namespace;
use crate::operator::{account, grant, granted, release};
use crate::reconcile::{apply, log, until};

/// A webhook that the API server reaches on this machine.
struct Served {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
}

impl Served {
    fn start(namespace: &str) -> Self {
        let (release, system) = release(namespace);
        let options = WebhookOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            service: None,
            namespace: system,
            secret: format!("{release}-webhook-certificate"),
            configuration: format!("tidelog-{namespace}"),
            location: "*".to_owned(),
            image: "tidelog/sidecar:test".to_owned(),
        };
        grant(ApiServer::shared(), namespace);
        let account = account(namespace);
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let config = granted(ApiServer::shared(), account, None).await;
                let client = kube::Client::try_from(config).unwrap();
                let webhook = Webhook::start(client, options).await.unwrap();
                tell.send(webhook.address()).unwrap();
                let _ = stopped.await;
            });
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
            address: told.recv().unwrap(),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok());
        }
    }
}

/// As the chart writes it, with an address instead of a Service.
fn configuration(namespace: &str, address: SocketAddr) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": format!("tidelog-{namespace}")},
        "webhooks": [{
            "name": "inject.tidelog.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "reinvocationPolicy": "IfNeeded",
            "timeoutSeconds": 5,
            "objectSelector": {"matchExpressions": [
                {"key": "tidelog.dev/inject", "operator": "Exists"},
                {"key": "app.kubernetes.io/managed-by", "operator": "NotIn", "values": ["tidelog-operator"]},
            ]},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "clientConfig": {"url": format!("https://localhost:{}/inject", address.port())},
        }],
    })
}

fn pod(name: &str, labels: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {labels}}}
spec:
  automountServiceAccountToken: false
  securityContext: {{runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: shop
    image: shop
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"
    )
}

fn refused(kubectl: &Kubectl, labels: &str) -> String {
    let answer = kubectl.apply(&pod("refused", labels)).unwrap();
    assert!(!answer.success, "{}", answer.output);
    answer.errors
}

#[test]
fn a_pod_with_the_label_gets_a_sidecar_and_others_are_left_alone() {
    let kubectl = namespace("webhook");
    let restricted = "pod-security.kubernetes.io/enforce=restricted";
    let label = ["label", "namespace", "webhook", restricted];
    kubectl.run(&label).unwrap().done().unwrap();
    apply(
        &kubectl,
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default}}",
    );
    apply(&kubectl, &log(&["eu", "us"], ""));
    let served = Served::start("webhook");
    let configuration = configuration("webhook", served.address);
    apply(&kubectl, &configuration.to_string());
    until("it is trusted", || {
        let hook = kubectl.get("mutatingwebhookconfiguration/tidelog-webhook");
        let bundle = hook.ok()?["webhooks"][0]["clientConfig"]["caBundle"].clone();
        bundle.is_string().then_some(())
    });
    let wanted = "{tidelog.dev/inject: orders, tidelog.dev/inject-location: us}";
    until("a pod with a sidecar", || {
        let dry = kubectl.apply(&pod("asked", wanted)).ok()?;
        dry.success.then_some(())
    });
    let asked = kubectl.get("pod/asked").unwrap();
    let sidecar = &asked["spec"]["initContainers"][0];
    assert_eq!(sidecar["name"], "tidelog");
    assert_eq!(sidecar["image"], "tidelog/sidecar:test");
    assert_eq!(sidecar["restartPolicy"], "Always");
    assert!(sidecar["args"].to_string().contains("--location=us"));
    let volumes = asked["spec"]["volumes"].to_string();
    assert!(volumes.contains("orders-us-client"), "{volumes}");

    // Whoever asks for nothing gets nothing, also while nobody answers.
    apply(&kubectl, &pod("plain", "{app: shop}"));
    let plain = kubectl.get("pod/plain").unwrap();
    assert_eq!(plain["spec"]["initContainers"], Value::Null);

    for (labels, told) in [
        (
            "{tidelog.dev/inject: other}",
            "there is no EventLog other in namespace webhook",
        ),
        (
            "{tidelog.dev/inject: orders}",
            "choose one of eu, us with label tidelog.dev/inject-location",
        ),
        (
            "{tidelog.dev/inject: orders, tidelog.dev/inject-location: ap}",
            "it has eu, us",
        ),
    ] {
        let errors = refused(&kubectl, labels);
        assert!(errors.contains(told), "{errors}");
    }

    // Another certificate, and the API server trusts that.
    let bundle = || {
        let hook = kubectl.get("mutatingwebhookconfiguration/tidelog-webhook");
        hook.unwrap()["webhooks"][0]["clientConfig"]["caBundle"].clone()
    };
    let before = bundle();
    let delete = ["delete", "secret", "tidelog-webhook-webhook-certificate"];
    let system = ApiServer::shared().kubectl().in_namespace("webhook-system");
    system.run(&delete).unwrap().done().unwrap();
    drop(served);
    let errors = refused(&kubectl, wanted);
    assert!(errors.contains("inject.tidelog.dev"), "{errors}");
    apply(&kubectl, &pod("meanwhile", "{app: shop}"));
    let again = Served::start("webhook");
    let port = format!("https://localhost:{}/inject", again.address.port());
    let moved = json!([{"op": "replace", "path": "/webhooks/0/clientConfig/url", "value": port}]);
    let hook = "mutatingwebhookconfiguration/tidelog-webhook";
    let patch = ["patch", hook, "--type=json", "-p", &moved.to_string()];
    kubectl.run(&patch).unwrap().done().unwrap();
    until("another authority is trusted", || {
        (bundle() != before).then_some(())
    });
    until("a pod with a sidecar again", || {
        let taken = kubectl.apply(&pod("again", wanted)).ok()?;
        taken.success.then_some(())
    });
}
