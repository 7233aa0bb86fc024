//! Code lines of a file: lines before its trailing tests that are neither blank nor only comment. Aim for 250.

use crate::finding::Finding;

/// Above this many code lines a file is named in a warning.
pub const REVIEW: usize = 500;
/// Above this many code lines the test fails.
pub const STOP: usize = 800;

/// The code lines of Rust source.
pub fn code_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let end = lines
        .iter()
        .enumerate()
        .rposition(|(index, line)| *line == "#[cfg(test)]" && opens_tests(&lines[index + 1..]))
        .unwrap_or(lines.len());
    lines[..end]
        .iter()
        .map(|line| line.trim())
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

fn opens_tests(lines: &[&str]) -> bool {
    lines
        .iter()
        .find(|line| !line.starts_with("#["))
        .is_some_and(|line| line.starts_with("mod tests"))
}

/// Judges the size of one Rust file.
pub fn check(file: &str, text: &str) -> Vec<Finding> {
    let lines = code_lines(text);
    let message = format!(
        "{lines} code lines; review at {REVIEW}, stop at {STOP}: find the second room in it"
    );
    if lines > STOP {
        vec![Finding::error(file, None, message)]
    } else if lines > REVIEW {
        vec![Finding::warning(file, None, message)]
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    #[test]
    fn counts_neither_comments_nor_blank_lines_nor_trailing_tests() {
        let text = "//! Docs.\n\nfn a() {\n    // why\n    b();\n}\n\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n";
        assert_eq!(code_lines(text), 3);
    }

    #[test]
    fn counts_on_after_a_test_helper_in_the_middle() {
        let text = "#[cfg(test)]\nuse std::fmt;\nfn a() {}\n";
        assert_eq!(code_lines(text), 3);
    }

    #[test]
    fn warns_above_review_and_refuses_above_stop() {
        let of = |lines: usize| check("a.rs", &"x();\n".repeat(lines));
        assert_eq!(of(REVIEW), []);
        assert_eq!(of(REVIEW + 1)[0].severity, Severity::Warning);
        assert_eq!(of(STOP)[0].severity, Severity::Warning);
        assert_eq!(of(STOP + 1)[0].severity, Severity::Error);
    }
}
