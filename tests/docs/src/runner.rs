//! Runs a page from its first command to its last.
//!
//! `make run` and `tidelog dev` stay in the background until the page interrupts them or ends; everything else is waited for. What only
//! looks (`tidelog status`, `curl`) is repeated until it shows what the page shows, as a reader would; what changes something is done once.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tidelog_harness::process::{self, Process};
use tokio::time::sleep;

use crate::expect::{States, begins, matches};
use crate::page::{Step, steps};
use crate::root;
use crate::workplace::Workplace;

/// How long a command may take, or a running program until it has said what the page shows.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a look may need to show what the page shows.
const SETTLED: Duration = Duration::from_secs(30);
/// How long a `tidelog tail` may need, before it is started again.
const TAIL: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// Commands that change nothing.
const LOOKS: [&str; 12] = [
    "tidelog status",
    "tidelog read",
    "tidelog diff",
    "tidelog verify",
    "tidelog plan",
    "tidelog filter test",
    "curl ",
    "cat ",
    "ls ",
    "grpcurl -plaintext localhost:7440 list",
    "grpcurl -plaintext localhost:7440 describe",
    "grep ",
];

/// Runs all commands of a page below the root; an error says what it shows and what was seen instead.
pub async fn run(page: &str) -> Result<()> {
    let text = fs::read_to_string(root().join(page)).with_context(|| format!("read {page}"))?;
    let steps = steps(&text).with_context(|| page.to_owned())?;
    ensure!(
        !steps.is_empty(),
        "{page} shows no command in a `console` block"
    );
    let mut session = Session {
        place: Workplace::new(&text).await?,
        exported: Vec::new(),
        running: Vec::new(),
    };
    for step in &steps {
        if let Err(error) = session.step(step).await {
            let programs = session.logs();
            return Err(error.context(format!(
                "{page}, block at line {}: {}{programs}",
                step.line,
                step.command.as_deref().unwrap_or("^C")
            )));
        }
    }
    for program in &mut session.running {
        program.process.assert_well()?;
    }
    Ok(())
}

/// A program in the background.
struct Program {
    process: Process,
    log: PathBuf,
}

struct Session {
    place: Workplace,
    /// Lines like `export PATH=…`, which hold for the rest of the page.
    exported: Vec<String>,
    running: Vec<Program>,
}

impl Session {
    async fn step(&mut self, step: &Step) -> Result<()> {
        let Some(typed) = &step.command else {
            let program = self
                .running
                .pop()
                .context("nothing runs that could be interrupted")?;
            return self.interrupt(program, step).await;
        };
        if typed.starts_with("export ") {
            self.exported.push(typed.clone());
            return Ok(());
        }
        if let Some(command) = self.network(typed)? {
            let program = self.start(&command)?;
            return self.follow(program, step, PATIENCE).await;
        }
        if typed.starts_with("make ") {
            return planned(typed).map(drop);
        }
        if step.after_interrupt.is_some() {
            // One that was started before what it shows had arrived is started again.
            let again = typed.starts_with("tidelog tail") && !typed.contains("--consumer");
            let deadline = Instant::now() + SETTLED;
            loop {
                let patience = if again { TAIL } else { PATIENCE };
                let program = self.start(typed)?;
                match self.follow(program, step, patience).await {
                    Err(_) if again && Instant::now() < deadline => {}
                    result => return result,
                }
            }
        }
        self.finish(typed, step).await
    }

    /// The command that starts a network for `typed`, when it is one that does.
    fn network(&self, typed: &str) -> Result<Option<String>> {
        let started = if typed.starts_with("make run") {
            let recipe = planned(typed)?;
            let dev = recipe.lines().find_map(|line| {
                line.contains("cargo run")
                    .then(|| line.split_once(" -- "))?
            });
            let (_, arguments) = dev.with_context(|| {
                format!("`{typed}` runs no `cargo run … -- dev …` but\n{recipe}")
            })?;
            format!("tidelog {arguments}")
        } else if typed.starts_with("tidelog dev ") {
            typed.to_owned()
        } else {
            return Ok(None);
        };
        Ok(Some(format!("{started} {}", self.place.base_port())))
    }

