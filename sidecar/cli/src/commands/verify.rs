//! `tidelog verify`.

use std::fmt::Write as _;

use clap::Args;
use tidelog_proto::v1::verify_response::Outcome;
use tidelog_proto::v1::{Altered, VerifyRequest, VerifyResponse};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::place::At;

/// Walk the hash chain of a location, from the first event to the head.
///
/// Every stored event has a digest, and every position a hash over all digests up to it. Whatever was altered, removed or put in
/// between since it was written shows; the first such event is named, and the exit code is 1. Where a digest was rewritten as well, it is named to
/// its batch, since the events of a batch have one hash together.
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
        Outcome::Altered(altered) => Err(Failure::failed(format!("{}: {}", target.title, complaint(altered)))
            .hint("restore the location from a copy, or start it empty: it gets its events back from its peers")),
    }
}

/// Which event it is, what is wrong with it, and by what that was seen.
fn complaint(altered: &Altered) -> String {
    let which = if altered.last_sequence > altered.sequence {
        format!(
            "one of the events {} to {}",
            altered.sequence, altered.last_sequence
        )
    } else {
        let id = altered.id.as_ref().map_or_else(String::new, |id| {
            format!(" ({}#{}/{})", id.location, id.incarnation, id.sequence)
        });
        format!("event {}{id}", altered.sequence)
    };
    let mut text = format!("{which} is not what was written: {}", altered.message);
    for (what, bytes) in [
        ("recorded", &altered.recorded),
        ("computed", &altered.computed),
    ] {
        if !bytes.is_empty() {
            text.push_str(&format!("\n  {what} {}", hex(bytes)));
        }
    }
    text
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_names_what_is_known_and_nothing_else() {
        let altered = Altered {
            sequence: 2,
            last_sequence: 2,
            message: "it is missing".to_owned(),
            ..Altered::default()
        };
        assert_eq!(
            complaint(&altered),
            "event 2 is not what was written: it is missing"
        );
        let altered = Altered {
            last_sequence: 4,
            message: "it was replaced".to_owned(),
            recorded: vec![0xab].into(),
            computed: vec![0xcd].into(),
            ..altered
        };
        assert_eq!(
            complaint(&altered),
            "one of the events 2 to 4 is not what was written: it was replaced\n  recorded ab\n  computed cd"
        );
    }
}
