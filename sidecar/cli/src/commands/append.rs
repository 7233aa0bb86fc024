//! `tidelog append`.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use tidelog_model::{Position, VectorTime};
use tidelog_proto::json::is_json_content_type;
use tidelog_proto::v1::{AppendRequest, AppendResponse, Condition, NewEvent};

use crate::context::Context;
use crate::failure::Failure;
use crate::place::At;

mod input;
mod many;

pub use input::open;

/// What a payload is unless said otherwise.
pub const JSON: &str = "application/json";

/// Append an event at a location, or many with --ndjson.
///
/// What is printed is the id of the event, its local sequence, and a token: a read elsewhere that waits for it sees the event. When the
/// command ends with 0 the event is durable.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_long_help = "\
Examples:
  tidelog append --location us --type OrderPlaced --aggregate order-1 --data '{\"total\": 10}'
  tidelog append --location eu --type Shipped --aggregate order-1 --metadata store=store-17
  tidelog append --location eu --type Scanned --content-type image/png --data @scan.png
  tidelog append --location eu --type OrderPlaced --aggregate order-2 --after 0    only if order-2 has no event yet
  tidelog append --location eu --ndjson orders.ndjson --request-id import-1        many; safe to repeat

A line of --ndjson is an event as JSON: type, and if wanted aggregateId, destinations, metadata, contentType, schemaVersion,
emitterId, payload. With a JSON content type, which is the default, the payload is the JSON itself, else base64:
  {\"type\": \"OrderPlaced\", \"aggregateId\": \"order-3\", \"metadata\": {\"store\": \"store-17\"}, \"payload\": {\"total\": 10}}"
)]
pub struct AppendArgs {
    /// Which location.
    #[command(flatten)]
    pub at: At,
    /// The type of the event.
    #[arg(long = "type", value_name = "T", required_unless_present = "ndjson")]
    pub event_type: Option<String>,
    /// The aggregate it belongs to.
    #[arg(long, value_name = "A")]
    pub aggregate: Option<String>,
    /// A further aggregate that it is sent to; may be repeated.
    #[arg(long, value_name = "A")]
    pub destination: Vec<String>,
    /// Metadata, which filters can look at; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub metadata: Vec<(String, String)>,
    /// The payload: JSON, a file with its content, or `-` for the standard input.
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    pub data: Option<String>,
    /// What the payload is.
    #[arg(long, value_name = "TYPE", default_value = JSON)]
    pub content_type: String,
    /// Makes a retry safe: a repetition with the same content is answered with the first answer.
    #[arg(long, value_name = "R")]
    pub request_id: Option<String>,
    /// Append only if no event of the aggregate was stored after this position; 0: only if it has none.
    #[arg(long, value_name = "P", requires = "aggregate")]
    pub after: Option<Position>,
    /// Append one event per line of this file; `-` for the standard input.
    ///
    /// Each line is a request of its own: one that is refused is named and does not stop the others. With --request-id R a line has the
    /// request id `R/<line>`, so the whole import can be repeated after a failure.
    #[arg(
        long,
        value_name = "FILE|-",
        conflicts_with_all = ["event_type", "aggregate", "destination", "metadata", "data", "after"]
    )]
    pub ndjson: Option<std::path::PathBuf>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, for instance store=store-17".to_owned()),
    }
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Appended<'a> {
    #[serde(flatten)]
    response: &'a AppendResponse,
    /// The token as text, to be handed to other commands.
    token_text: String,
}

/// Appends.
pub async fn run(context: &Context, args: AppendArgs) -> Result<(), Failure> {
    if let Some(file) = &args.ndjson {
        return many::run(context, &args, file).await;
    }
    let event = event(&args)?;
    let (mut client, target) = context.log_client(args.at.location.as_ref()).await?;
    let request = AppendRequest {
        log: target.log,
        events: vec![event],
        request_id: args.request_id.clone().unwrap_or_default(),
        context: None,
        condition: condition(&args),
    };
    let response = client.append(context.unary(request)).await?.into_inner();
    let output = context.output;
    let token = token(&response);
    if output.is_json() {
        return output.json(&Appended {
            response: &response,
            token_text: token,
        });
    }
    let ids: Vec<String> = response
        .ids
        .iter()
        .map(|id| format!("{}#{}/{}", id.location, id.incarnation, id.sequence))
        .collect();
    output.line(&format!(
        "{}{} at {} {}  token {token}",
        if response.replayed {
            "appended before: "
        } else {
            "appended "
        },
        ids.join(", "),
        target.title,
        response.last_sequence,
    ))
}

