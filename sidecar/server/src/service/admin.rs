//! `AdminService`: what operators and the command line ask of a location.

mod verify;

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, stream};
use tidelog_engine::LogHandle;
use tidelog_model::{LocationName, Position, mutant};
use tidelog_proto::convert::{FieldError, lineage_to_wire, optional_field};
use tidelog_proto::error::{ApiError, ErrorReason};
use tidelog_proto::v1;
use tidelog_proto::v1::admin_service_server::AdminService;
use tidelog_store::{EdgeKey, StoreError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::answer;
use crate::location::Shared;
use crate::recorded::RecordedWitness;
use crate::status;

/// Shortest pause between two messages of `WatchStatus`.
const WATCH_MIN: Duration = Duration::from_millis(100);
/// Ids in one message of `ListEventIds`.
const LIST_PAGE: usize = 1_000;

/// The operator's side of one location.
#[derive(Clone)]
pub struct AdminApi {
    shared: Shared,
}

type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl AdminApi {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    fn log(&self) -> &LogHandle {
        &self.shared.log
    }

    fn edge(&self, log: &str, edge: Option<v1::Edge>) -> Result<EdgeKey, ApiError> {
        self.shared.describe.check_log(log)?;
        let edge = edge.ok_or_else(|| answer::bad_field(FieldError::missing("edge")))?;
        let name = |field: &str, value: &str| {
            LocationName::new(value)
                .map_err(|e| answer::bad_field(FieldError::new(field, e.to_string())))
        };
        let key = EdgeKey {
            source: name("edge.source", &edge.source)?,
            target: name("edge.target", &edge.target)?,
        };
        Ok(key)
    }

    /// Cutting shows what a broken network does. Where a network is needed nobody may break it by one call.
    fn development_only(&self, what: &str, edge: &EdgeKey) -> Result<(), ApiError> {
        if self.shared.options.development || mutant!("cut-where-a-network-is-needed") {
            return Ok(());
        }
        let message = format!(
            "{edge} cannot be {what}: {} is not part of a network of `tidelog dev`; pause the edge instead",
            self.shared.describe.about().location
        );
        Err(ApiError::new(ErrorReason::InvalidRequest, message))
    }

    fn edge_status(&self, key: &EdgeKey) -> Option<v1::EdgeStatus> {
        let context = status::Context::of(&self.shared);
        self.shared
            .replication
            .status()
            .iter()
            .find(|e| e.edge == *key)
            .map(|e| context.edge(e))
    }
}

#[tonic::async_trait]
impl AdminService for AdminApi {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        self.shared.describe.check_log(&request.into_inner().log)?;
        let status = Some(status::location(&self.shared));
        Ok(Response::new(v1::GetStatusResponse { status }))
    }

    type WatchStatusStream = Outgoing<v1::WatchStatusResponse>;

    async fn watch_status(
        &self,
        request: Request<v1::WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let request = request.into_inner();
        self.shared.describe.check_log(&request.log)?;
        let pause = match request.interval_millis {
            0 => Duration::from_secs(1),
            millis => Duration::from_millis(u64::from(millis)).max(WATCH_MIN),
        };
        let shared = self.shared.clone();
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let states = stream::unfold((shared, ticks), |(shared, mut ticks)| async move {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shared.stopping.cancelled() => return None,
            }
            let status = Some(status::location(&shared));
            Some((Ok(v1::WatchStatusResponse { status }), (shared, ticks)))
        });
        Ok(Response::new(Box::pin(states)))
    }

    async fn apply_config(
        &self,
        request: Request<v1::ApplyConfigRequest>,
    ) -> Result<Response<v1::ApplyConfigResponse>, Status> {
        let request = request.into_inner();
        self.shared.describe.check_log(&request.log)?;
        let config = tidelog_config::Config::from_yaml(&request.config_yaml, "config_yaml")
            .map_err(|e| answer::bad_config(&e))?;
        config.validate().map_err(|e| answer::bad_config(&e))?;
        let applied = self
            .shared
            .apply(&config)
            .await
            .map_err(|e| answer::bad_field(FieldError::new("config_yaml", e.to_string())))?;
        Ok(Response::new(v1::ApplyConfigResponse {
            changed: applied.changed,
            restart_needed: applied.restart_needed,
            spec_hash: self.shared.config().spec_hash,
        }))
    }

    async fn pause_edge(
        &self,
        request: Request<v1::PauseEdgeRequest>,
    ) -> Result<Response<v1::PauseEdgeResponse>, Status> {
        let request = request.into_inner();
        let key = self.edge(&request.log, request.edge)?;
        self.shared
            .replication
            .pause(&key, true)
            .await
            .map_err(|e| answer::control(&e))?;
        Ok(Response::new(v1::PauseEdgeResponse {
            edge: self.edge_status(&key),
        }))
    }

    async fn resume_edge(
        &self,
        request: Request<v1::ResumeEdgeRequest>,
    ) -> Result<Response<v1::ResumeEdgeResponse>, Status> {
        let request = request.into_inner();
        let key = self.edge(&request.log, request.edge)?;
        self.shared
            .replication
            .pause(&key, false)
            .await
            .map_err(|e| answer::control(&e))?;
        Ok(Response::new(v1::ResumeEdgeResponse {
            edge: self.edge_status(&key),
        }))
    }

    async fn cut_edge(
        &self,
        request: Request<v1::CutEdgeRequest>,
    ) -> Result<Response<v1::CutEdgeResponse>, Status> {
        let request = request.into_inner();
        let key = self.edge(&request.log, request.edge)?;
        self.development_only("cut", &key)?;
        self.shared
            .replication
            .cut(&key)
            .map_err(|e| answer::control(&e))?;
        Ok(Response::new(v1::CutEdgeResponse {
            edge: self.edge_status(&key),
        }))
    }

    async fn heal_edge(
        &self,
        request: Request<v1::HealEdgeRequest>,
    ) -> Result<Response<v1::HealEdgeResponse>, Status> {
        let request = request.into_inner();
        let key = self.edge(&request.log, request.edge)?;
        self.development_only("healed", &key)?;
        self.shared
            .replication
            .heal(&key)
            .map_err(|e| answer::control(&e))?;
        Ok(Response::new(v1::HealEdgeResponse {
            edge: self.edge_status(&key),
        }))
    }

    type ListEventIdsStream = Outgoing<v1::ListEventIdsResponse>;

    async fn list_event_ids(
        &self,
        request: Request<v1::ListEventIdsRequest>,
    ) -> Result<Response<Self::ListEventIdsStream>, Status> {
        let request = request.into_inner();
        self.shared.describe.check_log(&request.log)?;
        let after: Position = optional_field("after", request.after)
            .map_err(answer::bad_field)?
            .unwrap_or_default();
        let reader = self.log().reader().clone();
        let head = reader
            .check(after)
            .await
            .map_err(|e| answer::page(&e))?
            .head;
        let pages = stream::unfold(Some(after), move |after| {
            let reader = reader.clone();
            async move {
                let after = after?;
                let page = match reader.ids(after, LIST_PAGE).await {
                    Ok(page) => page,
                    Err(error) => return Some((Err(answer::page(&error).into()), None)),
                };
                let rows: Vec<_> = page
                    .rows
                    .iter()
                    .take_while(|row| row.sequence <= head)
                    .collect();
                let position = rows.last().map_or(after, |row| {
                    Position::new(page.position.incarnation, row.sequence)
                });
                let done = rows.is_empty() || position.sequence >= head;
                let events = rows
                    .into_iter()
                    .map(|row| v1::ListedEvent {
                        id: Some((&row.id).into()),
                        sequence: row.sequence,
                        digest: row.digest.0.to_vec().into(),
                    })
                    .collect();
                let response = v1::ListEventIdsResponse {
                    events,
                    position: Some(position.into()),
                    head,
                };
                Some((Ok(response), (!done).then_some(position)))
            }
        });
        Ok(Response::new(Box::pin(pages)))
    }

    type VerifyStream = Outgoing<v1::VerifyResponse>;

    async fn verify(
        &self,
        request: Request<v1::VerifyRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        self.shared.describe.check_log(&request.into_inner().log)?;
        let (out, answers) = mpsc::channel(8);
        let log = self.log().clone();
        tokio::spawn(verify::verify(log, out));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn grant_incarnation(
        &self,
        request: Request<v1::GrantIncarnationRequest>,
    ) -> Result<Response<v1::GrantIncarnationResponse>, Status> {
        let request = request.into_inner();
        self.shared.describe.check_log(&request.log)?;
        let view = self.log().reader().view();
        if let Some(witness) = &self.shared.witness {
            answer_witness(witness, &request)?;
            return Ok(Response::new(v1::GrantIncarnationResponse {
                incarnation: view.current().incarnation.0,
                lineage: lineage_to_wire(&view.lineage),
            }));
        }
        let instance = self.log().status().borrow().instance.clone();
        let identity = instance.map(|i| i.to_string()).unwrap_or_default();
        let current = view.current().incarnation.0;
        if request.incarnation != 0 && request.incarnation != current {
            let message = format!(
                "this location is in incarnation {current}, not {}; its witness is a file that it keeps itself",
                request.incarnation
            );
            return Err(ApiError::new(ErrorReason::Fenced, message).into());
        }
        if !request.database_identity.is_empty() && request.database_identity != identity {
            let message = format!(
                "the database is {identity}, not {}",
                request.database_identity
            );
            return Err(ApiError::new(ErrorReason::Fenced, message).into());
        }
        Ok(Response::new(v1::GrantIncarnationResponse {
            incarnation: current,
            lineage: lineage_to_wire(&view.lineage),
        }))
    }

    type BackupStream = Outgoing<v1::BackupResponse>;

    async fn backup(
        &self,
        request: Request<v1::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let request = request.into_inner();
        self.shared.describe.check_log(&request.log)?;
        let directory = PathBuf::from(&request.directory);
        if !directory.is_absolute() {
            let error = FieldError::new(
                "directory",
                format!(
                    "`{}` is not an absolute path on the location's machine",
                    request.directory
                ),
            );
            return Err(answer::bad_field(error).into());
        }
        let (out, answers) = mpsc::channel(4);
        let log = self.log().clone();
        tokio::spawn(async move {
            let view = log.reader().view();
            let result = log.store().backup(&directory).await;
            let message = match result {
                Ok(_) => Ok(v1::BackupResponse {
                    done: true,
                    bytes: files(&directory).iter().map(|f| f.bytes).sum(),
                    files: files(&directory),
                    position: Some(Position::new(view.current().incarnation, view.head).into()),
                    hash: view.hash.0.to_vec().into(),
                }),
                Err(StoreError::Setting(text) | StoreError::Unsupported(text)) => {
                    Err(answer::bad_field(FieldError::new("directory", text)).into())
                }
                Err(error) => Err(answer::store(&error).into()),
            };
            let _ = out.send(message).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

/// What a backup left in its directory.
fn files(directory: &std::path::Path) -> Vec<v1::BackupFile> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<v1::BackupFile> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let bytes = entry
                .metadata()
                .ok()
                .filter(std::fs::Metadata::is_file)?
                .len();
            Some(v1::BackupFile {
                name: entry.file_name().to_string_lossy().into_owned(),
                bytes,
            })
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// Hands on what an operator says of a witness that it keeps.
fn answer_witness(
    witness: &RecordedWitness,
    request: &v1::GrantIncarnationRequest,
) -> Result<(), ApiError> {
    let Some(recorded) = &request.witness_record else {
        let text = "says what is recorded, empty for nothing: this location's witness is kept by an operator";
        return Err(answer::bad_field(FieldError::new("witness_record", text)));
    };
    witness
        .told(recorded)
        .map_err(|e| answer::bad_field(FieldError::new("witness_record", e.to_string())))?;
    Ok(())
}
