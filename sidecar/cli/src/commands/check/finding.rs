//! What a check has found, and how it is shown.

use serde::Serialize;
use tidelog_access::AccessError;

use crate::output::Ink;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It may be meant, or pass by itself, or could not be looked at.
    Warn,
    /// Somebody has to do something.
    Fail,
}

impl Level {
    /// The word in front of the line, and its colour.
    fn word(self) -> (&'static str, Ink) {
        match self {
            Self::Ok => ("ok", Ink::Green),
            Self::Warn => ("warn", Ink::Yellow),
            Self::Fail => ("FAIL", Ink::Red),
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The cluster; empty for what lies between several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub context: String,
    /// How bad it is.
    pub level: Level,
    /// What was looked at, and what is so.
    pub check: String,
    /// What to do; empty when nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// What could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Somebody with more rights would have got an answer.
    pub forbidden: bool,
    /// What the API server says.
    pub why: String,
}

/// What was read, or why not.
pub type Answer<T> = Result<T, Unread>;

impl From<AccessError> for Unread {
    fn from(error: AccessError) -> Self {
        let forbidden = error.is_forbidden();
        // The cluster is named above the line.
        let why = match error {
            AccessError::Kubeconfig { .. } => error.to_string(),
            AccessError::Refused { what, why, .. } => format!("cannot {what}: {why}"),
            AccessError::Forbidden { what, why, .. } => format!("you may not {what}: {why}"),
            AccessError::Missing { what, .. } => what,
        };
        Self { forbidden, why }
    }
}

/// All lines, in order.
#[derive(Debug, Default)]
pub struct Findings {
    context: String,
    all: Vec<Finding>,
}

impl Findings {
    /// What follows is about this cluster.
    pub fn about(&mut self, context: &str) {
        context.clone_into(&mut self.context);
    }

    fn add(&mut self, level: Level, check: impl Into<String>, hint: impl Into<String>) {
        self.all.push(Finding {
            context: self.context.clone(),
            level,
            check: check.into(),
            hint: hint.into(),
        });
    }

    /// As it should be.
    pub fn ok(&mut self, check: impl Into<String>) {
        self.add(Level::Ok, check, "");
    }

    /// Worth a look.
    pub fn warn(&mut self, check: impl Into<String>, hint: impl Into<String>) {
        self.add(Level::Warn, check, hint);
    }

    /// To be mended.
    pub fn fail(&mut self, check: impl Into<String>, hint: impl Into<String>) {
        self.add(Level::Fail, check, hint);
    }

    /// By level.
    pub fn of(&mut self, level: Level, check: impl Into<String>, hint: impl Into<String>) {
        self.add(level, check, hint);
    }

    /// Something could not be looked at: a missing right is no defect of the installation.
    pub fn unread(&mut self, what: &str, unread: &Unread) {
        let check = format!("{what}: {}", unread.why);
        if unread.forbidden {
            self.warn(
                check,
                "this could not be checked: `kubectl auth can-i --list` shows what you may do; ask somebody who may do more",
            );
        } else {
            self.fail(
                check,
                "is the cluster reached? `kubectl cluster-info` asks it",
            );
        }
    }

    /// How many there are of a level.
    pub fn count(&self, level: Level) -> usize {
        self.all.iter().filter(|f| f.level == level).count()
    }

    /// All of them.
    pub fn all(&self) -> &[Finding] {
        &self.all
    }

    /// For people: a part for each cluster, a line for each check, a hint below what is not well.
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let mut at: Option<&str> = None;
        for finding in &self.all {
            if at != Some(&finding.context) {
                if at.is_some() {
                    text.push('\n');
                }
                let title = match finding.context.as_str() {
                    "" => "between the clusters",
                    name => name,
                };
                // Writing to a String cannot fail, here and below.
                let _ = writeln!(text, "\x1b[1m{title}\x1b[0m");
                at = Some(&finding.context);
            }
            let (word, ink) = finding.level.word();
            let colour = match ink {
                Ink::Green => "32",
                Ink::Yellow => "33",
                _ => "1;31",
            };
            let check = finding.check.replace('\n', " ");
            let _ = writeln!(text, "  \x1b[{colour}m{word:<4}\x1b[0m  {check}");
            if !finding.hint.is_empty() {
                let _ = writeln!(text, "        \x1b[2m{}\x1b[0m", finding.hint);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_line_for_each_check_and_a_hint_below_what_is_not_well() {
        let mut findings = Findings::default();
        findings.about("eu");
        findings.ok("the API server answers");
        findings.fail("there is no operator", "install the chart");
        findings.about("");
        findings.warn("orders is not in us", "apply it there");
        let text = anstream::adapter::strip_str(&findings.text()).to_string();
        expect![[r"
            eu
              ok    the API server answers
              FAIL  there is no operator
                    install the chart

            between the clusters
              warn  orders is not in us
                    apply it there
        "]]
        .assert_eq(&text);
        assert_eq!(findings.count(Level::Fail), 1);
    }

    #[test]
    fn a_missing_right_is_no_failure() {
        let mut findings = Findings::default();
        for forbidden in [true, false] {
            let why = "eu: may not list pods".to_owned();
            findings.unread("pods", &Unread { forbidden, why });
        }
        assert_eq!(findings.count(Level::Warn), 1);
        assert_eq!(findings.count(Level::Fail), 1);
    }
}
