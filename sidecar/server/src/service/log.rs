//! `LogService`: decode, call the engine, encode.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tidelog_core::{Accepted, AppendRequest};
use tidelog_engine::{
    ConsumerStatus, LogHandle, LogPhase, Pending, ReadRequest, Selection, Start, SubscribeRequest,
    SubscriptionItem,
};
use tidelog_filter::SelectorFilter;
use tidelog_model::{Position, StoredEvent, VectorTime, mutant};
use tidelog_proto::convert::{
    FieldError, micros_from_timestamp, optional_field, required_field, timestamp_from_micros,
};
use tidelog_proto::error::{ApiError, ErrorReason};
use tidelog_proto::v1;
use tidelog_proto::v1::log_service_server::LogService;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::describe::Describe;
use crate::{answer, oversize};

/// Requests of one `AppendStream` that wait for their answers.
const IN_FLIGHT_MAX: usize = 1024;
/// How long a client of an `AppendStream` that has ended may take to notice.
const LINGER: Duration = Duration::from_secs(1);
const SHUTTING_DOWN: &str = "the log is shutting down; connect again when it is back";
/// The longest wait on behalf of a client that set no deadline, and the bound of every wait.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The application's side of one location.
#[derive(Clone)]
pub struct LogApi {
    log: LogHandle,
    describe: Describe,
}

type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl LogApi {
    /// Serves one log.
    pub fn new(log: LogHandle, describe: Describe) -> Self {
        Self { log, describe }
    }

    fn check_log(&self, asked: &str) -> Result<(), ApiError> {
        self.describe.check_log(asked)
    }

    fn decode_append(&self, request: v1::AppendRequest) -> Result<AppendRequest, ApiError> {
        self.check_log(&request.log)?;
        let decode = || -> Result<AppendRequest, FieldError> {
            let mut events = Vec::with_capacity(request.events.len());
            for (i, event) in request.events.into_iter().enumerate() {
                events.push(
                    event
                        .try_into()
                        .map_err(|e: FieldError| e.within(&format!("events[{i}]")))?,
                );
            }
            Ok(AppendRequest {
                events,
                request_id: request.request_id,
                context: optional_field("context", request.context)?,
                condition: optional_field("condition", request.condition)?,
            })
        };
        decode().map_err(answer::bad_field)
    }

    async fn submit(&self, request: v1::AppendRequest) -> Result<Pending, ApiError> {
        let request = self.decode_append(request)?;
        Ok(self.log.submit(request).await)
    }
}

#[tonic::async_trait]
impl LogService for LogApi {
    async fn append(
        &self,
        request: Request<v1::AppendRequest>,
    ) -> Result<Response<v1::AppendResponse>, Status> {
        let pending = self.submit(request.into_inner()).await?;
        match pending.answer().await {
            Ok(accepted) => Ok(Response::new(append_response(&accepted))),
            Err(refusal) => Err(self.describe.with_writer(answer::refusal(&refusal)).into()),
        }
    }

    type AppendStreamStream = Outgoing<v1::AppendStreamResponse>;

    async fn append_stream(
        &self,
        request: Request<Streaming<v1::AppendRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let mut incoming = request.into_inner();
        let (queue, pending) = mpsc::channel::<Result<Pending, ApiError>>(
            if mutant!("requests-in-flight-unbounded") {
                1 << 24
            } else {
                IN_FLIGHT_MAX
            },
        );
        let api = self.clone();
        let (end, ended) = oneshot::channel::<Status>();
        // Takes requests in while earlier ones are being committed; the bounded queue pushes back on the client.
        tokio::spawn(async move {
            let mut status = api.log.status();
            let mut stopped = std::pin::pin!(async {
                let stopped = status.wait_for(|s| s.phase == LogPhase::Stopped);
                let _ = stopped.await;
            });
            loop {
                let request = tokio::select! {
                    // What has not been taken in by then is told by the end of the stream: it would not be taken any more.
                    biased;
                    () = &mut stopped => {
                        let error = ApiError::new(ErrorReason::ShuttingDown, SHUTTING_DOWN);
                        if !mutant!("stream-ends-without-a-word") {
                            // The client may have gone already.
                            let _ = end.send(error.into());
                        }
                        drop(queue);
                        // A connection that is closed over what it has not read is reset, and the last answers with it.
                        let rest = async { while let Some(Ok(_)) = incoming.next().await {} };
                        let _ = tokio::time::timeout(LINGER, rest).await;
                        return;
                    }
                    request = incoming.next() => request,
                };
                let request = match request {
                    Some(Ok(request)) => request,
                    Some(Err(status)) => {
                        // Beyond it nothing can be read; what came before is answered first.
                        let _ = end.send(oversize::told(status));
                        return;
                    }
                    None => return,
                };
                let submitted = api.submit(request).await;
                if queue.send(submitted).await.is_err() {
                    return;
                }
            }
        });
        let end = stream::once(ended).filter_map(|status| async { status.ok().map(Err) });
        let describe = Arc::new(self.describe.clone());
        let answers = ReceiverStream::new(pending).then(move |pending| {
            let describe = Arc::clone(&describe);
            async move {
                let outcome = match pending {
                    Ok(pending) => pending.answer().await.map_err(|r| answer::refusal(&r)),
                    Err(error) => Err(error),
                };
                let result = match outcome {
                    Ok(accepted) => {
                        v1::append_stream_response::Result::Ok(append_response(&accepted))
                    }
                    Err(error) => v1::append_stream_response::Result::Error(
                        describe.with_writer(error).into(),
                    ),
                };
                Ok(v1::AppendStreamResponse {
                    result: Some(result),
                })
            }
        });
        Ok(Response::new(Box::pin(answers.chain(end))))
    }

