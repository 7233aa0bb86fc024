//! `tidelog report`.

mod bundle;
mod collect;
mod redact;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use tidelog_access::Cluster;

use crate::commands::check::installed::OWN_VERSION;
use crate::context::Context;
use crate::failure::Failure;

use self::bundle::Bundle;

/// Gather what somebody needs who helps: versions, resources, pods, Events, logs, status and metrics, without anything secret.
#[derive(Debug, Args)]
#[command(after_long_help = "\
In it: versions, definitions, operators, EventLogs, ReplicationLinks, StatefulSets, pods, Events, ends of
the logs of Tidelog's containers, status and metrics of its pods, and what `tidelog check` finds.
Not in it: payloads and metadata of events, data of Secrets and ConfigMaps, values of environment
variables, commands of your own containers, passwords and tokens. Names, hosts and filters stay: look
through it before you pass it on. manifest.json lists what is there, what was taken out, and what could
not be read, which is no failure.

Examples:
  tidelog report -n shop
  tidelog report --context eu --context us -n shop --log orders --file orders.tar.gz
  tidelog report -n shop --lines 0                  without logs of containers")]
pub struct ReportArgs {
    /// Where to write it, a file that is not there yet; tidelog-report-DATE.tar.gz when left out.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Newest lines of the log of each container of Tidelog.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub lines: u32,
}

/// Gathers and writes it.
pub async fn run(context: &Context, args: ReportArgs) -> Result<(), Failure> {
    let output = context.output;
    if let Some(address) = &context.global.address {
        return Err(
            Failure::usage(format!("report is about clusters, not about {address}"))
                .hint("leave out --address; `tidelog status -o json` asks one location"),
        );
    }
    let now = Timestamp::now();
    let folder = format!("tidelog-report-{}", now.strftime("%Y%m%d-%H%M%S"));
    let file = args
        .file
        .unwrap_or_else(|| PathBuf::from(format!("{folder}.tar.gz")));
    let clusters = context.chosen().clusters().await?;
    // Before anything is asked of anybody: a name that is taken would be a pity at the end.
    let out = create(&file)?;
    let wanted = collect::Wanted {
        log: context.log(),
        lines: args.lines,
        patience: context.unary_timeout(),
        output,
    };
    let mut bundle = Bundle::default();
    collect::collect(&clusters, &wanted, &mut bundle).await;
    bundle.settle();
    let contexts: Vec<&str> = clusters.iter().map(Cluster::name).collect();
    let about = json!({
        "program": OWN_VERSION,
        "created": now.to_string(),
        "contexts": contexts,
        "namespaces": clusters.iter().map(Cluster::namespace).collect::<Vec<_>>(),
        "log": context.log(),
    });
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    if let Err(error) = bundle.write(&folder, &about, seconds, BufWriter::new(out)) {
        // Half a report helps nobody.
        let _ = fs::remove_file(&file);
        return Err(Failure::failed(format!(
            "cannot write {}: {error}",
            file.display()
        )));
    }
    let unread = bundle.unreadable();
    for one in unread {
        output.detail(&format!("not in it: {}: {}", one.what, one.why));
    }
    if output.is_json() {
        return output.json(&json!({
            "file": file,
            "files": bundle.len(),
            "unread": unread,
            "redacted": bundle.redactor.counts(),
        }));
    }
    output.line(&format!("{}: {} files", file.display(), bundle.len()))?;
    if !unread.is_empty() {
        output.note(&format!(
            "{} things could not be read; manifest.json in it says which, and -v shows them here",
            unread.len()
        ));
    }
    Ok(())
}

/// A new file that others cannot read.
fn create(file: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map_err(|error| {
        let name = file.display();
        match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::failed(format!("{name} is there already"))
                .hint("name another one with --file, or remove it"),
            _ => Failure::failed(format!("cannot write {name}: {error}"))
                .hint("name a place where you may write with --file"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.tar.gz");
        create(&file).unwrap();
        let failure = create(&file).unwrap_err();
        assert!(failure.message.ends_with("is there already"), "{failure}");
        let failure = create(&folder.path().join("nowhere/report.tar.gz")).unwrap_err();
        assert!(failure.message.starts_with("cannot write"), "{failure}");
    }
}
