//! `tidelog read`.

use clap::Args;
use tidelog_model::Position;
use tidelog_proto::v1::{self, ReadRequest};

use crate::context::Context;
use crate::events::EventPrinter;
use crate::failure::Failure;
use crate::place::At;

/// Read a range of events of a location, in the order of its log.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  tidelog read --location eu                               everything
  tidelog read --location eu --from 10 --limit 5           the 10th to the 14th event
  tidelog read --location eu --aggregate order-1 -o json   one aggregate, one event per line
  tidelog read --location eu --after 1/42                  what came since a position printed earlier")]
pub struct ReadArgs {
    /// Which location.
    #[command(flatten)]
    pub at: At,
    /// Where to begin.
    #[command(flatten)]
    pub start: Start,
    /// The last local sequence to read (inclusive); the head when left out.
    #[arg(long, value_name = "N")]
    pub to: Option<u64>,
    /// At most this many events.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Which events.
    #[command(flatten)]
    pub select: Select,
}

/// Where reading begins.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Start {
    /// The first local sequence to read (inclusive).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub from: Option<u64>,
    /// The position to read after (exclusive), as `42` or, checked against losses, `1/42`.
    #[arg(long, value_name = "P")]
    pub after: Option<Position>,
}

impl Start {
    /// The position to read after, if one was said.
    pub fn position(&self) -> Option<v1::Position> {
        let from = self.from.map(|from| Position {
            sequence: from - 1,
            ..Position::default()
        });
        self.after.or(from).map(Into::into)
    }
}

/// Which events are wanted. Each option may be repeated: any of its values, and all of the options.
#[derive(Debug, Args)]
pub struct Select {
    /// Only events of this aggregate, or sent to it; may be repeated.
    #[arg(long, value_name = "A")]
    pub aggregate: Vec<String>,
    /// Only events of this type; may be repeated.
    #[arg(long = "type", value_name = "T")]
    pub types: Vec<String>,
    /// Only events first written at this location; may be repeated.
    #[arg(long, value_name = "L")]
    pub origin: Vec<String>,
    /// Only events for which this expression over `event` is true.
    #[arg(long, value_name = "EXPRESSION")]
    pub cel: Option<String>,
}

impl From<Select> for Option<v1::Selector> {
    fn from(select: Select) -> Self {
        let selector = v1::Selector {
            keys: select.aggregate,
            types: select.types,
            origins: select.origin,
            cel: select.cel.unwrap_or_default(),
        };
        (selector != v1::Selector::default()).then_some(selector)
    }
}

/// Prints the events.
pub async fn run(context: &Context, args: ReadArgs) -> Result<(), Failure> {
    let output = context.output;
    let (mut client, target) = context.log_client(args.at.location.as_ref()).await?;
    let request = ReadRequest {
        log: target.log,
        after: args.start.position(),
        to: args.to.unwrap_or_default(),
        limit: args.limit.unwrap_or_default(),
        select: args.select.into(),
        min_version: None,
    };
    let mut answers = client.read(request).await?.into_inner();
    let mut printer = EventPrinter::default();
    let mut count: u64 = 0;
    let (mut reached, mut head) = (Position::default(), 0);
    while let Some(answer) = answers.message().await? {
        printer.print(output, &answer.events)?;
        count += answer.events.len() as u64;
        reached = position(answer.position, reached);
        head = answer.head;
    }
    output.note(&format!(
        "{count} {}; read up to {reached}, the head is {head}",
        if count == 1 { "event" } else { "events" }
    ));
    Ok(())
}

/// A position of an answer; the one before when it has none.
pub fn position(wire: Option<v1::Position>, before: Position) -> Position {
    wire.and_then(|wire| Position::try_from(wire).ok())
        .unwrap_or(before)
}
