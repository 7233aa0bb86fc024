//! `tidelog backup`.

use std::path::PathBuf;

use clap::Args;
use tidelog_proto::v1::{BackupRequest, BackupResponse};

use crate::commands::verify::hex;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::At;

/// Copy the database of a running location, consistently.
///
/// Appends and replication go on meanwhile. The copy holds everything up to the position that is printed. To restore it, stop the
/// location, replace the content of its directory `logs/LOG/LOCATION` with the copy, and start it again: it notices that it is older than
/// what it knew, takes a new incarnation, and gets its own later events back from its peers.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  tidelog backup --location eu /var/backups/eu-monday")]
pub struct BackupArgs {
    /// Which location.
    #[command(flatten)]
    pub at: At,
    /// Where to: a directory, on the machine of the location, that is empty or does not exist yet.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Makes the copy.
pub async fn run(context: &Context, args: BackupArgs) -> Result<(), Failure> {
    let output = context.output;
    let directory = std::path::absolute(&args.directory).map_err(|error| {
        Failure::usage(format!(
            "{} is no directory: {error}",
            args.directory.display()
        ))
    })?;
    let Some(text) = directory.to_str() else {
        return Err(
            Failure::usage(format!("{} is not UTF-8", directory.display()))
                .hint("choose another name"),
        );
    };
    let (mut client, target) = context.admin_client(args.at.location.as_ref()).await?;
    let request = BackupRequest {
        log: target.log,
        directory: text.to_owned(),
    };
    let mut answers = client.backup(request).await?.into_inner();
    let bar = output.progress(None, "bytes copied:");
    let mut last = BackupResponse::default();
    while let Some(answer) = answers.message().await? {
        bar.set_position(answer.bytes);
        last = answer;
    }
    bar.finish_and_clear();
    if !last.done {
        return Err(
            Failure::failed("the copy is not complete: the location ended it early")
                .hint(format!("remove {text} and try again")),
        );
    }
    if output.is_json() {
        return output.json(&last);
    }
    let position = last.position.unwrap_or_default();
    let files: Vec<String> = last
        .files
        .iter()
        .map(|file| format!("{} ({} bytes)", file.name, file.bytes))
        .collect();
    output.line(&format!(
        "{}: copied to {text}: {}\nit holds everything up to {}/{}, hash {}",
        target.title,
        files.join(", "),
        position.incarnation,
        position.sequence,
        hex(&last.hash)
    ))
}
