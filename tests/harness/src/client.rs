//! The wire API of one location, with deadlines, and answers as the record wants them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tidelog_proto::v1;
use tidelog_proto::v1::admin_service_client::AdminServiceClient;
use tidelog_proto::v1::log_service_client::LogServiceClient;
use tidelog_proto::{ApiError, ErrorReason};
use tonic::transport::{Channel, Endpoint};

use crate::record::{Answer, Dump, Fact, Id, Progress, Vector, hex};

/// Longer than any call takes on a busy machine, shorter than a test.
const CALL: Duration = Duration::from_secs(20);

/// One location of one log.
#[derive(Debug, Clone)]
pub struct Client {
    log: LogServiceClient<Channel>,
    admin: AdminServiceClient<Channel>,
    name: String,
}

impl Client {
    /// Dials when first used, and again after every loss of the connection.
    pub fn new(log_name: &str, api: &str, admin: &str) -> Result<Self> {
        let dial = |address: &str| -> Result<Channel> {
            let endpoint = Endpoint::from_shared(format!("http://{address}"))
                .with_context(|| format!("address {address}"))?;
            Ok(endpoint
                .connect_timeout(Duration::from_secs(2))
                .connect_lazy())
        };
        Ok(Self {
            log: LogServiceClient::new(dial(api)?),
            admin: AdminServiceClient::new(dial(admin)?),
            name: log_name.to_owned(),
        })
    }

    /// The calls of applications, bare.
    pub fn log(&self) -> LogServiceClient<Channel> {
        self.log.clone()
    }

    /// The calls of operators, bare.
    pub fn admin(&self) -> AdminServiceClient<Channel> {
        self.admin.clone()
    }

    /// Appends, and says what became of it.
    pub async fn append(&self, mut request: v1::AppendRequest) -> Answer {
        request.log.clone_from(&self.name);
        match within(self.log().append(request)).await {
            Ok(response) => {
                let response = response.into_inner();
                Answer::Ok {
                    ids: response.ids.iter().map(Id::from).collect(),
                    token: Vector::from(&response.token.unwrap_or_default()),
                    replayed: response.replayed,
                }
            }
            Err(status) => refusal(&status),
        }
    }

    /// Reads a range.
    pub async fn read(
        &self,
        mut request: v1::ReadRequest,
    ) -> Result<Vec<v1::Event>, tonic::Status> {
        request.log.clone_from(&self.name);
        within(async {
            let mut stream = self.log().read(request).await?.into_inner();
            let mut events = Vec::new();
            while let Some(part) = stream.message().await? {
                events.extend(part.events);
            }
            Ok(events)
        })
        .await
    }

