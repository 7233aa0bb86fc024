//! `kubectl` as a person runs it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::look;

/// `kubectl` for one user and one namespace.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    context: Option<String>,
    namespace: Option<String>,
    looks: bool,
}

/// What it said.
#[derive(Debug)]
pub struct Answer {
    /// The command, for messages.
    pub command: String,
    /// Whether it went well.
    pub success: bool,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Kubectl {
    pub(crate) fn new(program: PathBuf, kubeconfig: PathBuf) -> Self {
        Self {
            program,
            kubeconfig,
            context: None,
            namespace: None,
            looks: false,
        }
    }

    /// Looks at single objects itself, over a connection that stays: nobody cuts or moves this server.
    pub(crate) fn looking(mut self) -> Self {
        self.looks = true;
        self
    }

    /// For a context of the file.
    #[must_use]
    pub fn in_context(mut self, name: &str) -> Self {
        self.context = Some(name.to_owned());
        self
    }

    /// For commands in a namespace.
    #[must_use]
    pub fn in_namespace(mut self, name: &str) -> Self {
        self.namespace = Some(name.to_owned());
        self
    }

    /// Runs it.
    pub fn run(&self, arguments: &[&str]) -> Result<Answer> {
        self.run_with(arguments, "")
    }

    /// Runs it with something on standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Result<Answer> {
        Answer::of(
            &mut self.command(arguments),
            format!("kubectl {}", arguments.join(" ")),
            input,
        )
    }

    /// What would run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        command.args(arguments);
        command
    }

    /// `kubectl apply` of a manifest.
    pub fn apply(&self, manifest: &str) -> Result<Answer> {
        self.run_with(&["apply", "-f", "-"], manifest)
    }

    /// An object as JSON.
    pub fn get(&self, object: &str) -> Result<Value> {
        if let (true, None, Some(namespace)) = (self.looks, &self.context, &self.namespace)
            && let Some(found) = look::get(&self.kubeconfig, namespace, object)
        {
            return found;
        }
        let answer = self.run(&["get", object, "-o", "json"])?.done()?;
        Ok(serde_json::from_str(&answer.output)?)
    }
}

impl Answer {
    /// Runs a program, shown as `name`, with something on standard input.
    pub(crate) fn of(command: &mut Command, name: String, input: &str) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let mut pipe = child.stdin.take().context("its input")?;
        pipe.write_all(input.as_bytes())?;
        drop(pipe);
        let output = child.wait_with_output()?;
        Ok(Self {
            command: name,
            success: output.status.success(),
            output: String::from_utf8(output.stdout)?,
            errors: String::from_utf8(output.stderr)?,
        })
    }

    /// The answer itself, when the command went well.
    pub fn done(self) -> Result<Self> {
        ensure!(self.success, "{}: {}", self.command, self.errors.trim());
        Ok(self)
    }
}
