//! Running killers, with a mutant and without.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::mutant::{Expected, Killer, Mutant};
use crate::programs::Programs;

/// Names the mutant that is active.
const CHOOSES: &str = "TIDELOG_MUTANT";

/// What came of one mutant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Verdict {
    /// A killer failed.
    Caught {
        /// Which one, and what it said.
        by: String,
        /// From the start of that killer.
        millis: u64,
    },
    /// The table says why it changes nothing, and nothing contradicts.
    Equivalent {
        /// Why.
        because: String,
    },
    /// The table says that it changes nothing, and a killer failed.
    NotEquivalent {
        /// Which one.
        by: String,
    },
    /// No killer failed.
    Alive,
}

impl Verdict {
    /// Whether it is what the table promises.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Caught { .. } | Self::Equivalent { .. })
    }
}

/// Runs killers.
#[derive(Debug)]
pub struct Sweep {
    programs: Programs,
    time_limit: Duration,
    jobs: usize,
}

/// What a killer says.
#[derive(Debug)]
enum Answer {
    Passed { cases: usize },
    Failed(String),
}

impl Sweep {
    /// With what was built. A killer that takes longer than the limit has failed: it would hang for everybody.
    pub fn new(programs: Programs, time_limit: Duration, jobs: usize) -> Self {
        Self {
            programs,
            time_limit,
            jobs: jobs.max(1),
        }
    }

    /// All killers pass as long as no mutant is active: otherwise they prove nothing.
    pub fn check_killers(&self, killers: &BTreeSet<Killer>) -> Result<()> {
        let killers: Vec<Killer> = killers.iter().copied().collect();
        let results = self.in_parallel(&killers, |killer| match self.ask(*killer, None)? {
            Answer::Passed { cases: 0 } => bail!("{killer}: there is no such case"),
            Answer::Passed { .. } => Ok(()),
            Answer::Failed(why) => bail!("{killer} fails without any mutant: {why}"),
        });
        results.into_iter().collect()
    }

    /// Decides mutants, each as soon as one of its killers has failed. `decided` is told of each at once.
    pub fn decide(
        &self,
        mutants: &[Mutant],
        decided: impl Fn(&Mutant, &Verdict) -> Result<()> + Sync,
    ) -> Result<Vec<Verdict>> {
        let results = self.in_parallel(mutants, |mutant| {
            let verdict = self.verdict(mutant)?;
            decided(mutant, &verdict)?;
            Ok(verdict)
        });
        results.into_iter().collect()
    }

    fn verdict(&self, mutant: &Mutant) -> Result<Verdict> {
        for killer in mutant.expected.killers() {
            let begun = Instant::now();
            if let Answer::Failed(why) = self.ask(*killer, Some(mutant.id))? {
                let by = if why.is_empty() {
                    killer.to_string()
                } else {
                    format!("{killer}: {why}")
                };
                return Ok(match mutant.expected {
                    Expected::Caught(_) => Verdict::Caught {
                        by,
                        millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                    },
                    Expected::Equivalent { .. } => Verdict::NotEquivalent { by },
                });
            }
        }
        Ok(match mutant.expected {
            Expected::Caught(_) => Verdict::Alive,
            Expected::Equivalent { because, .. } => Verdict::Equivalent {
                because: because.to_owned(),
            },
        })
    }