    /// Waits until the location covers a token.
    pub async fn await_token(
        &self,
        token: v1::VectorTime,
        patience: Duration,
    ) -> Result<v1::AwaitResponse, tonic::Status> {
        let mut request = tonic::Request::new(v1::AwaitRequest {
            log: self.name.clone(),
            token: Some(token),
        });
        request.set_timeout(patience);
        within(self.log().r#await(request))
            .await
            .map(tonic::Response::into_inner)
    }

    /// Where the log stands.
    pub async fn describe(&self) -> Result<v1::DescribeResponse, tonic::Status> {
        let request = v1::DescribeRequest {
            log: self.name.clone(),
        };
        within(self.log().describe(request))
            .await
            .map(tonic::Response::into_inner)
    }

    /// Where the location and its edges stand.
    pub async fn status(&self) -> Result<v1::LocationStatus, tonic::Status> {
        let request = v1::GetStatusRequest {
            log: self.name.clone(),
        };
        let response = within(self.admin().get_status(request)).await?.into_inner();
        response
            .status
            .ok_or_else(|| tonic::Status::internal("a status without a status"))
    }

    /// All ids, as the location lists them.
    pub async fn list(&self) -> Result<Vec<(u64, Id, String)>, tonic::Status> {
        let request = v1::ListEventIdsRequest {
            log: self.name.clone(),
            after: None,
        };
        within(async {
            let mut stream = self.admin().list_event_ids(request).await?.into_inner();
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

    /// Walks the hash chain.
    pub async fn verify(&self) -> Result<v1::verify_response::Outcome> {
        let request = v1::VerifyRequest {
            log: self.name.clone(),
        };
        within(async {
            let mut stream = self.admin().verify(request).await?.into_inner();
            let mut outcome = None;
            while let Some(step) = stream.message().await? {
                outcome = step.outcome.or(outcome);
            }
            Ok(outcome)
        })
        .await?
        .context("the walk over the hash chain ended without an outcome")
    }

    /// Cuts or heals an edge at this end.
    pub async fn set_cut(
        &self,
        source: &str,
        target: &str,
        cut: bool,
    ) -> Result<(), tonic::Status> {
        let log = self.name.clone();
        let edge = Some(v1::Edge {
            source: source.to_owned(),
            target: target.to_owned(),
        });
        if cut {
            within(self.admin().cut_edge(v1::CutEdgeRequest { log, edge }))
                .await
                .map(drop)
        } else {
            within(self.admin().heal_edge(v1::HealEdgeRequest { log, edge }))
                .await
                .map(drop)
        }
    }

    /// Everything that the location shows. The log must be at rest: its parts are several calls.
    pub async fn dump(&self) -> Result<Dump> {
        let status = self.status().await?;
        let described = self.describe().await?;
        let facts = self
            .read(v1::ReadRequest::default())
            .await?
            .iter()
            .map(Fact::from)
            .collect();
        let listed = self.list().await?;
        let after = self.status().await?;
        ensure!(
            status.head == after.head && described.head == after.head,
            "{} is not at rest: head {} and then {}",
            status.location,
            status.head,
            after.head
        );
        if let v1::verify_response::Outcome::Altered(altered) = self.verify().await? {
            bail!(
                "{}: the hash chain is broken at {}: {}",
                status.location,
                altered.sequence,
                altered.message
            );
        }
        Ok(Dump {
            location: status.location.clone(),
            facts,
            listed,
            head: described.head,
            incarnation: described.incarnation,
            lineage: described
                .lineage
                .iter()
                .map(|entry| (entry.incarnation, entry.base))
                .collect(),
            version_vector: Vector::from(&described.version_vector.unwrap_or_default()),
            covered_vector: Vector::from(&described.covered_vector.unwrap_or_default()),
            edges: incoming(&after, 0),
            warnings: after.warnings,
        })
    }
}

/// The progress of the edges that end at a location.
pub fn incoming(status: &v1::LocationStatus, at: i64) -> Vec<Progress> {
    status
        .edges
        .iter()
        .filter(|edge| edge.direction() == v1::EdgeDirection::Incoming)
        .map(|edge| Progress {
            at,
            source: edge.source.clone(),
            target: edge.target.clone(),
            source_incarnation: edge.source_incarnation,
            target_incarnation: status.incarnation,
            progress: edge.progress,
        })
        .collect()
}

/// The reason of an error of the product; `None` for one of the transport.
pub fn reason(status: &tonic::Status) -> Option<ErrorReason> {
    ApiError::from_status(status).map(|error| error.reason)
}

/// What an error says about an append. Only an error of the product itself, and not the one that says otherwise, is definite.
pub fn refusal(status: &tonic::Status) -> Answer {
    match reason(status) {
        Some(ErrorReason::OutcomeUnknown) | None => Answer::Unknown {
            message: format!("{status:?}"),
        },
        Some(reason) => Answer::Refused {
            reason: reason.as_str().to_owned(),
            message: status.message().to_owned(),
        },
    }
}

async fn within<T>(
    call: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, tonic::Status> {
    tokio::time::timeout(CALL, call).await.unwrap_or_else(|_| {
        Err(tonic::Status::deadline_exceeded(format!(
            "the test waited {CALL:?}"
        )))
    })
}
