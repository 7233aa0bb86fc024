//! The commands of a page.
//!
//! A fenced block `console` is a terminal: a line that begins with `$ ` is typed (lines that begin with `> ` right below it belong to it),
//! what follows is the answer. `^C` in an answer means that somebody pressed it there; a block that begins with `^C` means the program that a
//! block above left running. In an answer a line `...` stands for any number of lines and `...` within a line for any text. On a page about
//! Kubernetes a command that ends with `# not run: WHY` is shown and not run.

use anyhow::{Context as _, Result, ensure};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// Languages that a fenced block may name, or none. Whatever is to be typed is a `console` block, so that it is run.
const LANGUAGES: [&str; 7] = ["", "console", "text", "yaml", "json", "python", "protobuf"];

/// What to type and what to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Line of the page where its block begins.
    pub line: usize,
    /// The command; `None`: the program that runs since an earlier block is interrupted.
    pub command: Option<String>,
    /// The answer, until it is interrupted if it is.
    pub answer: Vec<String>,
    /// What follows an interruption; `None` without one.
    pub after_interrupt: Option<Vec<String>>,
}

impl Step {
    /// Why it is shown and not run, if it says so: a cluster of the tests does not have what it takes.
    pub fn not_run(&self) -> Option<&str> {
        let (_, why) = self.command.as_ref()?.split_once("# not run: ")?;
        Some(why.trim())
    }
}

/// The steps of a page, in order.
pub fn steps(text: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let line = text[..range.start].matches('\n').count() + 1;
                let CodeBlockKind::Fenced(language) = kind else {
                    continue;
                };
                ensure!(
                    LANGUAGES.contains(&&*language),
                    "line {line}: a block of `{language}`; known are {}",
                    LANGUAGES.join(", ")
                );
                if &*language == "console" {
                    block = Some((line, String::new()));
                }
            }
            Event::Text(part) => {
                if let Some((_, block)) = &mut block {
                    block.push_str(&part);
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some((line, block)) = block.take() {
                    steps.extend(terminal(line, &block).with_context(|| format!("line {line}"))?);
                }
            }
            _ => {}
        }
    }
    Ok(steps)
}

fn terminal(line: usize, block: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut typing = false;
    for text in block.lines() {
        if let Some(command) = text.strip_prefix("$ ") {
            steps.push(Step {
                line,
                command: Some(command.to_owned()),
                answer: Vec::new(),
                after_interrupt: None,
            });
            typing = true;
            continue;
        }
        if steps.is_empty() {
            ensure!(
                text == "^C",
                "the block begins with neither `$ ` nor `^C`: {text}"
            );
            steps.push(Step {
                line,
                command: None,
                answer: Vec::new(),
                after_interrupt: Some(Vec::new()),
            });
            continue;
        }
        let Some(step) = steps.last_mut() else {
            continue;
        };
        if typing
            && let (Some(command), Some(more)) = (
                &mut step.command,
                text.strip_prefix("> ").or((text == ">").then_some("")),
            )
        {
            command.push('\n');
            command.push_str(more);
            continue;
        }
        typing = false;
        match &mut step.after_interrupt {
            Some(after) => after.push(text.to_owned()),
            None if text == "^C" => step.after_interrupt = Some(Vec::new()),
            None => step.answer.push(text.to_owned()),
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commands_answers_continued_lines_and_interruptions() {
        let page = "Text\n\n```console\n$ one\nsaid\n$ cat <<E\n> a\n>\n> E\na\n> b\n```\n\n```text\n$ not run\n```\n\n```console\n^C\nstopped\n$ tail\nevent\n^C\nbye\n```\n";
        let found = steps(page).unwrap();
        let short: Vec<_> = found
            .iter()
            .map(|s| {
                (
                    s.line,
                    s.command.as_deref(),
                    s.answer.join("|"),
                    s.after_interrupt.as_ref().map(|a| a.join("|")),
                )
            })
            .collect();
        assert_eq!(
            short,
            [
                (3, Some("one"), "said".to_owned(), None),
                (3, Some("cat <<E\na\n\nE"), "a|> b".to_owned(), None),
                (18, None, String::new(), Some("stopped".to_owned())),
                (18, Some("tail"), "event".to_owned(), Some("bye".to_owned())),
            ]
        );
    }

    #[test]
    fn knows_what_is_shown_and_not_run() {
        let page = "```console\n$ one\n$ two   # not run: no such cloud\n```\n";
        let why: Vec<Option<String>> = steps(page)
            .unwrap()
            .iter()
            .map(|step| step.not_run().map(str::to_owned))
            .collect();
        assert_eq!(why, [None, Some("no such cloud".to_owned())]);
    }

    #[test]
    fn refuses_blocks_that_would_hide_a_command() {
        assert!(steps("```sh\ntidelog status\n```\n").is_err());
        assert!(steps("```console\ntidelog status\n```\n").is_err());
    }
}
