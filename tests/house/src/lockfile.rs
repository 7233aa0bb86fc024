//! Banned crates and foreign sources, read from `Cargo.lock`; the list of banned crates is the one in `deny.toml`.
//!
//! cargo-deny judges more (licences, features); this needs no tool and no network, and fails in the same second.

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::finding::Finding;

const REGISTRY: &str = "registry+https://github.com/rust-lang/";

/// The names in `[bans] deny` of `deny.toml`.
pub fn banned(deny: &str) -> Result<Vec<String>> {
    let deny = deny.parse::<Table>().context("deny.toml is not TOML")?;
    let entries = deny
        .get("bans")
        .and_then(|bans| bans.get("deny"))
        .and_then(Value::as_array)
        .context("deny.toml has no list `deny` in [bans]")?;
    entries
        .iter()
        .map(|entry| {
            let name = entry.get("crate").and_then(Value::as_str);
            name.map(str::to_owned)
                .context("an entry of [bans] deny has no `crate`")
        })
        .collect()
}

/// Finds banned crates and crates from elsewhere in the text of `Cargo.lock`.
pub fn check(lock: &str, banned: &[String]) -> Result<Vec<Finding>> {
    let lock = lock.parse::<Table>().context("Cargo.lock is not TOML")?;
    let packages = lock
        .get("package")
        .and_then(Value::as_array)
        .context("Cargo.lock has no packages")?;
    let mut findings = Vec::new();
    for package in packages {
        let name = package
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if banned.iter().any(|banned| banned == name) {
            let message = format!(
                "`{name}` is banned, deny.toml says why; `cargo tree -i {name}` shows who brings it"
            );
            findings.push(Finding::error("Cargo.lock", None, message));
        }
        // A package of the workspace has no source.
        let source = package.get("source").and_then(Value::as_str);
        if source.is_some_and(|source| !source.starts_with(REGISTRY)) {
            let source = source.unwrap_or_default();
            let message =
                format!("`{name}` comes from {source}: only the public registry is a source");
            findings.push(Finding::error("Cargo.lock", None, message));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_names_of_banned_crates() -> Result<()> {
        let deny = "[bans]\ndeny = [{ crate = \"openssl\", reason = \"no\" }]\n";
        assert_eq!(banned(deny)?, ["openssl"]);
        assert!(banned("[bans]\n").is_err());
        Ok(())
    }

    #[test]
    fn refuses_a_banned_crate_and_a_git_source() -> Result<()> {
        let lock = format!(
            "[[package]]\nname = \"openssl\"\nsource = \"{REGISTRY}index\"\n\
             [[package]]\nname = \"fork\"\nsource = \"git+https://example.org/fork\"\n\
             [[package]]\nname = \"own\"\n"
        );
        let found = check(&lock, &["openssl".to_owned()])?;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].message.contains("is banned"));
        assert!(found[1].message.contains("git+https"));
        Ok(())
    }
}
