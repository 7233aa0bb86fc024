//! Command lines that help and pages show outside of consoles: none says what the program does not understand.

use std::fs;
use std::path::Path;

use clap::Command;
use clap::error::ErrorKind;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::support::root;

/// The words of a command line, up to a pipe, a redirection, or two spaces, after which an explanation stands.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quote = None;
    let mut after_space = true;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '|' | '>' | ')' | '#') => break,
            (None, ' ') if letters.peek() == Some(&' ') => break,
            (None, ' ') => after_space = true,
            (None, '\'' | '"') => {
                if after_space {
                    words.push(String::new());
                }
                quote = Some(letter);
                after_space = false;
            }
            _ => {
                if after_space {
                    words.push(String::new());
                }
                words.last_mut().unwrap().push(letter);
                after_space = false;
            }
        }
    }
    words
}

/// Why the program would not understand a whole command line.
fn whole(line: &str) -> Option<String> {
    let parsed = tidelog_cli::command().try_get_matches_from(words(line));
    let error = parsed.err()?;
    (error.kind() != ErrorKind::DisplayHelp).then(|| format!("`{line}`: {error}"))
}

/// Why the program knows no such command or option; the rest of the line may be left out, as in a sentence, and `P` or `<value>` may stand for
/// a value.
fn part(line: &str) -> Option<String> {
    let left_out = |word: &str| word == "…" || word.starts_with('<');
    let known: Vec<String> = words(line).into_iter().filter(|w| !left_out(w)).collect();
    let stands_for = known
        .iter()
        .any(|word| word.bytes().all(|b| b.is_ascii_uppercase()));
    let with_help = known.into_iter().chain(["--help".to_owned()]);
    let parsed = tidelog_cli::command().try_get_matches_from(with_help);
    let error = parsed.err()?;
    match error.kind() {
        ErrorKind::DisplayHelp => None,
        ErrorKind::ValueValidation if stands_for => None,
        _ => Some(format!("`{line}`: {error}")),
    }
}

/// The examples below the help of a command and its subcommands.
fn examples(command: &Command, found: &mut Vec<String>) {
    let help = command
        .get_after_long_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    found.extend(
        lines
            .take_while(|line| !line.is_empty())
            .map(|line| line.trim_start().replace("source <(", "")),
    );
    for below in command.get_subcommands() {
        examples(below, found);
    }
}

#[test]
fn every_example_of_the_help_is_understood() {
    let mut lines = Vec::new();
    examples(&tidelog_cli::command(), &mut lines);
    assert!(lines.len() > 30, "{} examples only", lines.len());
    let wrong: Vec<String> = lines.iter().filter_map(|line| whole(line)).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_command_that_a_page_names_is_known() {
    let mut pages = Vec::new();
    for place in ["docs", "examples", "tests"] {
        collect(&root().join(place), &mut pages);
    }
    for page in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        pages.push(root().join(page));
    }
    let mut count = 0;
    let mut wrong = Vec::new();
    for page in pages {
        for line in commands(&fs::read_to_string(&page).unwrap()) {
            count += 1;
            wrong.extend(part(&line).map(|why| format!("{}: {why}", page.display())));
        }
    }
    assert!(count > 30, "{count} commands only");
    assert_eq!(wrong, Vec::<String>::new());
}

fn collect(place: &Path, pages: &mut Vec<std::path::PathBuf>) {
    if place.is_dir() {
        for entry in fs::read_dir(place).unwrap() {
            collect(&entry.unwrap().path(), pages);
        }
    } else if place.extension().is_some_and(|end| end == "md") {
        pages.push(place.to_owned());
    }
}

/// What stands as code in sentences, and in blocks of YAML, where comments show commands. Consoles are run elsewhere, the help is generated.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for event in Parser::new(page) {
        match event {
            Event::Code(code) if code.starts_with("tidelog ") => found.push(code.to_string()),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                in_block = &*language == "yaml" || language.is_empty();
            }
            Event::End(TagEnd::CodeBlock) => in_block = false,
            Event::Text(text) if in_block => {
                let lines = text.lines().map(|line| line.trim_start_matches(['#', ' ']));
                let typed = lines.filter(|line| line.starts_with("tidelog "));
                found.extend(typed.map(str::to_owned));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn what_is_no_longer_understood_is_noticed() {
    for line in [
        "tidelog edge cut --isolat us",
        "tidelog plam -f examples/shop",
        "tidelog status -o xml",
        "tidelog edge hea",
    ] {
        assert!(whole(line).is_some(), "{line}");
        assert!(part(line).is_some(), "{line}");
    }
    assert!(
        whole("tidelog plan").is_some(),
        "an example is a whole command"
    );
    assert!(part("tidelog plan").is_none(), "a sentence names it");
    assert_eq!(
        words("tidelog append --data '{\"a\": 1}' -q  > x  and more"),
        ["tidelog", "append", "--data", "{\"a\": 1}", "-q"]
    );
}
