//! `tidelog tail`.

use std::time::Duration;

use clap::Args;
use tidelog_model::Position;
use tidelog_proto::v1::subscribe_request::Start as WireStart;
use tidelog_proto::v1::subscribe_response::Content;
use tidelog_proto::v1::{AckRequest, SubscribeRequest, SubscribeResponse};
use tokio::signal;
use tokio::time::{Instant, sleep_until};
use tonic::Streaming;

use crate::client::LogClient;
use crate::commands::read::{Select, Start, position};
use crate::context::Context;
use crate::events::EventPrinter;
use crate::failure::Failure;
use crate::place::At;

/// Follow a location: what it holds already, then what arrives.
///
/// Ctrl-C ends it and prints the position from which to continue. A named consumer keeps its position at the location instead: each
/// batch is acknowledged after it was printed, and the next `tail` of that name goes on there.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  tidelog tail --location store-17                       everything, then live
  tidelog tail --location store-17 --latest -o json      only what arrives from now on, one event per line
  tidelog tail --location store-17 --after 1/42          continue
  tidelog tail --location store-17 --consumer billing    continue where `billing` was")]
pub struct TailArgs {
    /// Which location.
    #[command(flatten)]
    pub at: At,
    /// Where to begin.
    #[command(flatten)]
    pub start: Start,
    /// Begin after the head: only what arrives from now on.
    #[arg(long, conflicts_with_all = ["from", "after", "consumer"])]
    pub latest: bool,
    /// Begin at the stored position of this consumer, and store it after each batch.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["from", "after"])]
    pub consumer: Option<String>,
    /// Which events.
    #[command(flatten)]
    pub select: Select,
}

/// How following ended.
enum End {
    Interrupted,
    Deadline(Duration),
    /// The location ended it.
    Location,
}

/// Prints events until somebody ends it.
pub async fn run(context: &Context, args: TailArgs) -> Result<(), Failure> {
    let output = context.output;
    let (mut client, target) = context.log_client(args.at.location.as_ref()).await?;
    let start = match &args.consumer {
        Some(consumer) => Some(WireStart::Consumer(consumer.clone())),
        None if args.latest => Some(WireStart::Latest(true)),
        None => args.start.position().map(WireStart::After),
    };
    let request = SubscribeRequest {
        log: target.log.clone(),
        start,
        select: args.select.into(),
        min_version: None,
    };
    let answers = client.subscribe(request).await?.into_inner();
    let mut tail = Tail {
        context,
        client,
        log: target.log,
        consumer: args.consumer,
        printer: EventPrinter::default(),
        position: None,
    };
    let result = tail.follow(answers).await;
    // Whatever ended it, the position is what the reader needs next.
    match (&tail.consumer, tail.position) {
        (Some(consumer), _) => output.note(&format!("continue with --consumer {consumer}")),
        (None, Some(position)) => output.note(&format!("continue with --after {position}")),
        (None, None) => {}
    }
    match result? {
        End::Interrupted => Ok(()),
        End::Deadline(timeout) => Err(Failure::deadline("following", timeout)),
        End::Location => Err(Failure::failed(format!(
            "{} ended the stream",
            target.title
        ))),
    }
}

struct Tail<'a> {
    context: &'a Context,
    client: LogClient,
    log: String,
    consumer: Option<String>,
    printer: EventPrinter,
    /// Everything up to here was printed or did not match.
    position: Option<Position>,
}

impl Tail<'_> {
    async fn follow(&mut self, mut answers: Streaming<SubscribeResponse>) -> Result<End, Failure> {
        let timeout = self.context.global.timeout;
        let until = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let deadline = async {
                match (until, timeout) {
                    (Some(until), Some(timeout)) => {
                        sleep_until(until).await;
                        timeout
                    }
                    _ => std::future::pending().await,
                }
            };
            let answer = tokio::select! {
                answer = answers.message() => answer?,
                _ = signal::ctrl_c() => return Ok(End::Interrupted),
                timeout = deadline => return Ok(End::Deadline(timeout)),
            };
            match answer {
                Some(answer) => self.take(answer).await?,
                None => return Ok(End::Location),
            }
        }
    }

    async fn take(&mut self, answer: SubscribeResponse) -> Result<(), Failure> {
        let output = self.context.output;
        match &answer.content {
            Some(Content::Events(batch)) => {
                self.printer.print(output, &batch.events)?;
            }
            Some(Content::CaughtUp(caught_up)) => {
                output.note(&format!(
                    "-- caught up at {}, following; Ctrl-C ends it --",
                    caught_up.head
                ));
            }
            Some(Content::Heartbeat(_)) | None => {}
        }
        let before = self.position;
        self.position = Some(position(answer.position, before.unwrap_or_default()));
        if let (Some(consumer), Some(position)) = (&self.consumer, self.position)
            && before != self.position
        {
            let request = AckRequest {
                log: self.log.clone(),
                consumer: consumer.clone(),
                position: Some(position.into()),
                reset: false,
            };
            self.client.ack(self.context.unary(request)).await?;
        }
        Ok(())
    }
}
