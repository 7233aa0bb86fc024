//! The commands of the pages about Kubernetes, each page from its first to its last, as a reader types them.
//!
//! What only looks is repeated until it shows what the page shows; what changes something is done once. The contexts are `eu` and `us`, their namespace is `shop`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use tempfile::TempDir;
use tidelog_docs_tests::expect::{States, matches};
use tidelog_docs_tests::page::{Step, steps};
use tidelog_docs_tests::{CLUSTER_PAGES, root};

use crate::scene::{SOON, SYSTEM, Scene, install, rest};

/// Longer than any command of a page says that it may take.
const PATIENCE: &str = "400";

/// What is there before the first command of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Two clusters without an operator.
    Nothing,
    /// The operator in both, and the log of the example, trusted and synced.
    TwoLocations,
}

/// One test per page, so that they fail apart.
macro_rules! pages {
    ($( $test:ident: $page:literal after $before:ident, )*) => {
        const PAGES: &[&str] = &[$( $page, )*];
        $(
            #[test]
            fn $test() {
                run($page, Before::$before);
            }
        )*
    };
}

pages! {
    the_commands_of_application_work: "docs/guides/kubernetes/application.md" after TwoLocations,
    the_commands_of_gitops_work: "docs/guides/kubernetes/gitops.md" after TwoLocations,
    the_commands_of_install_work: "docs/guides/kubernetes/install.md" after Nothing,
    the_commands_of_security_work: "docs/guides/kubernetes/security.md" after TwoLocations,
    the_commands_of_two_clusters_work: "docs/guides/kubernetes/two-clusters.md" after Nothing,
    the_commands_of_uninstall_work: "docs/guides/kubernetes/uninstall.md" after TwoLocations,
    the_commands_of_upgrade_work: "docs/guides/kubernetes/upgrade.md" after TwoLocations,
}

#[test]
fn no_page_about_kubernetes_is_left_out() {
    assert_eq!(PAGES, CLUSTER_PAGES);
}

fn run(page: &str, before: Before) {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let steps = steps(&text).unwrap();
    assert!(!steps.is_empty(), "{page} shows no command");
    // They cut the network, and name the contexts of the kit.
    let Some(desk) = Desk::new(before) else {
        return;
    };
    for step in &steps {
        if let Err(why) = desk.step(step) {
            let typed = step.command.as_deref().unwrap_or("^C");
            panic!("{page}, block at line {}: {typed}\n{why}", step.line);
        }
    }
}

/// Where a reader sits.
struct Desk {
    scene: Scene,
    directory: TempDir,
}

impl Desk {
    fn new(before: Before) -> Option<Self> {
        let scene = Scene::to_break("shop")?;
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = directory.path().join("kubeconfig");
        fs::copy(scene.clusters.kubeconfig(), &kubeconfig).unwrap();
        let desk = Self { scene, directory };
        for location in ["eu", "us"] {
            let set = format!("kubectl config set-context {location} --namespace=shop");
            desk.done(&set);
            if before == Before::Nothing {
                desk.done(&format!(
                    "helm uninstall tidelog --kube-context {location} --namespace {SYSTEM} --wait --timeout 2m"
                ));
            }
        }
        if before == Before::TwoLocations {
            desk.scene.two_locations("");
        }
        Some(desk)
    }

    /// A shell in the checkout, with the programs that a page takes for granted.
    fn shell(&self, typed: &str) -> (bool, Vec<String>) {
        let clusters = self.scene.clusters;
        let tidelog = env::var("TIDELOG_CLI")
            .expect("TIDELOG_CLI names the program `tidelog`; `make test-cluster` sets it");
        let tidelog = Path::new(&tidelog).parent().unwrap();
        let path = format!(
            "{}:{}:{}",
            clusters.programs().display(),
            tidelog.display(),
            env::var("PATH").unwrap_or_default()
        );
        let output = Command::new("timeout")
            .args([PATIENCE, "bash", "-c"])
            .arg(format!("exec 2>&1\nset -o pipefail\n{typed}"))
            .current_dir(root())
            .env("PATH", path)
            .env("KUBECONFIG", self.directory.path().join("kubeconfig"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let lines = said.lines().filter(|line| !is_about_a_watch(line));
        (output.status.success(), lines.map(str::to_owned).collect())
    }

    fn done(&self, typed: &str) {
        let (success, said) = self.shell(typed);
        assert!(success, "{typed}: {}", said.join("\n"));
    }

    /// Does what a page says; an error tells what it shows and what was seen instead.
    fn step(&self, step: &Step) -> Result<(), String> {
        let Some(typed) = &step.command else {
            return Err("nothing runs that could be interrupted".to_owned());
        };
        if step.not_run().is_some() || typed.starts_with("export ") {
            // The programs and the clusters are there already.
            return Ok(());
        }
        if typed.starts_with("make ") {
            self.done(&format!("{typed} --dry-run"));
            return Ok(());
        }
        let look = looks(typed);
        let states = if look { States::Exact } else { States::Moving };
        let end = Instant::now() + SOON;
        loop {
            let (success, said) = self.shell(typed);
            if matches(&step.answer, &said, states) && success != fails(step) {
                return Ok(());
            }
            if !look || Instant::now() > end {
                let how = if success { "well" } else { "with an error" };
                return Err(format!(
                    "the page shows\n{}\n---- seen, it ended {how}\n{}",
                    step.answer.join("\n"),
                    said.join("\n")
                ));
            }
            rest(Duration::from_millis(500));
        }
    }
}

/// Helm waits by watches, and at times their library tells that one was ended, which it was asked to do.
fn is_about_a_watch(line: &str) -> bool {
    line.starts_with(['I', 'W', 'E']) && line.contains(" reflector.go:")
}

/// Whether a command changes nothing.
fn looks(typed: &str) -> bool {
    let words: Vec<&str> = typed.split_whitespace().collect();
    let verbs: &[&str] = match words.first() {
        Some(&"kubectl") => &["get", "logs", "describe", "events", "can-i"],
        Some(&"tidelog") => &["read", "diff", "status", "verify"],
        _ => return false,
    };
    // Before the first pipe there is one command.
    let first = words.iter().take_while(|word| **word != "|");
    first.skip(1).any(|word| verbs.contains(word))
}

/// A command whose answer is an error, or `no`, has to end as a failure, any other as a success.
fn fails(step: &Step) -> bool {
    let error = |line: &String| line.starts_with("error") || line.starts_with("Error");
    step.answer == ["no"] || step.answer.iter().any(error)
}

impl Drop for Desk {
    fn drop(&mut self) {
        // The next test finds a network that is whole, and the operator, whatever the page has left.
        let clusters = self.scene.clusters;
        let _ = clusters.kit(&["heal"]);
        for location in ["eu", "us"] {
            if thread::panicking() {
                // Nothing may fail here a second time.
                let _ = std::panic::catch_unwind(|| install(clusters, location));
            } else {
                install(clusters, location);
            }
        }
    }
}
