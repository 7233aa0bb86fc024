//! Two whole clusters with nodes and real pods, joined by a network that can be cut.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use anyhow::{Context as _, Result, bail, ensure};

use crate::api_server::{install, kit};
use crate::kubectl::{Answer, Kubectl};

/// Two clusters. Their script ends them when this process ends, in whatever way.
pub struct Clusters {
    programs: PathBuf,
    kubeconfig: PathBuf,
    /// Contexts of the clusters of `eu` and `us`.
    contexts: [String; 2],
    /// Absent where somebody else's clusters are used.
    script: Option<Mutex<Child>>,
}

impl Clusters {
    /// The ones that all tests of this process share: those of the kit, or two contexts that `TIDELOG_CONTEXTS=EU,US` names.
    ///
    /// # Panics
    /// When they cannot be started: without them no test of this binary means anything.
    #[expect(clippy::panic, reason = "for tests")]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<Clusters>> = OnceLock::new();
        match SHARED.get_or_init(Self::start) {
            Ok(clusters) => clusters,
            Err(error) => panic!("no clusters: {error:#}"),
        }
    }

    fn start() -> Result<Self> {
        if let Ok(named) = env::var("TIDELOG_CONTEXTS") {
            let contexts: Vec<String> = named.split(',').map(str::to_owned).collect();
            let Ok(contexts) = <[String; 2]>::try_from(contexts) else {
                bail!(
                    "TIDELOG_CONTEXTS={named}: name two contexts, those of eu and us, with a comma between them"
                );
            };
            let kubeconfig =
                env::var("KUBECONFIG").context("KUBECONFIG names the file of these contexts")?;
            return Ok(Self {
                programs: install("helm")?,
                kubeconfig: PathBuf::from(kubeconfig),
                contexts,
                script: None,
            });
        }
        let programs = install("helm")?;
        let mut script = Command::new(kit("two.sh"))
            .arg("test")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start two.sh")?;
        let mut line = String::new();
        let output = script.stdout.take().context("its output")?;
        BufReader::new(output).read_line(&mut line)?;
        let Some(kubeconfig) = line.trim().strip_prefix("ready ") else {
            bail!("two.sh ended with {}", script.wait()?);
        };
        Ok(Self {
            programs,
            kubeconfig: PathBuf::from(kubeconfig),
            contexts: ["eu".to_owned(), "us".to_owned()],
            script: Some(Mutex::new(script)),
        })
    }

    /// Whether nodes, networks and volumes may be broken: not those of somebody else.
    pub fn are_ours(&self) -> bool {
        self.script.is_some()
    }

    /// The file with the contexts of both.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The folder with `kubectl` and `helm`.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The context of location `eu` or `us`.
    pub fn context(&self, location: &str) -> &str {
        &self.contexts[usize::from(location != "eu")]
    }

    /// `kubectl` as administrator.
    pub fn kubectl(&self, location: &str) -> Kubectl {
        let kubectl = Kubectl::new(self.programs.join("kubectl"), self.kubeconfig.clone());
        kubectl.in_context(self.context(location))
    }

    /// Runs Helm.
    pub fn helm(&self, location: &str, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new(self.programs.join("helm"));
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command.args(["--kube-context", self.context(location)]);
        run(command.args(arguments))
    }

    /// Runs the command line of Tidelog with both contexts.
    pub fn tidelog(&self, arguments: &[&str]) -> Result<Answer> {
        self.tidelog_at(&["eu", "us"], arguments)
    }

    /// The same with the contexts of some locations.
    pub fn tidelog_at(&self, locations: &[&str], arguments: &[&str]) -> Result<Answer> {
        let program = env::var("TIDELOG_CLI")
            .context("TIDELOG_CLI names the program `tidelog`; `make test-cluster` sets it")?;
        let mut command = Command::new(program);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        for location in locations {
            command.args(["--context", self.context(location)]);
        }
        run(command.args(arguments))
    }

    /// Runs a command of `kit/cluster.sh`.
    pub fn kit(&self, arguments: &[&str]) -> Result<Answer> {
        ensure!(self.are_ours(), "these clusters belong to somebody else");
        run(Command::new(kit("cluster.sh")).args(arguments))
    }
}

fn run(command: &mut Command) -> Result<Answer> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {command:?}"))?;
    Ok(Answer {
        command: format!("{command:?}"),
        success: output.status.success(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