    type ReadStream = Outgoing<v1::ReadResponse>;

    async fn read(
        &self,
        request: Request<v1::ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let deadline = deadline_of(&request);
        let request = request.into_inner();
        self.check_log(&request.log)?;
        let read = ReadRequest {
            after: position(request.after)?,
            to: request.to,
            limit: request.limit,
            selection: selection(request.select)?,
            min_version: vector("min_version", request.min_version)?,
            deadline,
        };
        let reading = self
            .log
            .reader()
            .read(read)
            .await
            .map_err(|e| self.describe.with_writer(answer::read(&e)))?;
        let items = stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(item)) => {
                    let response = v1::ReadResponse {
                        events: encode(&item.events),
                        position: Some(item.position.into()),
                        head: item.head,
                    };
                    Some((Ok(response), Some(reading)))
                }
                Ok(None) => None,
                Err(error) => Some((Err(answer::read(&error).into()), None)),
            }
        });
        Ok(Response::new(Box::pin(items)))
    }

    type SubscribeStream = Outgoing<v1::SubscribeResponse>;

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let deadline = deadline_of(&request);
        let request = request.into_inner();
        self.check_log(&request.log)?;
        let subscribe = SubscribeRequest {
            start: start(request.start)?,
            selection: selection(request.select)?,
            min_version: vector("min_version", request.min_version)?,
            deadline,
        };
        let subscription = self
            .log
            .reader()
            .subscribe(subscribe)
            .await
            .map_err(|e| self.describe.with_writer(answer::subscribe(&e)))?;
        let items = stream::unfold(Some(subscription), |subscription| async move {
            let mut subscription = subscription?;
            match subscription.next().await {
                Ok(item) => Some((Ok(subscribe_response(item)), Some(subscription))),
                Err(error) => Some((Err(answer::subscribe(&error).into()), None)),
            }
        });
        Ok(Response::new(Box::pin(items)))
    }

    async fn ack(
        &self,
        request: Request<v1::AckRequest>,
    ) -> Result<Response<v1::AckResponse>, Status> {
        let request = request.into_inner();
        self.check_log(&request.log)?;
        let position: Position =
            required_field("position", request.position).map_err(answer::bad_field)?;
        let status = self
            .log
            .reader()
            .ack(&request.consumer, position, request.reset)
            .await
            .map_err(|e| answer::consumer(&e))?;
        Ok(Response::new(v1::AckResponse {
            consumer: Some(consumer(&status)),
        }))
    }

    async fn get_consumer(
        &self,
        request: Request<v1::GetConsumerRequest>,
    ) -> Result<Response<v1::GetConsumerResponse>, Status> {
        let request = request.into_inner();
        self.check_log(&request.log)?;
        let status = self
            .log
            .reader()
            .consumer(&request.consumer)
            .await
            .map_err(|e| answer::consumer(&e))?;
        Ok(Response::new(v1::GetConsumerResponse {
            consumer: Some(consumer(&status)),
        }))
    }

    async fn list_consumers(
        &self,
        request: Request<v1::ListConsumersRequest>,
    ) -> Result<Response<v1::ListConsumersResponse>, Status> {
        self.check_log(&request.into_inner().log)?;
        let consumers = self
            .log
            .reader()
            .consumers()
            .await
            .map_err(|e| answer::consumer(&e))?;
        let consumers = consumers.iter().map(consumer).collect();
        Ok(Response::new(v1::ListConsumersResponse { consumers }))
    }

    async fn delete_consumer(
        &self,
        request: Request<v1::DeleteConsumerRequest>,
    ) -> Result<Response<v1::DeleteConsumerResponse>, Status> {
        let request = request.into_inner();
        self.check_log(&request.log)?;
        self.log
            .reader()
            .delete_consumer(&request.consumer)
            .await
            .map_err(|e| answer::consumer(&e))?;
        Ok(Response::new(v1::DeleteConsumerResponse {}))
    }

    async fn r#await(
        &self,
        request: Request<v1::AwaitRequest>,
    ) -> Result<Response<v1::AwaitResponse>, Status> {
        let deadline = deadline_of(&request);
        let request = request.into_inner();
        self.check_log(&request.log)?;
        let token = vector("token", request.token)?;
        let view = self
            .log
            .reader()
            .wait_for(&token, deadline)
            .await
            .map_err(|e| self.describe.with_writer(answer::wait(&e)))?;
        Ok(Response::new(v1::AwaitResponse {
            covered: Some((&*view.covered_vector).into()),
            head: view.head,
        }))
    }

    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        self.check_log(&request.into_inner().log)?;
        if matches!(self.log.status().borrow().phase, LogPhase::Stopped) {
            return Err(ApiError::new(ErrorReason::ShuttingDown, SHUTTING_DOWN).into());
        }
        Ok(Response::new(self.describe.describe(&self.log)))
    }
}

