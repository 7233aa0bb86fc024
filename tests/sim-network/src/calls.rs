//! The wire API of one location over the simulated network, with deadlines, and answers as the record wants them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tidelog_harness::client::{incoming, refusal};
use tidelog_harness::record::{Answer, Dump, Fact, Id, Vector, hex};
use tidelog_proto::v1::admin_service_client::AdminServiceClient;
use tidelog_proto::v1::log_service_client::LogServiceClient;
use tidelog_proto::{ApiError, ErrorReason, v1};
use tonic::Status;
use tonic::transport::Channel;

use crate::wire::{ADMIN, API, channel};

/// How long a call may take before its caller gives up on it.
const CALL: Duration = Duration::from_secs(5);

/// One location, as its users call it.
#[derive(Clone)]
pub struct Calls {
    log: LogServiceClient<Channel>,
    admin: AdminServiceClient<Channel>,
    /// The location.
    pub location: String,
}

impl Calls {
    /// Dials when first used. To be called on the host of the users.
    pub fn to(location: &str) -> Result<Self> {
        Ok(Self {
            log: LogServiceClient::new(channel(location, API)?),
            admin: AdminServiceClient::new(channel(location, ADMIN)?),
            location: location.to_owned(),
        })
    }

    /// The calls of applications, bare.
    pub fn log(&self) -> LogServiceClient<Channel> {
        self.log.clone()
    }

    /// Appends, and says what became of it.
    pub async fn append(&self, request: v1::AppendRequest) -> Answer {
        match within(self.log().append(request)).await {
            Ok(response) => taken(response.into_inner()),
            Err(status) => refusal(&status),
        }
    }

    /// Appends one after the other over one stream. What was not answered when it ended as it should was not taken.
    pub async fn append_stream(&self, requests: Vec<v1::AppendRequest>) -> Vec<Answer> {
        let count = requests.len();
        let mut answers = Vec::new();
        let ended = within(async {
            let requests = futures_util::stream::iter(requests);
            let mut stream = self.log().append_stream(requests).await?.into_inner();
            while let Some(response) = stream.message().await? {
                answers.push(answer(response));
            }
            Ok(())
        })
        .await;
        let rest = match ended {
            Ok(()) => Answer::Unknown {
                message: "the stream ended without an answer".to_owned(),
            },
            Err(status) => refusal(&status),
        };
        answers.resize(count, rest);
        answers
    }

    /// Reads the events of a key, all when it is empty, and up to which position.
    pub async fn read(&self, key: &str) -> Result<(Vec<Fact>, v1::Position), Status> {
        let select = (!key.is_empty()).then(|| v1::Selector {
            keys: vec![key.to_owned()],
            ..v1::Selector::default()
        });
        let request = v1::ReadRequest {
            select,
            ..v1::ReadRequest::default()
        };
        within(async {
            let mut stream = self.log().read(request).await?.into_inner();
            let (mut facts, mut position) = (Vec::new(), v1::Position::default());
            while let Some(part) = stream.message().await? {
                facts.extend(part.events.iter().map(Fact::from));
                position = part.position.unwrap_or(position);
            }
            Ok((facts, position))
        })
        .await
    }

    /// Waits until the location covers a token.
    pub async fn await_token(&self, token: v1::VectorTime) -> Result<(), Status> {
        let mut request = tonic::Request::new(v1::AwaitRequest {
            token: Some(token),
            ..v1::AwaitRequest::default()
        });
        request.set_timeout(Duration::from_secs(2));
        within(self.log().r#await(request)).await.map(drop)
    }

    /// Where the location and its edges stand.
    pub async fn status(&self) -> Result<v1::LocationStatus, Status> {
        let request = v1::GetStatusRequest::default();
        let response = within(self.admin.clone().get_status(request)).await?;
        let status = response.into_inner().status;
        status.ok_or_else(|| Status::internal("a status without a status"))
    }

    async fn list(&self) -> Result<Vec<(u64, Id, String)>, Status> {
        let request = v1::ListEventIdsRequest::default();
        within(async {
            let mut stream = self
                .admin
                .clone()
                .list_event_ids(request)
                .await?
                .into_inner();
            let mut ids = Vec::new();
            while let Some(page) = stream.message().await? {
                ids.extend(page.events.iter().map(|event| {
                    let id = Id::from(&event.id.clone().unwrap_or_default());
                    (event.sequence, id, hex(&event.digest))
                }));
            }
            Ok(ids)
        })
        .await
    }

    async fn verify(&self) -> Result<v1::verify_response::Outcome> {
        let request = v1::VerifyRequest::default();
        let mut stream = self.admin.clone().verify(request).await?.into_inner();
        let mut outcome = None;
        while let Some(step) = stream.message().await? {
            outcome = step.outcome.or(outcome);
        }
        outcome.context("the walk over the hash chain ended without an outcome")
    }

    /// Everything that the location shows. The log must be at rest.
    pub async fn dump(&self) -> Result<Dump> {
        let before = self.status().await?;
        let ((facts, _), listed) = (self.read("").await?, self.list().await?);
        let status = self.status().await?;
        let name = &self.location;
        ensure!(
            before.head == status.head,
            "{name} is not at rest: head {} and then {}",
            before.head,
            status.head
        );
        if let v1::verify_response::Outcome::Altered(altered) = self.verify().await? {
            bail!("{name}: the hash chain is broken: {altered:?}");
        }
        Ok(Dump {
            location: status.location.clone(),
            facts,
            listed,
            head: status.head,
            incarnation: status.incarnation,
            lineage: status
                .lineage
                .iter()
                .map(|entry| (entry.incarnation, entry.base))
                .collect(),
            version_vector: Vector::from(&status.version_vector.clone().unwrap_or_default()),
            covered_vector: Vector::from(&status.covered_vector.clone().unwrap_or_default()),
            edges: incoming(&status, 0),
            warnings: status.warnings,
        })
    }
}

fn taken(response: v1::AppendResponse) -> Answer {
    Answer::Ok {
        ids: response.ids.iter().map(Id::from).collect(),
        token: Vector::from(&response.token.unwrap_or_default()),
        replayed: response.replayed,
    }
}

/// One answer of a stream.
fn answer(response: v1::AppendStreamResponse) -> Answer {
    use v1::append_stream_response::Result::{Error, Ok};
    match response.result {
        Some(Ok(response)) => taken(response),
        Some(Error(status)) => match ApiError::from_rpc_status(&status).map(|error| error.reason) {
            None | Some(ErrorReason::OutcomeUnknown) => Answer::Unknown {
                message: status.message,
            },
            Some(reason) => Answer::Refused {
                reason: reason.as_str().to_owned(),
                message: status.message,
            },
        },
        None => Answer::Unknown {
            message: "an answer without content".to_owned(),
        },
    }
}

async fn within<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    tokio::time::timeout(CALL, call)
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("the user has gone")))
}
