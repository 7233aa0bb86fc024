//! Marks and words that do not belong into tracked files.
//!
//! The patterns are written so that they do not match their own source.

use regex::Regex;

use crate::finding::Finding;

struct Rule {
    pattern: &'static str,
    // Endings of the files it looks at; empty means every text file.
    endings: &'static [&'static str],
    message: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        pattern: r"\b(?:TO[D]O|FIX[M]E|X[X]X)\b",
        endings: &[],
        message: "do it, or write what is absent and why where a reader looks for it",
    },
    Rule {
        pattern: r"#!?\[(?:cfg_attr\(.*)?allow\(",
        endings: &[".rs"],
        message: "`allow` outlives its reason: use `#[expect(.., reason = \"..\")]`",
    },
    Rule {
        pattern: r"^\s*(?://[/!]? )?To be writ[t]en\.?\s*$",
        endings: &[],
        message: "a placeholder: write it, or leave the file out",
    },
    Rule {
        pattern: r"(?:^|[^\w.])/(?:root|work|home|Users)/",
        endings: &[],
        message: "a path of one machine",
    },
    Rule {
        pattern: r"\.\./sha[r]ed/|\bsha[r]ed/design\b",
        endings: &[],
        message: "a page outside of this repository: say it here",
    },
    Rule {
        pattern: r"(?i)\bissues? #?\d",
        endings: &[],
        message: "a number that no reader can look up here: say what it is about",
    },
    Rule {
        pattern: r"(?i)\b(?:crates|npmjs|pypi|rubygems)\.(?:io|org|com)\b",
        endings: &[],
        message: "the host of a package registry: dependencies are named in Cargo.toml, mirrors in the user's settings",
    },
    Rule {
        pattern: r"^(?:<{7}|>{7})(?: |$)",
        endings: &[],
        message: "a merge conflict",
    },
];

/// Files that others write: the lock file of cargo and the text of the licence.
const FOREIGN: &[&str] = &["Cargo.lock", "LICENSE"];

/// The rules, compiled.
pub struct Words {
    rules: Vec<(Regex, &'static Rule)>,
}

impl Words {
    /// Compiles the rules.
    pub fn new() -> Result<Self, regex::Error> {
        let rules = RULES
            .iter()
            .map(|rule| Ok((Regex::new(rule.pattern)?, rule)))
            .collect::<Result<_, regex::Error>>()?;
        Ok(Self { rules })
    }

    /// Judges one text file.
    pub fn check(&self, file: &str, text: &str) -> Vec<Finding> {
        if FOREIGN.contains(&file) {
            return Vec::new();
        }
        let mut findings = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            for (regex, rule) in &self.rules {
                let applies = rule.endings.is_empty()
                    || rule.endings.iter().any(|ending| file.ends_with(ending));
                if applies && let Some(found) = regex.find(line) {
                    let message = format!("`{}`: {}", found.as_str().trim(), rule.message);
                    findings.push(Finding::error(file, Some(number), message));
                }
            }
        }
        findings
    }
}

/// Judges the name of a file.
pub fn check_name(file: &str) -> Vec<Finding> {
    if file == "mod.rs" || file.ends_with("/mod.rs") {
        let message = "a module is `foo.rs` beside `foo/`, so that tabs and diffs name it";
        return vec![Finding::error(file, None, message)];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(file: &str, text: &str) -> usize {
        Words::new().unwrap().check(file, text).len()
    }

    // Joined at run time, so that this file does not break the rules it tests.
    fn join(parts: [&str; 2]) -> String {
        parts.concat()
    }

    #[test]
    fn each_rule_refuses_its_bad_sample() {
        let samples = [
            join(["// TO", "DO: later"]),
            join(["#[all", "ow(dead_code)]"]),
            join(["//! To be ", "written."]),
            join(["see /ro", "ot/.cargo"]),
            join(["see ../sha", "red/design"]),
            join(["as iss", "ue 12 says"]),
            join(["https://cra", "tes.io/x"]),
            join(["<<<<", "<<< HEAD"]),
        ];
        assert_eq!(samples.len(), RULES.len());
        let words = Words::new().unwrap();
        for (sample, rule) in samples.iter().zip(RULES) {
            let found = words.check("a.rs", sample);
            assert_eq!(found.len(), 1, "{sample}: {found:?}");
            assert!(
                found[0].message.contains(rule.message),
                "{sample}: {found:?}"
            );
        }
    }

    #[test]
    fn names_the_line() {
        let text = join(["fine\nfine\n// FIX", "ME\n"]);
        let found = Words::new().unwrap().check("a.rs", &text);
        assert_eq!(found[0].line, Some(3));
    }

    #[test]
    fn accepts_words_that_only_look_alike() {
        let below = join(["./wo", "rk/here"]);
        for fine in [
            "a todo list",
            "mktemp XXXXXX",
            "the issues are 3",
            &below,
            "https://x.org/home/",
            "shared lock",
        ] {
            assert_eq!(count("a.rs", fine), 0, "{fine}");
        }
    }

    #[test]
    fn looks_for_attributes_in_rust_files_only_and_leaves_foreign_files_alone() {
        assert_eq!(count("a.md", &join(["#[all", "ow(dead_code)]"])), 0);
        assert_eq!(count("Cargo.lock", &join(["https://cra", "tes.io"])), 0);
    }

    #[test]
    fn refuses_a_module_file_without_a_name_of_its_own() {
        assert_eq!(check_name("sidecar/core/src/log/mod.rs").len(), 1);
        assert_eq!(check_name("sidecar/core/src/mod_rs.rs"), []);
    }
}
