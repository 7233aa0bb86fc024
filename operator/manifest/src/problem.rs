//! What is wrong or worth knowing about manifests, and where.

use std::fmt;

/// A place in a file. Lines and columns count from 1; 0 stands for the file as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file as it was named.
    pub file: String,
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}", self.file),
            (line, column) => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The field, as `spec.locations[2].name`; empty when it is about a document or a file.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(f, "{}: {}", self.place, self.message)
        } else {
            write!(f, "{}: {}: {}", self.place, self.field, self.message)
        }
    }
}

/// One thing that was left out and is worth a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// What was left out.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Manifests that cannot be used, with everything that is wrong with them; one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines())]
pub struct ManifestError {
    /// What is wrong, in the order of the files.
    pub problems: Vec<Problem>,
    /// What was left out.
    pub notes: Vec<Note>,
}

impl ManifestError {
    fn lines(&self) -> String {
        self.problems
            .iter()
            .map(Problem::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Collects problems and notes while reading.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub problems: Vec<Problem>,
    pub notes: Vec<Note>,
    /// Whether there were more problems than are kept.
    pub more: bool,
}

/// Problems that are kept: enough for a day of work, and not a gigabyte.
pub(crate) const PROBLEMS_MAX: usize = 500;

impl Report {
    pub(crate) fn problem(
        &mut self,
        place: &Place,
        field: impl Into<String>,
        message: impl Into<String>,
    ) {
        if self.problems.len() >= PROBLEMS_MAX {
            self.more = true;
            return;
        }
        self.problems.push(Problem {
            place: place.clone(),
            field: field.into(),
            message: message.into(),
        });
    }

    pub(crate) fn note(&mut self, place: &Place, message: impl Into<String>) {
        self.notes.push(Note {
            place: place.clone(),
            message: message.into(),
        });
    }
}

/// ` (did you mean ...?)` when one of the candidates is close to what was written.
pub(crate) fn did_you_mean<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    const CLOSE: f64 = 0.8;
    let score =
        |candidate: &str| strsim::jaro_winkler(&written.to_lowercase(), &candidate.to_lowercase());
    candidates
        .map(|candidate| (score(candidate), candidate))
        .filter(|(score, _)| *score >= CLOSE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| format!(" (did you mean `{candidate}`?)"))
        .unwrap_or_default()
}
