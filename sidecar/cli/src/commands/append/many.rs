//! `tidelog append --ndjson`: pipelined, in the order of the lines, one request per line.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use indicatif::ProgressBar;
use serde::Serialize;
use tidelog_proto::ApiError;
use tidelog_proto::v1::append_stream_response::Result as Answer;
use tidelog_proto::v1::{AppendRequest, AppendStreamResponse};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::{signal, task};
use tokio_stream::wrappers::ReceiverStream;

use super::{AppendArgs, input};
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Requests that wait for their answer; well below what a location queues, so that it never says that it is full.
const IN_FLIGHT_MAX: usize = 1_000;
/// And their bytes: a permit is a kibibyte.
const IN_FLIGHT_KIBIBYTES_MAX: usize = 16 * 1024;
/// Refused lines that are told one by one.
const TOLD_MAX: usize = 10;

/// What became of the lines, also what is printed as JSON.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    appended: u64,
    /// Of these, lines that an earlier import had appended.
    replayed: u64,
    refused: u64,
    last_sequence: u64,
    /// The first of the refused lines.
    errors: Vec<LineError>,
    #[serde(skip)]
    by_rule_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct LineError {
    line: u64,
    error: String,
}

impl Summary {
    fn refuse(&mut self, line: u64, exit: Exit, error: String) {
        self.by_rule_only = exit == Exit::Refused && (self.refused == 0 || self.by_rule_only);
        self.refused += 1;
        if self.errors.len() < TOLD_MAX {
            self.errors.push(LineError { line, error });
        }
    }
}

/// A line on its way: where it stood, and what it holds on to until it is answered.
struct Sent {
    line: u64,
    weight: usize,
}

/// What the reading side says, in the order of the lines.
enum Step {
    Sent(Sent),
    /// A line that is no event.
    Refused(u64, String),
}

/// Appends every line.
pub async fn run(context: &Context, args: &AppendArgs, file: &Path) -> Result<(), Failure> {
    let reader = input::open(file)?;
    let (mut client, target) = context.log_client(args.at.location.as_ref()).await?;
    let room = Arc::new(Semaphore::new(IN_FLIGHT_KIBIBYTES_MAX));
    let (requests, request_stream) = mpsc::channel(IN_FLIGHT_MAX);
    let (steps, mut step_stream) = mpsc::channel(IN_FLIGHT_MAX);
    let source = Source {
        reader,
        name: file.display().to_string(),
        log: target.log,
        request_id: args.request_id.clone(),
        room: Arc::clone(&room),
    };
    let reading: JoinHandle<Result<(), Failure>> = task::spawn_blocking({
        let handle = tokio::runtime::Handle::current();
        move || handle.block_on(source.send(requests, steps))
    });
    let bar = context.output.progress(None, "appended");
    let mut summary = Summary::default();
    let result = async {
        let mut answers = client
            .append_stream(ReceiverStream::new(request_stream))
            .await?
            .into_inner();
        while let Some(step) = step_stream.recv().await {
            match step {
                Step::Refused(line, error) => summary.refuse(line, Exit::Failed, error),
                Step::Sent(sent) => {
                    let answer = tokio::select! {
                        answer = answers.message() => answer?,
                        _ = signal::ctrl_c() => return Err(Failure::failed("interrupted")),
                    };
                    let answer =
                        answer.ok_or_else(|| Failure::failed("the location ended the stream"))?;
                    take(&mut summary, sent.line, answer);
                    room.add_permits(sent.weight);
                }
            }
            progress(&bar, &summary);
        }
        Ok(())
    }
    .await;
    bar.finish_and_clear();
    // After a broken connection the reading side may still wait for room or input; it has nobody to send to.
    let result = match result {
        Ok(()) => reading
            .await
            .unwrap_or_else(|error| Err(Failure::failed(format!("reading lines: {error}")))),
        Err(failure) => Err(failure),
    };
    report(context, &summary, result, args.request_id.is_some())
}

struct Source {
    reader: Box<dyn std::io::BufRead + Send>,
    name: String,
    log: String,
    request_id: Option<String>,
    room: Arc<Semaphore>,
}

impl Source {
    /// Reads, and sends as long as there is room. Ends early when nobody listens any more.
    async fn send(
        mut self,
        requests: mpsc::Sender<AppendRequest>,
        steps: mpsc::Sender<Step>,
    ) -> Result<(), Failure> {
        let mut number = 0;
        loop {
            number += 1;
            let line = input::line(self.reader.as_mut()).map_err(|error| {
                Failure::failed(format!("{}, line {number}: {error}", self.name))
            })?;
            let Some(line) = line else { return Ok(()) };
            if line.trim().is_empty() {
                continue;
            }
            let event = match input::event(&line) {
                Ok(event) => event,
                Err(error) => {
                    if steps.send(Step::Refused(number, error)).await.is_err() {
                        return Ok(());
                    }
                    continue;
                }
            };
            let weight = (line.len() / 1024 + 1).min(IN_FLIGHT_KIBIBYTES_MAX);
            let Ok(permits) = self.room.acquire_many(weight as u32).await else {
                return Ok(());
            };
            permits.forget();
            let request = AppendRequest {
                log: self.log.clone(),
                events: vec![event],
                request_id: self
                    .request_id
                    .as_ref()
                    .map(|id| format!("{id}/{number}"))
                    .unwrap_or_default(),
                context: None,
                condition: None,
            };
            // The step first: an answer must find who it belongs to.
            if steps
                .send(Step::Sent(Sent {
                    line: number,
                    weight,
                }))
                .await
                .is_err()
                || requests.send(request).await.is_err()
            {
                return Ok(());
            }
        }
    }
}

