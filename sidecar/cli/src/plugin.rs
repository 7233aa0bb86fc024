//! By which name the program was called: `tidelog`, or as a plugin of kubectl, which looks for `kubectl-tidelog` and asks `kubectl_complete-tidelog` for
//! completions. All three are one program; links give it its names. Pure.

use std::ffi::OsStr;
use std::path::Path;

use clap::Command;

/// As a person types the plugin.
pub const PLUGIN: &str = "kubectl tidelog";

/// What the program was called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// As itself.
    Tidelog,
    /// By kubectl, for `kubectl tidelog`.
    Plugin,
    /// By kubectl, for what may follow.
    Completion,
}

impl Called {
    /// By the first argument of the process.
    pub fn by(program: &OsStr) -> Self {
        match Path::new(program).file_stem().and_then(OsStr::to_str) {
            Some("kubectl-tidelog") => Self::Plugin,
            Some("kubectl_complete-tidelog") => Self::Completion,
            _ => Self::Tidelog,
        }
    }
}

/// The command as the plugin tells of it: usage and examples begin with `kubectl tidelog`.
pub fn as_plugin(command: Command) -> Command {
    with_examples(command.bin_name(PLUGIN))
}

fn with_examples(command: Command) -> Command {
    let examples = command.get_after_long_help().map(ToString::to_string);
    let command = match examples {
        Some(text) => command.after_long_help(in_words(&text)),
        None => command,
    };
    command.mut_subcommands(with_examples)
}

/// A text that names commands, as the plugin says it.
pub fn in_words(text: &str) -> String {
    let text = text.replace("`tidelog ", &format!("`{PLUGIN} "));
    let mut lines = text.lines().map(|line| {
        // Of an example: a command at the beginning of a line, or behind one that it feeds.
        let line = match line.strip_prefix("  tidelog ") {
            Some(rest) => format!("  {PLUGIN} {rest}"),
            None => line.to_owned(),
        };
        line.replace("(tidelog ", &format!("({PLUGIN} "))
            .replace("| tidelog ", &format!("| {PLUGIN} "))
    });
    let first = lines.next().unwrap_or_default();
    lines.fold(first, |all, line| all + "\n" + &line)
}

/// What kubectl wants to hear: a line for each word that may stand at the end of these, and `:4`, which tells it to offer no files.
pub fn completions(command: &Command, words: &[String]) -> String {
    let (last, before) = words
        .split_last()
        .map_or(("", words), |(last, before)| (last.as_str(), before));
    let mut at = command;
    for word in before {
        // Options and their values lead nowhere.
        if let Some(sub) = at.find_subcommand(word) {
            at = sub;
        }
    }
    let mut found: Vec<(String, String)> = Vec::new();
    if last.starts_with('-') {
        // Options of every command are defined at the root only.
        let own = at.get_arguments();
        let all = own.chain(command.get_arguments().filter(|a| a.is_global_set()));
        for argument in all.filter(|a| !a.is_hide_set()) {
            if let Some(long) = argument.get_long() {
                found.push((format!("--{long}"), about(argument.get_help())));
            }
        }
    } else {
        for sub in at.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            found.push((sub.get_name().to_owned(), about(sub.get_about())));
        }
    }
    found.retain(|(word, _)| word.starts_with(last));
    found.sort();
    found.dedup();
    let lines = found
        .into_iter()
        .map(|(word, about)| format!("{word}\t{about}\n"));
    lines.chain([":4\n".to_owned()]).collect()
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    #[test]
    fn the_name_of_the_file_decides() {
        for (program, called) in [
            ("tidelog", Called::Tidelog),
            ("/usr/local/bin/kubectl-tidelog", Called::Plugin),
            ("kubectl-tidelog.exe", Called::Plugin),
            ("./kubectl_complete-tidelog", Called::Completion),
            ("", Called::Tidelog),
        ] {
            assert_eq!(Called::by(OsStr::new(program)), called, "{program}");
        }
    }

    #[test]
    fn usage_and_every_example_begin_with_the_name_of_the_plugin() {
        let mut command = as_plugin(args::command());
        command.build();
        let mut wrong = Vec::new();
        visit(&mut command, &mut wrong);
        assert_eq!(wrong, Vec::<String>::new());
    }

    fn visit(command: &mut Command, wrong: &mut Vec<String>) {
        let help = command.render_long_help().to_string();
        for line in help.lines() {
            let names_itself = line.trim_start().starts_with("tidelog ")
                || line.starts_with("Usage: tidelog")
                || line.contains("(tidelog ");
            if names_itself {
                wrong.push(line.to_owned());
            }
        }
        for sub in command.get_subcommands_mut() {
            visit(sub, wrong);
        }
    }

    #[test]
    fn hints_name_the_plugin() {
        assert_eq!(
            in_words("`tidelog status` shows which locations run"),
            "`kubectl tidelog status` shows which locations run"
        );
    }

    fn offered(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let text = completions(&args::command(), &words);
        let lines = text.lines();
        lines
            .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn completions_are_commands_and_options() {
        assert_eq!(offered(&["stat"]), ["status", ":4"]);
        assert_eq!(
            offered(&["edge", ""]),
            ["cut", "heal", "pause", "resume", ":4"]
        );
        let of_status = offered(&["--context", "eu", "status", "--"]);
        for option in ["--location", "--context", "--kubeconfig"] {
            assert!(of_status.contains(&option.to_owned()), "{option}");
        }
        assert_eq!(offered(&["nonsense", "x"]), [":4"]);
    }
}
