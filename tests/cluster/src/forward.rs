//! A port of a pod on this machine.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result};

use crate::kubectl::Kubectl;

/// `kubectl port-forward`, until it is dropped.
pub struct Forward {
    child: Child,
    address: String,
}

impl Forward {
    /// Forwards a port of a pod, from a free one of 127.0.0.1.
    pub fn start(kubectl: &Kubectl, pod: &str, port: u16) -> Result<Self> {
        let mut child = kubectl
            .command(&["port-forward", pod, &format!(":{port}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("kubectl port-forward")?;
        let output = child.stdout.take().context("its output")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line)?;
        // Forwarding from 127.0.0.1:40123 -> 7440
        let address = line
            .split_whitespace()
            .find(|word| word.starts_with("127.0.0.1:"))
            .with_context(|| format!("kubectl port-forward said {line:?}"))?
            .to_owned();
        // It tells of each connection; somebody has to listen.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Ok(Self { child, address })
    }

    /// Whether it still forwards: it ends with the first connection that the pod resets.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.address.clone()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