fn take(summary: &mut Summary, line: u64, answer: AppendStreamResponse) {
    match answer.result {
        Some(Answer::Ok(response)) => {
            summary.appended += 1;
            summary.replayed += u64::from(response.replayed);
            summary.last_sequence = summary.last_sequence.max(response.last_sequence);
        }
        Some(Answer::Error(status)) => {
            let failure = ApiError::from_rpc_status(&status)
                .map_or_else(|| Failure::failed(&status.message), Failure::from);
            summary.refuse(line, failure.exit, failure.message);
        }
        None => summary.refuse(line, Exit::Failed, "the answer is empty".to_owned()),
    }
}

fn progress(bar: &ProgressBar, summary: &Summary) {
    bar.set_position(summary.appended);
    if summary.refused > 0 {
        bar.set_message(format!("{} refused, appended", summary.refused));
    }
}

fn report(
    context: &Context,
    summary: &Summary,
    result: Result<(), Failure>,
    has_request_id: bool,
) -> Result<(), Failure> {
    let output = context.output;
    for LineError { line, error } in &summary.errors {
        output.warning(&format!("line {line}: {error}"));
    }
    let untold = summary.refused - summary.errors.len() as u64;
    if untold > 0 {
        output.warning(&format!("and {untold} more lines"));
    }
    if output.is_json() {
        output.json(summary)?;
    } else {
        output.line(&text(summary))?;
    }
    match result {
        Err(failure) if has_request_id => Err(failure.hint("start it again: lines that are in the log already are not appended twice")),
        Err(failure) => Err(failure.hint(
            "lines after the last one counted may be in the log as well; with --request-id an import can be repeated",
        )),
        Ok(()) if summary.refused == 0 => Ok(()),
        Ok(()) => {
            let exit = if summary.by_rule_only { Exit::Refused } else { Exit::Failed };
            Err(Failure::silent(exit))
        }
    }
}

fn text(summary: &Summary) -> String {
    let Summary {
        appended,
        replayed,
        refused,
        last_sequence,
        ..
    } = summary;
    // Writing to a String cannot fail.
    let mut text = format!("appended {appended}");
    if *replayed > 0 {
        let _ = write!(text, " ({replayed} of them before)");
    }
    if *refused > 0 {
        let _ = write!(text, ", refused {refused}");
    }
    if *appended > 0 {
        let _ = write!(text, "; the last sequence is {last_sequence}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_proto::ErrorReason;
    use tidelog_proto::v1::AppendResponse;

    fn ok(last_sequence: u64, replayed: bool) -> AppendStreamResponse {
        AppendStreamResponse {
            result: Some(Answer::Ok(AppendResponse {
                last_sequence,
                replayed,
                ..AppendResponse::default()
            })),
        }
    }

    fn refused(reason: ErrorReason) -> AppendStreamResponse {
        AppendStreamResponse {
            result: Some(Answer::Error(ApiError::new(reason, "why").into())),
        }
    }

    #[test]
    fn lines_are_counted_and_the_first_refused_ones_told() {
        let mut summary = Summary::default();
        take(&mut summary, 1, ok(5, false));
        take(&mut summary, 2, ok(3, true));
        take(&mut summary, 3, refused(ErrorReason::RequestIdReused));
        assert_eq!(
            text(&summary),
            "appended 2 (1 of them before), refused 1; the last sequence is 5"
        );
        assert_eq!(
            summary.errors,
            [LineError {
                line: 3,
                error: "why (REQUEST_ID_REUSED)".to_owned()
            }]
        );
        for line in 4..40 {
            take(&mut summary, line, refused(ErrorReason::InvalidEvent));
        }
        assert_eq!((summary.refused, summary.errors.len()), (37, TOLD_MAX));
    }

    #[test]
    fn refusals_by_rule_alone_end_with_their_own_code() {
        let mut summary = Summary::default();
        take(&mut summary, 1, refused(ErrorReason::ConditionFailed));
        take(&mut summary, 2, refused(ErrorReason::ConditionFailed));
        assert!(summary.by_rule_only);
        take(&mut summary, 3, refused(ErrorReason::InvalidEvent));
        assert!(!summary.by_rule_only);
        take(&mut summary, 4, refused(ErrorReason::ConditionFailed));
        assert!(!summary.by_rule_only);
    }
}
