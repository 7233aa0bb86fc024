//! Commands for people who work on this repository, as pages name them: `make` has the target, cargo has the package and the test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use regex::Regex;
use tidelog_docs_tests::root;

/// What pages are compared with.
struct Known {
    targets: BTreeSet<String>,
    makefile: String,
    /// Packages of the workspace, and their folders.
    packages: BTreeMap<String, PathBuf>,
    /// All code of tests, where variables of the environment are read.
    tests: String,
}

impl Known {
    fn read() -> Result<Self> {
        let root = root();
        let makefile = fs::read_to_string(root.join("Makefile"))?;
        let target = Regex::new(r"(?m)^([a-z-]+):")?;
        let member = Regex::new(r#"(?m)^    "([a-z/-]+)","#)?;
        let name = Regex::new(r#"(?m)^name = "([a-z-]+)""#)?;
        let mut packages = BTreeMap::new();
        for found in member.captures_iter(&fs::read_to_string(root.join("Cargo.toml"))?) {
            let folder = root.join(&found[1]);
            let manifest = fs::read_to_string(folder.join("Cargo.toml"))?;
            let name = name.captures(&manifest).context("a package has a name")?;
            packages.insert(name[1].to_owned(), folder);
        }
        ensure!(packages.len() > 10, "no packages found");
        Ok(Self {
            targets: target
                .captures_iter(&makefile)
                .map(|found| found[1].to_owned())
                .collect(),
            makefile,
            packages,
            tests: code(&root.join("tests"))?,
        })
    }

    /// Why a command cannot be typed.
    fn refuse(&self, line: &str) -> Result<Option<String>> {
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let mut word = words.next();
        while let Some((variable, _)) = word.and_then(|word| word.split_once('=')) {
            if !self.tests.contains(&format!("\"{variable}\"")) {
                return Ok(Some(format!("no test reads {variable}")));
            }
            word = words.next();
        }
        let rest: Vec<&str> = words.collect();
        match word {
            Some("make") => Ok(self.refuse_make(&rest)),
            Some("cargo") if rest.first() == Some(&"test") => self.refuse_test(&rest[1..]),
            _ => Ok(None),
        }
    }

    fn refuse_make(&self, words: &[&str]) -> Option<String> {
        words.iter().find_map(|word| match word.split_once('=') {
            Some((variable, _)) => (![" ?=", " :="]
                .iter()
                .any(|set| self.makefile.contains(&format!("\n{variable}{set}"))))
            .then(|| format!("the Makefile has no variable {variable}")),
            None => (!self.targets.contains(*word))
                .then(|| format!("the Makefile has no target {word}")),
        })
    }

    fn refuse_test(&self, words: &[&str]) -> Result<Option<String>> {
        let mut folder = None;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "-p" => {
                    let package = words.next().copied().unwrap_or_default();
                    if package == "<room>" {
                        return Ok(None);
                    }
                    folder = self.packages.get(package);
                    if folder.is_none() {
                        return Ok(Some(format!("there is no package {package}")));
                    }
                }
                "--test" => {
                    let name = words.next().copied().unwrap_or_default();
                    let tests = folder.context("a test without `-p`")?.join("tests");
                    let found = tests.join(format!("{name}.rs")).exists()
                        || tests.join(name).join("main.rs").exists();
                    if !found {
                        return Ok(Some(format!("there is no test {name}")));
                    }
                }
                filter if !filter.starts_with('-') => {
                    let code = code(folder.context("a test without `-p`")?)?;
                    let missing = filter.split("::").find(|part| {
                        !code.contains(&format!("mod {part}"))
                            && !code.contains(&format!("fn {part}"))
                    });
                    if let Some(part) = missing {
                        return Ok(Some(format!("there is no test or module {part}")));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

/// All Rust code below a folder.
fn code(place: &Path) -> Result<String> {
    let mut text = String::new();
    if place.is_dir() {
        for entry in fs::read_dir(place)? {
            text.push_str(&code(&entry?.path())?);
        }
    } else if place.extension().is_some_and(|end| end == "rs") {
        text = fs::read_to_string(place)?;
    }
    Ok(text)
}

/// Commands in sentences, and in blocks that are no console.
fn commands(page: &str) -> Vec<String> {
    let begins = |line: &str| {
        let mut words = line.split_whitespace();
        words
            .find(|word| !word.contains('='))
            .is_some_and(|word| word == "make" || word == "cargo")
    };
    let mut found = Vec::new();
    let mut in_block = false;
    for event in Parser::new_ext(page, pulldown_cmark::Options::ENABLE_TABLES) {
        match event {
            Event::Code(code) if begins(&code) => found.push(code.to_string()),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                in_block = &*language != "console";
            }
            Event::End(TagEnd::CodeBlock) => in_block = false,
            Event::Text(text) if in_block => {
                found.extend(text.lines().filter(|l| begins(l)).map(str::to_owned));
            }
            _ => {}
        }
    }
    found
}

fn pages(place: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if place.is_dir() {
        for entry in fs::read_dir(place)? {
            pages(&entry?.path(), found)?;
        }
    } else if place.extension().is_some_and(|end| end == "md") {
        found.push(place.to_owned());
    }
    Ok(())
}

#[test]
fn targets_packages_tests_and_variables_that_pages_name_are_there() -> Result<()> {
    let known = Known::read()?;
    let mut all = Vec::new();
    for place in [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs",
        "examples",
        "tests",
    ] {
        pages(&root().join(place), &mut all)?;
    }
    let (mut count, mut wrong) = (0, Vec::new());
    for page in all {
        for line in commands(&fs::read_to_string(&page)?) {
            count += 1;
            if let Some(why) = known.refuse(&line)? {
                wrong.push(format!("{}: `{line}`: {why}", page.display()));
            }
        }
    }
    ensure!(count > 20, "{count} commands only");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn what_is_not_there_any_more_is_noticed() -> Result<()> {
    let known = Known::read()?;
    for line in [
        "make tset",
        "make run EXAMPEL=examples/shop",
        "cargo test -p tidelog-networks",
        "cargo test -p tidelog-network-tests strom",
        "TIDELOG_STORM_SEEDS=7 cargo test -p tidelog-network-tests",
    ] {
        ensure!(known.refuse(line)?.is_some(), "{line}");
    }
    for line in [
        "make run EXAMPLE=examples/shop",
        "TIDELOG_STORM_SEED=7 cargo test -p tidelog-network-tests storm::on_sqlite # one",
    ] {
        ensure!(known.refuse(line)?.is_none(), "{line}");
    }
    Ok(())
}
