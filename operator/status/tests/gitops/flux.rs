//! The expressions of `examples/gitops`, as Flux evaluates them.

use cel::{Context, Program, Value as Outcome};
use serde_json::Value;

use crate::kstatus::Kstatus;

const KUSTOMIZATION: &str = include_str!("../../../../examples/gitops/flux.yaml");

pub struct Flux {
    kustomization: Value,
}

impl Flux {
    pub fn new() -> Self {
        let kustomization = serde_yaml::from_str(KUSTOMIZATION).unwrap();
        Self { kustomization }
    }

    /// What is made of an object. No expression holds together with another one, so their order does not matter.
    pub fn read(&self, object: &Value) -> Kstatus {
        let all = self.kustomization["spec"]["healthCheckExprs"].as_array();
        let mut all = all.unwrap().iter();
        let mine = all.find(|one| one["kind"] == object["kind"]).unwrap();
        assert_eq!(mine["apiVersion"], object["apiVersion"]);
        let holds = |field: &str| evaluate(mine[field].as_str().unwrap(), object);
        match (holds("current"), holds("failed")) {
            (true, true) => panic!("both done and failed"),
            (true, false) => Kstatus::Current,
            (false, true) => Kstatus::Failed,
            (false, false) => Kstatus::InProgress,
        }
    }
}

/// Whether it holds; a field that is not there yet makes Flux wait.
fn evaluate(expression: &str, object: &Value) -> bool {
    let mut context = Context::default();
    for field in ["apiVersion", "kind", "metadata", "spec", "status"] {
        context.add_variable(field, &object[field]).unwrap();
    }
    let program = Program::compile(expression).unwrap();
    matches!(program.execute(&context), Ok(Outcome::Bool(true)))
}