fn token(response: &AppendResponse) -> String {
    response
        .token
        .clone()
        .and_then(|token| VectorTime::try_from(token).ok())
        .map(|token| token.to_string())
        .unwrap_or_default()
}

fn condition(args: &AppendArgs) -> Option<Condition> {
    let (after, aggregate) = (args.after?, args.aggregate.clone()?);
    Some(Condition {
        keys: vec![aggregate],
        types: Vec::new(),
        after: Some(after.into()),
    })
}

fn event(args: &AppendArgs) -> Result<NewEvent, Failure> {
    let payload = match args.data.as_deref() {
        None => None,
        Some("-") => Some(input::bytes(Path::new("-"))?),
        Some(text) => Some(match text.strip_prefix('@') {
            Some(file) => input::bytes(Path::new(file))?,
            None => Bytes::copy_from_slice(text.as_bytes()),
        }),
    };
    if let Some(payload) = payload
        .as_deref()
        .filter(|_| is_json_content_type(&args.content_type))
    {
        serde_json::from_slice::<serde::de::IgnoredAny>(payload).map_err(|error| {
            Failure::usage(format!("--data is not JSON: {error}"))
                .hint("name what it is with --content-type, for instance text/plain")
        })?;
    }
    let mut metadata = BTreeMap::new();
    for (key, value) in &args.metadata {
        if metadata.insert(key.clone(), value.clone()).is_some() {
            return Err(Failure::usage(format!("--metadata names {key} twice")));
        }
    }
    Ok(NewEvent {
        r#type: args.event_type.clone().unwrap_or_default(),
        content_type: if payload.is_some() {
            args.content_type.clone()
        } else {
            String::new()
        },
        payload: payload.unwrap_or_default(),
        aggregate_id: args.aggregate.clone().unwrap_or_default(),
        destinations: args.destination.clone(),
        metadata,
        ..NewEvent::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::failure::Exit;
    use clap::Parser as _;

    fn args(arguments: &[&str]) -> AppendArgs {
        match Cli::try_parse_from([&["tidelog", "append"], arguments].concat())
            .unwrap()
            .command
        {
            Command::Append(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_become_an_event_and_a_condition() {
        let args = args(&[
            "--location",
            "orders/eu",
            "--type",
            "OrderPlaced",
            "--aggregate",
            "order-1",
            "--metadata",
            "store=a=b",
            "--data",
            "{\"total\": 10}",
            "--after",
            "1/42",
        ]);
        let event = event(&args).unwrap();
        assert_eq!(event.metadata["store"], "a=b");
        assert_eq!(
            (event.content_type.as_str(), event.payload.as_ref()),
            (JSON, b"{\"total\": 10}".as_slice())
        );
        let condition = condition(&args).unwrap();
        assert_eq!(condition.keys, ["order-1"]);
        assert_eq!(condition.after.unwrap().sequence, 42);
    }

    #[test]
    fn an_event_without_payload_has_no_content_type() {
        let event = event(&args(&["--location", "eu", "--type", "T"])).unwrap();
        assert_eq!((event.content_type.as_str(), event.payload.len()), ("", 0));
    }

    #[test]
    fn a_payload_that_is_not_what_it_says_is_refused_before_it_is_sent() {
        let failure = event(&args(&[
            "--location",
            "eu",
            "--type",
            "T",
            "--data",
            "{oops",
        ]))
        .unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(
            failure.message.starts_with("--data is not JSON: "),
            "{failure}"
        );
        let text = args(&[
            "--location",
            "eu",
            "--type",
            "T",
            "--data",
            "-5 degrees",
            "--content-type",
            "text/plain",
        ]);
        assert_eq!(event(&text).unwrap().payload.as_ref(), b"-5 degrees");
    }

    #[test]
    fn a_condition_needs_an_aggregate_and_many_need_no_type() {
        let parse = |arguments: &[&str]| {
            Cli::try_parse_from([&["tidelog", "append", "--location", "eu"], arguments].concat())
        };
        assert!(parse(&["--type", "T", "--after", "1"]).is_err());
        assert!(parse(&[]).is_err());
        assert!(parse(&["--ndjson", "-"]).is_ok());
        assert!(parse(&["--ndjson", "-", "--data", "1"]).is_err());
    }
}
