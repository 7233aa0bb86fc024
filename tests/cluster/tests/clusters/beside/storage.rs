//! Databases of somebody else: one that a Secret names, and one as CloudNativePG leaves it. Without TLS, asked for by name.

use crate::scene::{Scene, until};

/// What somebody else runs. As a volume it has what is gone with it: nothing here ends it.
const DATABASE: &str = "
apiVersion: v1
kind: Service
metadata: {name: database}
spec:
  selector: {app: database}
  ports: [{port: 5432}]
---
apiVersion: v1
kind: Pod
metadata: {name: database, labels: {app: database}}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 999, runAsGroup: 999, fsGroup: 999, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: postgres
    image: postgres:15
    imagePullPolicy: IfNotPresent
    env:
    - {name: POSTGRES_USER, value: owner}
    - {name: POSTGRES_DB, value: shop}
    - {name: POSTGRES_PASSWORD, value: right}
    - {name: POSTGRES_INITDB_ARGS, value: --auth-host=scram-sha-256}
    - {name: PGDATA, value: /var/lib/postgresql/data/pgdata}
    readinessProbe: {exec: {command: [pg_isready, -U, owner, -d, shop, -h, 127.0.0.1]}, periodSeconds: 2}
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    volumeMounts:
    - {name: data, mountPath: /var/lib/postgresql/data}
    - {name: run, mountPath: /var/run/postgresql}
    - {name: tmp, mountPath: /tmp}
  volumes: [{name: data, emptyDir: {}}, {name: run, emptyDir: {}}, {name: tmp, emptyDir: {}}]
";

/// A Secret that leads to it.
fn secret(name: &str, password: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{uri: 'postgres://owner:{password}@database:5432/shop'}}\n"
    )
}

#[test]
fn databases_of_somebody_else_are_used_by_their_secrets() {
    let scene = Scene::beside_others("storage");
    let storage = "  tls: {insecure: true}\n  storage: {external: {uriSecretRef: {name: database, key: uri}}}\n";
    // At us as CloudNativePG has it: Secret `pg-app`, key `uri`.
    let manifests = scene.manifests(storage);
    let place = manifests.lines().find(|line| line.contains("{name: us,"));
    let place = place.unwrap();
    let other = place.replace("}}", "}, storage: {cloudNativePg: {clusterName: pg}}}");
    let manifests = manifests.replace(place, &other);
    scene.apply(DATABASE);
    scene.apply(&manifests);
    for (location, name) in [("eu", "database"), ("us", "pg-app")] {
        let (reason, message) = scene.wait(location, "evlog/orders", "StorageReady", "False");
        assert_eq!(reason, "SecretNotFound", "{message}");
        assert!(message.contains(name), "{message}");
    }

    // One of them with a password that is wrong: no append, and a sentence about it.
    let apply = |location: &str, manifest: &str| {
        scene.at(location).apply(manifest).unwrap().done().unwrap();
    };
    apply("us", &secret("pg-app", "right"));
    apply("eu", &secret("database", "wrong"));
    scene.wait("us", "evlog/orders", "Ready", "True");
    until("the database refuses eu", || {
        let (_, reason, message) = scene.condition("eu", "evlog/orders", "StorageReady")?;
        (reason == "StorageUnavailable" && message.contains("refuses the login")).then_some(())
    });
    apply("eu", &secret("database", "right"));
    scene.synced();
    let (_, reason, _) = scene
        .condition("eu", "evlog/orders", "CertificatesReady")
        .unwrap();
    assert_eq!(reason, "Insecure");
    scene.append("eu");
    scene.append("us");
    until("everything is everywhere", || {
        (scene.count("eu") == 2 && scene.count("us") == 2).then_some(())
    });

    // A Secret that is gone is told of, and what runs goes on.
    let gone = ["delete", "secret", "database"];
    scene.at("eu").run(&gone).unwrap().done().unwrap();
    let (reason, message) = scene.wait("eu", "evlog/orders", "Stalled", "True");
    assert_eq!(reason, "SecretNotFound", "{message}");
    scene.append("eu");
    apply("eu", &secret("database", "right"));
    scene.wait("eu", "evlog/orders", "Stalled", "False");
    scene.wait("eu", "evlog/orders", "StorageReady", "True");
    until("everything is everywhere", || {
        (scene.count("eu") == 3 && scene.count("us") == 3).then_some(())
    });
    scene.same();
    // Nobody was asked for a volume.
    let claims = scene.at("eu").run(&["get", "pvc", "-o", "name"]).unwrap();
    assert_eq!(claims.done().unwrap().output, "");
}
