//! `tidelog verify`.

use std::fmt::Write as _;

use clap::Args;
use tidelog_proto::v1::verify_response::Outcome;
use tidelog_proto::v1::{VerifyRequest, VerifyResponse};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::place::At;

/// Walk the hash chain of a location, from the first event to the head.
///
/// Every stored event has a digest, and every position a hash over all digests up to it. Whatever was altered, removed or put in
/// between since it was written shows; the first such event is named, and the exit code is 1.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  tidelog verify --location eu
  tidelog verify --location eu -o json")]
pub struct VerifyArgs {
    /// Which location.
    #[command(flatten)]
    pub at: At,
}

/// Walks the chain.
pub async fn run(context: &Context, args: VerifyArgs) -> Result<(), Failure> {
    let output = context.output;
    let (mut client, target) = context.admin_client(args.at.location.as_ref()).await?;
    let mut answers = client
        .verify(VerifyRequest { log: target.log })
        .await?
        .into_inner();
    let bar = output.progress(Some(0), "verifying");
    let mut last = VerifyResponse::default();
    while let Some(answer) = answers.message().await? {
        bar.set_length(answer.head);
        bar.set_position(answer.events);
        last = answer;
    }
    bar.finish_and_clear();
    let Some(outcome) = &last.outcome else {
        return Err(Failure::failed(format!(
            "{}: the answer ended without an outcome",
            target.title
        )));
    };
    if output.is_json() {
        output.json(&last)?;
        return match outcome {
            Outcome::Verified(_) => Ok(()),
            Outcome::Altered(_) => Err(Failure::silent(Exit::Failed)),
        };
    }
    match outcome {
        Outcome::Verified(verified) => output.line(&format!(
            "{}: {} events, nothing was altered; the hash at {} is {}",
            target.title,
            last.events,
            last.head,
            hex(&verified.hash)
        )),
        Outcome::Altered(altered) => {
            let id = altered.id.as_ref().map_or_else(String::new, |id| {
                format!(" ({}#{}/{})", id.location, id.incarnation, id.sequence)
            });
            Err(Failure::failed(format!(
                "{}: event {}{id} is not what was written: {}\n  recorded {}\n  computed {}",
                target.title,
                altered.sequence,
                altered.message,
                hex(&altered.recorded),
                hex(&altered.computed)
            ))
            .hint("restore the location from a copy, or start it empty: it gets its events back from its peers"))
        }
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
