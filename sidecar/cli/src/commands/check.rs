//! `tidelog check`.

mod across;
mod endpoint;
mod finding;
pub mod installed;
mod logs;
pub mod look;
mod pods;
mod rights;
pub mod seen;

use std::collections::BTreeMap;

use clap::Args;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tidelog_access::trust::exchange;
use tidelog_access::{Cluster, Deed, kinds};

use crate::context::Context;
use crate::failure::{Exit, Failure};

pub use self::finding::Findings;

use self::finding::{Answer, Level, Unread};
use self::seen::Seen;

/// Check clusters: what is installed, every log and link, and whether the clusters agree; a hint for whatever is not well.
#[derive(Debug, Args)]
#[command(after_long_help = "\
A line for each check: `ok`, `warn` for what may be meant, may pass by itself or could not be looked at,
`FAIL` for what somebody has to mend, with a hint below. It looks at the operators, at the logs of one
namespace of each cluster, and at what lies between several clusters: the same spec, trust, one home for
each location. It changes nothing, and ends with 1 when something failed, or when you may not read
EventLogs, which it is about.

Examples:
  tidelog check --pre -n tidelog-system             before an install
  tidelog check -n shop                             the current context
  tidelog check --context eu --context us -n shop   two clusters, and what lies between them
  tidelog check -o json | jq '.checks[] | select(.level == \"fail\")'")]
pub struct CheckArgs {
    /// Before an install: only what it needs.
    #[arg(long)]
    pub pre: bool,
}

/// Checks and prints.
pub async fn run(context: &Context, args: CheckArgs) -> Result<(), Failure> {
    if let Some(address) = &context.global.address {
        return Err(
            Failure::usage(format!("check is about clusters, not about {address}"))
                .hint("leave out --address; `tidelog status` asks one location"),
        );
    }
    let clusters = context.chosen().clusters().await?;
    let mut findings = Findings::default();
    if args.pre {
        for (cluster, read) in clusters
            .iter()
            .zip(join_all(clusters.iter().map(read)).await)
        {
            findings.about(cluster.name());
            before(&read, cluster.namespace(), &mut findings)?;
        }
    } else {
        findings = examine(&clusters, context.log()).await?;
    }
    print(context, &findings)
}

/// Looks at what runs.
pub async fn examine(clusters: &[Cluster], log: Option<&str>) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    let all = join_all(clusters.iter().map(|cluster| look::look(cluster, log))).await;
    running(&all, log, &mut findings)?;
    if all.len() > 1 {
        findings.about("");
        across::judge(&all, &mut findings);
        let exchange = exchange(clusters, log).await.map_err(Unread::from);
        across::trust(&all, &exchange, &mut findings);
    }
    Ok(findings)
}

/// What an install needs to know of a cluster.
struct Read {
    version: Answer<String>,
    rights: Answer<Vec<Deed>>,
    classes: Answer<Vec<Value>>,
    definitions: Answer<Vec<Value>>,
    operators: Answer<Vec<Value>>,
}

async fn read(cluster: &Cluster) -> Read {
    let classes = cluster.list_everywhere(kinds::STORAGE_CLASSES, "");
    Read {
        version: cluster.version().await.map_err(Unread::from),
        rights: look::missing_rights(cluster).await,
        classes: classes.await.map_err(Unread::from),
        definitions: look::definitions(cluster).await,
        operators: look::operators(cluster).await,
    }
}

fn known() -> Result<Vec<(String, Value)>, Failure> {
    tidelog_api::custom_resource_definitions().map_err(Failure::failed)
}

fn before(read: &Read, namespace: &str, findings: &mut Findings) -> Result<(), Failure> {
    if !installed::server(&read.version, findings) {
        return Ok(());
    }
    match &read.rights {
        Err(unread) => findings.unread("what you may do", unread),
        Ok(missing) if missing.is_empty() => {
            findings.ok(format!("you may install the chart in namespace {namespace}"));
        }
        Ok(missing) => findings.fail(
            format!("to install the chart in namespace {namespace} you lack: {}", in_words(missing)),
            "let somebody install it who may, or with fewer rights: watchNamespace of the chart takes a Role instead of a ClusterRole, crds.enabled=false leaves the definitions to somebody else",
        ),
    }
    installed::storage(&read.classes, findings);
    installed::others(&known()?, &read.definitions, &read.operators, findings);
    Ok(())
}

/// `create roles, deployments.apps`: by verb, each resource once.
fn in_words(deeds: &[Deed]) -> String {
    let mut by_verb: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for deed in deeds {
        let resource = match deed.group.as_str() {
            "" => deed.resource.clone(),
            group => format!("{}.{group}", deed.resource),
        };
        let scope = match deed.namespace.as_str() {
            "" => "",
            _ => " (there)",
        };
        by_verb
            .entry(&deed.verb)
            .or_default()
            .push(format!("{resource}{scope}"));
    }
    let parts = by_verb
        .into_iter()
        .map(|(verb, resources)| format!("{verb} {}", resources.join(", ")));
    parts.collect::<Vec<_>>().join("; ")
}

fn running(all: &[Seen], log: Option<&str>, findings: &mut Findings) -> Result<(), Failure> {
    let known = known()?;
    for seen in all {
        findings.about(&seen.name);
        if !installed::server(&seen.version, findings) {
            continue;
        }
        installed::definitions(&known, &seen.definitions, findings);
        installed::operators(seen, findings);
        let namespace = &seen.namespace;
        match &seen.logs {
            // What is not defined was told above.
            Err(_) if !is_defined(seen) => {}
            // They are what it is all about: to have seen none of them is no success.
            Err(unread) if unread.forbidden => findings.fail(
                format!("EventLogs: {}", unread.why),
                format!("ask for the right to get and list eventlogs.tidelog.dev in namespace {namespace}, or name another one with -n"),
            ),
            Err(unread) => findings.unread("EventLogs", unread),
            Ok(logs) if logs.is_empty() => {
                let what = log.map_or("no EventLog".to_owned(), |log| format!("no EventLog {log}"));
                findings.warn(
                    format!("there is {what} in namespace {namespace}"),
                    "name its namespace with -n; `kubectl get evlog -A` lists all",
                );
            }
            Ok(logs) => {
                for log in logs {
                    logs::judge(log, namespace, findings);
                }
            }
        }
    }
    Ok(())
}

fn is_defined(seen: &Seen) -> bool {
    // Where nobody may look, what the logs say counts.
    let Ok(found) = &seen.definitions else {
        return true;
    };
    let mut kinds = found.iter().map(|d| &d["spec"]["names"]["kind"]);
    kinds.any(|kind| kind == "EventLog")
}

fn print(context: &Context, findings: &Findings) -> Result<(), Failure> {
    let output = context.output;
    let (failed, warnings) = (findings.count(Level::Fail), findings.count(Level::Warn));
    if output.is_json() {
        output.json(&json!({
            "checks": findings.all(),
            "failed": failed,
            "warnings": warnings,
        }))?;
        // The document has everything.
        return match failed {
            0 => Ok(()),
            _ => Err(Failure::silent(Exit::Failed)),
        };
    }
    output.line(&findings.text())?;
    match (failed, warnings) {
        (0, 0) => output.note("all is well"),
        (0, _) => output.note(&format!("nothing failed; warnings: {warnings}")),
        _ => {
            return Err(Failure::failed(format!(
                "failed: {failed}, warnings: {warnings}"
            )));
        }
    }
    Ok(())
}
