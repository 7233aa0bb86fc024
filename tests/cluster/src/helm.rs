//! Helm as a person runs it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::api_server::install;
use crate::kubectl::Answer;

/// Helm, with or without a cluster.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// Helm without a cluster, for `lint`, `template` and `package`; it is built if need be.
    pub fn new() -> Result<Self> {
        let program = install("helm")?.join("helm");
        Ok(Self {
            program,
            kubeconfig: None,
        })
    }

    /// With the cluster of this file.
    #[must_use]
    pub fn at(mut self, kubeconfig: PathBuf) -> Self {
        self.kubeconfig = Some(kubeconfig);
        self
    }

    /// Runs it.
    pub fn run(&self, arguments: &[&str]) -> Result<Answer> {
        self.run_with(arguments, "")
    }

    /// Runs it with something on standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Result<Answer> {
        let mut command = Command::new(&self.program);
        // Of whoever runs the tests: what that person has set is none of their business.
        for set in ["KUBECONFIG", "HELM_NAMESPACE", "HELM_KUBECONTEXT"] {
            command.env_remove(set);
        }
        if let Some(kubeconfig) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(kubeconfig);
        }
        let name = format!("helm {}", arguments.join(" "));
        Answer::of(command.args(arguments), name, input)
    }
}