    /// Does something with each item, several at a time, and keeps their order.
    fn in_parallel<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(items.len()));
        std::thread::scope(|scope| {
            for _ in 0..self.jobs {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(at) else {
                            return;
                        };
                        let result = work(item);
                        if let Ok(mut done) = done.lock() {
                            done.push((at, result));
                        }
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_default();
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, result)| result).collect()
    }

    fn ask(&self, killer: Killer, mutant: Option<&str>) -> Result<Answer> {
        let mut command = match killer {
            Killer::Case(program, case) => {
                let executable = self.programs.test(program)?;
                let mut command = Command::new(&executable.file);
                command.current_dir(&executable.folder);
                if !case.is_empty() {
                    command.args([case, "--exact"]);
                }
                command
            }
            Killer::Seeds { from, count } => {
                let executable = self.programs.simulation()?;
                let mut command = Command::new(&executable.file);
                command.current_dir(&executable.folder);
                command.args(["--seeds", &count.to_string(), "--from", &from.to_string()]);
                command.args(["--threads", "1", "--failures", "1", "--no-shrink"]);
                command
            }
        };
        command.env_remove(CHOOSES);
        // What fails because of a mutant is no regression that later runs should try first.
        command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1");
        if let Some(mutant) = mutant {
            command.env(CHOOSES, mutant);
        }
        let mut output = tempfile::tempfile()?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {killer}"))?;
        let Some(status) = wait(child, self.time_limit)? else {
            let limit = self.time_limit.as_secs();
            return Ok(Answer::Failed(format!("not done after {limit} s")));
        };
        judge(killer, status, &read(&mut output)?)
    }
}

/// `None`: it had to be ended, with everything that it had started.
fn wait(mut child: Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > limit {
            kill_process_group(Pid::from_child(&child), Signal::KILL)?;
            child.wait()?;
            return Ok(None);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a thread of its own waits for a process; there is no executor"
        )]
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn read(output: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    output.rewind()?;
    output.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn judge(killer: Killer, status: ExitStatus, output: &str) -> Result<Answer> {
    match killer {
        Killer::Case(..) => {
            let counted = Regex::new(r"(?m)^test result: \S+ (\d+) passed; (\d+) failed")?;
            let counts = counted.captures(output);
            if status.success() {
                let counts = counts.context("a test program passed without a result")?;
                let cases = counts[1].parse()?;
                return Ok(Answer::Passed { cases });
            }
            let failed = Regex::new(r"(?m)^test (\S+) \.\.\. FAILED$")?;
            let mut names = failed
                .captures_iter(output)
                .map(|found| found[1].to_owned());
            let first = match killer {
                // It is named already.
                Killer::Case(_, case) if !case.is_empty() => String::new(),
                _ => names.next().unwrap_or_default(),
            };
            // Ended by a signal is caught as well; an error in the call is not.
            ensure!(
                counts.is_some() || output.contains("running"),
                "{killer} could not run: {output}"
            );
            Ok(Answer::Failed(first))
        }
        Killer::Seeds { .. } => {
            if status.success() {
                return Ok(Answer::Passed { cases: 1 });
            }
            let said = Regex::new(r"(?m)^(seed \d+) VIOLATED: .*$|^never carried out.*$|panicked")?;
            let said = said.captures(output);
            let said = said.with_context(|| format!("{killer} could not run: {output}"))?;
            let what = said.get(1).or(said.get(0));
            Ok(Answer::Failed(what.map_or("", |m| m.as_str()).to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;
    use crate::mutant::Program;

    const CASE: Killer = Killer::Case(
        Program {
            package: "a",
            name: "b",
        },
        "",
    );

    #[test]
    fn a_failed_case_is_named() -> Result<()> {
        let output = "running 2 tests\ntest x::good ... ok\ntest x::bad ... FAILED\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored";
        let answer = judge(CASE, ExitStatus::from_raw(101 << 8), output)?;
        assert!(matches!(answer, Answer::Failed(name) if name == "x::bad"));
        Ok(())
    }

    #[test]
    fn a_filter_that_matches_nothing_is_no_pass() -> Result<()> {
        let output = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored";
        let answer = judge(CASE, ExitStatus::from_raw(0), output)?;
        assert!(matches!(answer, Answer::Passed { cases: 0 }));
        Ok(())
    }

    #[test]
    fn a_program_that_cannot_start_has_caught_nothing() {
        let output = "error while loading shared libraries";
        assert!(judge(CASE, ExitStatus::from_raw(127 << 8), output).is_err());
    }

    #[test]
    fn what_hangs_is_ended() -> Result<()> {
        let child = Command::new("sleep").arg("60").process_group(0).spawn()?;
        let begun = Instant::now();
        assert!(wait(child, Duration::from_millis(50))?.is_none());
        assert!(begun.elapsed() < Duration::from_secs(10));
        Ok(())
    }
}
