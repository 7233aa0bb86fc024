//! The definitions, put into the server once for all tests.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use tidelog_cluster_tests::{ApiServer, Kubectl};

/// A namespace of its own on a server that knows the kinds.
pub fn namespace(name: &str) -> Kubectl {
    static APPLIED: OnceLock<()> = OnceLock::new();
    let server = ApiServer::shared();
    APPLIED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
        let kubectl = server.kubectl();
        let folder = folder.to_str().unwrap();
        let applied = kubectl.run(&["apply", "-f", folder]).unwrap();
        let applied = applied.done().unwrap();
        assert_eq!(applied.errors, "", "the server warns about a definition");
        let established = ["wait", "--for=condition=Established", "--timeout=30s"];
        let kinds = ["-f", folder];
        let waited = kubectl.run(&[&established[..], &kinds].concat());
        waited.unwrap().done().unwrap();
    });
    server.namespace(name).unwrap()
}

#[test]
fn definitions_are_accepted_without_a_word_and_applied_again_unchanged() {
    namespace("definitions");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds")).unwrap() {
        let file = entry.unwrap().path();
        let again = ApiServer::shared()
            .kubectl()
            .run(&["apply", "-f", file.to_str().unwrap()])
            .unwrap()
            .done()
            .unwrap();
        assert!(again.output.ends_with("unchanged\n"), "{}", again.output);
    }
}
