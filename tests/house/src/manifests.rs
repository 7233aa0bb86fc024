//! The `Cargo.toml` of each room: lints, description, and nothing that the workspace does not decide.

use toml::{Table, Value};

use crate::finding::Finding;

/// Fields that every room takes from the workspace.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

/// Judges the manifest of one room.
pub fn check_room(file: &str, text: &str) -> Vec<Finding> {
    let manifest = match text.parse::<Table>() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::error(file, None, format!("is not TOML: {error}"))],
    };
    let mut findings = Vec::new();
    let mut refuse = |message: String| findings.push(Finding::error(file, None, message));
    if !from_workspace(manifest.get("lints")) {
        refuse("the lints of the workspace are off: add `[lints] workspace = true`".to_owned());
    }
    let package = manifest.get("package");
    let description = package
        .and_then(|package| package.get("description"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    if description.trim().is_empty() || description.ends_with('.') {
        refuse("`description` is one sentence without full stop; the map shows it".to_owned());
    }
    for field in INHERITED {
        if !from_workspace(package.and_then(|package| package.get(field))) {
            refuse(format!(
                "`{field}` comes from the workspace: write `{field}.workspace = true`"
            ));
        }
    }
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        for (name, dependency) in manifest
            .get(kind)
            .and_then(Value::as_table)
            .into_iter()
            .flatten()
        {
            // A room's tests may switch on its own features.
            let itself = dependency.get("path").and_then(Value::as_str) == Some(".");
            if !itself && !from_workspace(Some(dependency)) {
                refuse(format!(
                    "`{name}` in [{kind}]: version and features belong to [workspace.dependencies]"
                ));
            }
        }
    }
    findings
}

/// Judges the manifest of the workspace.
pub fn check_workspace(file: &str, text: &str) -> Vec<Finding> {
    let manifest = match text.parse::<Table>() {
        Ok(manifest) => manifest,
        Err(error) => return vec![Finding::error(file, None, format!("is not TOML: {error}"))],
    };
    let mut findings = Vec::new();
    let mut refuse = |message: &str| findings.push(Finding::error(file, None, message));
    let workspace = manifest.get("workspace");
    let members: Vec<&str> = workspace
        .and_then(|workspace| workspace.get("members"))
        .and_then(Value::as_array)
        .map(|members| members.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    if members.is_empty() || members.iter().any(|member| member.contains('*')) {
        refuse("`members` names each room: a glob hides the table of contents");
    }
    if !members.is_sorted() {
        refuse("`members` is sorted");
    }
    let unsafe_code = workspace
        .and_then(|workspace| workspace.get("lints"))
        .and_then(|lints| lints.get("rust"))
        .and_then(|rust| rust.get("unsafe_code"))
        .and_then(Value::as_str);
    if unsafe_code != Some("forbid") {
        refuse("`unsafe_code` is \"forbid\" for the whole workspace");
    }
    findings
}

fn from_workspace(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(Value::as_bool)
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[package]
name = "tidelog-good"
description = "A good room"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true

[lints]
workspace = true

[dependencies]
bytes.workspace = true
proptest = { workspace = true, optional = true }

[dev-dependencies]
tidelog-good = { path = ".", features = ["test-util"] }
"#;

    fn found(text: &str) -> String {
        format!("{:?}", check_room("good/Cargo.toml", text))
    }

    #[test]
    fn accepts_a_room_that_takes_everything_from_the_workspace() {
        assert_eq!(check_room("good/Cargo.toml", GOOD), []);
    }

    #[test]
    fn refuses_a_room_without_lints_or_description() {
        assert!(
            found(&GOOD.replace("[lints]\nworkspace = true", ""))
                .contains("lints of the workspace")
        );
        assert!(found(&GOOD.replace("A good room", "")).contains("`description`"));
        assert!(found(&GOOD.replace("A good room", "A good room.")).contains("`description`"));
    }

    #[test]
    fn refuses_an_edition_and_a_dependency_of_its_own() {
        let edition = GOOD.replace("edition.workspace = true", "edition = \"2021\"");
        assert!(found(&edition).contains("`edition` comes from the workspace"));
        let dependency = GOOD.replace("bytes.workspace = true", "bytes = \"1\"");
        assert!(found(&dependency).contains("`bytes` in [dependencies]"));
    }

    #[test]
    fn refuses_what_is_not_toml() {
        assert!(found("[package").contains("is not TOML"));
    }

    #[test]
    fn refuses_globs_disorder_and_unsafe_code_in_the_workspace() {
        let good = "[workspace]\nmembers = [\"a\", \"b\"]\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
        assert_eq!(check_workspace("Cargo.toml", good), []);
        for (from, to) in [("\"a\"", "\"a/*\""), ("\"a\"", "\"c\""), ("forbid", "deny")] {
            assert_eq!(
                check_workspace("Cargo.toml", &good.replace(from, to)).len(),
                1,
                "{to}"
            );
        }
    }
}
