//! The shape of `CHANGELOG.md`: Keep a Changelog, with the next release on top.

use crate::finding::Finding;

const KINDS: &[&str] = &[
    "Added",
    "Changed",
    "Deprecated",
    "Removed",
    "Fixed",
    "Security",
];

/// Judges the text of the changelog.
pub fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut releases = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(release) = line.strip_prefix("## ") {
            releases.push(release);
        }
        if let Some(kind) = line.strip_prefix("### ")
            && !KINDS.contains(&kind)
        {
            let message = format!("`{kind}` is none of {}", KINDS.join(", "));
            findings.push(Finding::error(file, Some(number), message));
        }
    }
    if releases.first() != Some(&"[Unreleased]") {
        let message = "the first section is `## [Unreleased]`: what is merged and not yet released";
        findings.push(Finding::error(file, None, message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_unreleased_on_top() {
        let text =
            "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- x\n\n## [0.1.0] - 2026-01-01\n";
        assert_eq!(check("CHANGELOG.md", text), []);
    }

    #[test]
    fn refuses_a_missing_or_buried_unreleased_section_and_an_unknown_kind() {
        assert_eq!(check("CHANGELOG.md", "# Changelog\n").len(), 1);
        let buried = "## [0.1.0] - 2026-01-01\n## [Unreleased]\n### Improved\n";
        assert_eq!(check("CHANGELOG.md", buried).len(), 2);
    }
}