fn append_response(accepted: &Accepted) -> v1::AppendResponse {
    v1::AppendResponse {
        ids: accepted.ids.iter().map(Into::into).collect(),
        first_sequence: accepted.first_sequence,
        last_sequence: accepted.last_sequence,
        token: Some((&accepted.token).into()),
        replayed: accepted.replayed,
    }
}

fn encode(events: &[StoredEvent]) -> Vec<v1::Event> {
    events.iter().map(Into::into).collect()
}

fn subscribe_response(item: SubscriptionItem) -> v1::SubscribeResponse {
    use v1::subscribe_response::Content;
    let (content, position) = match item {
        SubscriptionItem::Events { events, position } => (
            Content::Events(v1::EventBatch {
                events: encode(&events),
            }),
            position,
        ),
        SubscriptionItem::CaughtUp { position, head } => {
            (Content::CaughtUp(v1::CaughtUp { head }), position)
        }
        SubscriptionItem::Heartbeat { position, head } => {
            let time = Some(timestamp_from_micros(crate::clock::now_micros()));
            (Content::Heartbeat(v1::Heartbeat { head, time }), position)
        }
    };
    v1::SubscribeResponse {
        content: Some(content),
        position: Some(position.into()),
    }
}

fn consumer(status: &ConsumerStatus) -> v1::Consumer {
    let stored = &status.consumer;
    v1::Consumer {
        name: stored.name.clone(),
        position: Some(stored.position.into()),
        updated_at: Some(timestamp_from_micros(stored.updated_at_micros)),
        connected: status.connected,
    }
}

fn position(wire: Option<v1::Position>) -> Result<Position, ApiError> {
    let position = optional_field("after", wire).map_err(answer::bad_field)?;
    Ok(position.unwrap_or_default())
}

fn vector(field: &str, wire: Option<v1::VectorTime>) -> Result<VectorTime, ApiError> {
    let vector = optional_field(field, wire).map_err(answer::bad_field)?;
    Ok(vector.unwrap_or_default())
}

fn start(wire: Option<v1::subscribe_request::Start>) -> Result<Start, ApiError> {
    use v1::subscribe_request::Start as Wire;
    Ok(match wire {
        None => Start::default(),
        Some(Wire::After(after)) => Start::After(position(Some(after))?),
        Some(Wire::FromTime(time)) => Start::FromTime(
            micros_from_timestamp(&time).map_err(|e| answer::bad_field(e.within("from_time")))?,
        ),
        Some(Wire::FromVersion(version)) => {
            Start::FromVersion(vector("from_version", Some(version))?)
        }
        // `latest: false` is what a client that sets nothing sends.
        Some(Wire::Latest(false)) => Start::default(),
        Some(Wire::Latest(true)) => Start::Latest,
        Some(Wire::Consumer(name)) => Start::Consumer(name),
    })
}

fn selection(wire: Option<v1::Selector>) -> Result<Selection, ApiError> {
    let Some(wire) = wire else {
        return Ok(Selection::default());
    };
    let decoded: tidelog_proto::convert::Selection =
        required_field("select", Some(wire)).map_err(answer::bad_field)?;
    let mut selection = Selection {
        selector: decoded.selector,
        predicate: None,
    };
    if !decoded.cel.is_empty() {
        let filter = SelectorFilter::compile(&decoded.cel).map_err(|e| answer::bad_filter(&e))?;
        selection.predicate = Some(Arc::new(move |event| filter.matches(event)));
    }
    Ok(selection)
}

/// How long a wait may last: what the client's deadline leaves, at most [`WAIT_MAX`] when it set none.
fn deadline_of<T>(request: &Request<T>) -> Option<Duration> {
    if mutant!("deadline-not-read") {
        return None;
    }
    let header = request.metadata().get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = header.split_at_checked(header.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok()?;
    let wait = match unit {
        "H" => Duration::from_secs(amount.saturating_mul(3600)),
        "M" => Duration::from_secs(amount.saturating_mul(60)),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    };
    // A moment less than the client's own, also on a busy machine: so that the answer names what is missing instead of being cut off.
    let moment = (wait / 10).max(Duration::from_millis(50).min(wait / 4));
    Some(
        wait.saturating_sub(moment)
            .max(Duration::from_millis(1))
            .min(WAIT_MAX * 120),
    )
}
