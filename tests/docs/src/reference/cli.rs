//! The command line, from the help of the program itself.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tidelog_harness::process;

const HEAD: &str = "\
# Command line

`tidelog --help` and `tidelog <command> --help` show the same. Exit codes: 0 done, 1 failed, 2 wrong use, 3 refused by a rule (a plan, a condition),
4 deadline. Results go to the standard output, notes, progress and errors to the standard error.

A location is `L` or `LOG/L`. With `--address HOST:PORT` that address is asked, else the running development network of `--data-dir` is looked into.

In Kubernetes the program is also a plugin of kubectl: under the name `kubectl-tidelog`, anywhere in `PATH`, it is `kubectl tidelog`, with the same commands and options.
`kubectl` asks `kubectl_complete-tidelog` for completions.

```text
ln -s \"$(command -v tidelog)\" ~/.local/bin/kubectl-tidelog
ln -s \"$(command -v tidelog)\" ~/.local/bin/kubectl_complete-tidelog
kubectl tidelog status --context eu --context us
```
";

/// The page.
pub fn page() -> Result<String> {
    let program = process::tidelog()?;
    let mut out = HEAD.to_owned();
    let help = help(program, &[])?;
    let (own, every) = split(&help);
    section(&mut out, "tidelog", &own);
    let _ = write!(
        out,
        "\n## Options of every command\n\n```text\n{}\n```\n",
        every.trim_matches('\n')
    );
    for command in subcommands(&own) {
        walk(program, &[command], &mut out)?;
    }
    Ok(out)
}

fn walk(program: &Path, command: &[&str], out: &mut String) -> Result<()> {
    let help = help(program, command)?;
    let (own, _) = split(&help);
    section(out, &format!("tidelog {}", command.join(" ")), &own);
    for below in subcommands(&own) {
        let mut command = command.to_vec();
        command.push(below);
        walk(program, &command, out)?;
    }
    Ok(())
}

fn section(out: &mut String, title: &str, text: &str) {
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "\n## {title}\n\n```text\n{}\n```\n",
        text.trim_matches('\n')
    );
}

fn help(program: &Path, command: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(command)
        .arg("--help")
        .env_remove("TIDELOG_DATA_DIR")
        .env_remove("COLUMNS")
        .env("NO_COLOR", "1")
        .output()
        .with_context(|| format!("run {}", program.display()))?;
    ensure!(
        output.status.success(),
        "`tidelog {} --help`: {}",
        command.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    Ok(text
        .lines()
        .map(str::trim_end)
        .fold(String::new(), |all, line| all + line + "\n"))
}

/// The help without the options that every command has, and those.
fn split(help: &str) -> (String, String) {
    let Some((before, rest)) = help.split_once("Options of every command:\n") else {
        return (help.to_owned(), String::new());
    };
    // What follows them is told apart by its first column.
    let end = rest
        .match_indices('\n')
        .map(|(at, _)| at + 1)
        .find(|at| rest[*at..].starts_with(|c: char| !c.is_whitespace()))
        .unwrap_or(rest.len());
    (format!("{before}{}", &rest[end..]), rest[..end].to_owned())
}

/// Names below `Commands:`.
fn subcommands(help: &str) -> Vec<&str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect()
}