    fn start(&self, typed: &str) -> Result<Program> {
        let log = self
            .place
            .path()
            .join(format!("{}.log", self.running.len()));
        let _ = fs::remove_file(&log);
        let command = self.place.command(&format!("exec {typed}"), &self.exported);
        Ok(Program {
            process: Process::start(typed, command, &log)?,
            log,
        })
    }

    /// Waits until a program has said what the page shows, and interrupts it if the page does.
    async fn follow(
        &mut self,
        mut program: Program,
        step: &Step,
        patience: Duration,
    ) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let seen = self.said(&program);
            if begins(&step.answer, &seen, States::Moving) {
                break;
            }
            if let Err(error) = program.process.assert_well() {
                // It may have said the last of it while this looked.
                let seen = self.said(&program);
                if begins(&step.answer, &seen, States::Moving) && fails(step) {
                    break;
                }
                return Err(differs(&step.answer, &seen).context(error));
            }
            if Instant::now() > deadline {
                return Err(differs(&step.answer, &seen));
            }
            sleep(PAUSE).await;
        }
        if step.after_interrupt.is_some() {
            return self.interrupt(program, step).await;
        }
        if fails(step) {
            let status = program.process.ended(PATIENCE).await?;
            let seen = self.said(&program);
            ensure!(
                !status.success() && matches(&step.answer, &seen, States::Moving),
                differs(&step.answer, &seen).context(format!("it ended with {status}"))
            );
            return Ok(());
        }
        self.running.push(program);
        Ok(())
    }

    async fn interrupt(&self, mut program: Program, step: &Step) -> Result<()> {
        program.process.signal("INT")?;
        let status = program.process.ended(PATIENCE).await?;
        // Ctrl-C is the ordinary end of these.
        ensure!(
            status.success() || !program.process.name().starts_with("tidelog "),
            "after Ctrl-C it ended with {status}"
        );
        let mut shown = step.answer.clone();
        if step.command.is_none() {
            shown.push("...".to_owned());
        }
        shown.extend(step.after_interrupt.iter().flatten().cloned());
        let seen = self.said(&program);
        ensure!(
            matches(&shown, &seen, States::Moving),
            differs(&shown, &seen)
        );
        Ok(())
    }

    async fn finish(&self, typed: &str, step: &Step) -> Result<()> {
        let look = LOOKS.iter().any(|look| typed.starts_with(look));
        let states = if look { States::Exact } else { States::Moving };
        let fails = fails(step);
        let deadline = Instant::now() + SETTLED;
        loop {
            let typed = format!("exec 2>&1\n{typed}");
            let output = process::run(self.place.command(&typed, &self.exported), PATIENCE).await?;
            let seen = self.lines(&String::from_utf8_lossy(&output.stdout));
            let well = matches(&step.answer, &seen, states) && output.status.success() != fails;
            if well {
                return Ok(());
            }
            if !look || Instant::now() > deadline {
                let told = format!("it ended with {}", output.status);
                return Err(differs(&step.answer, &seen).context(told));
            }
            sleep(PAUSE).await;
        }
    }

    fn said(&self, program: &Program) -> Vec<String> {
        let text = fs::read(&program.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        // The first line names the command.
        self.lines(text.split_once('\n').map_or("", |(_, said)| said))
    }

    fn lines(&self, text: &str) -> Vec<String> {
        self.place.shown(text).lines().map(str::to_owned).collect()
    }

    fn logs(&self) -> String {
        let mut text = String::new();
        for program in &self.running {
            text.push_str("\n---- in the background: ");
            text.push_str(program.process.name());
            text.push('\n');
            text.push_str(&program.process.log_tail(40));
        }
        text
    }
}

/// A command whose answer is an error has to end as a failure, any other as a success.
fn fails(step: &Step) -> bool {
    let error = |line: &String| line.starts_with("error") || line.starts_with("ERROR");
    step.answer.iter().any(error)
}

/// What `make` would do.
fn planned(typed: &str) -> Result<String> {
    let output = Command::new("bash")
        .args(["-c", &format!("{typed} --dry-run")])
        .current_dir(root())
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn differs(shown: &[String], seen: &[String]) -> anyhow::Error {
    anyhow::anyhow!(
        "the page shows\n{}\n---- seen\n{}\n----",
        shown.join("\n"),
        seen.join("\n")
    )
}
