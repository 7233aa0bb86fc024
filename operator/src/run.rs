//! Start, wait for a signal, stop in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use prometheus_client::registry::Registry;
use tidelog_controller::{METRICS_PREFIX, Metrics, be_patient};
use tidelog_webhook::{Webhook, WebhookOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::args::{Args, WATCH};
use crate::http::{self, State};
use crate::leader::Leader;
use crate::telemetry;

/// A visit under way may take this long to end.
const FAREWELL: Duration = Duration::from_secs(10);
/// Between two attempts to reach the API server at the start.
const RETRY: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT, or until somebody else was elected.
pub fn run(args: Args) -> Result<()> {
    telemetry::init(&args.log_level, args.log_format);
    // Before a first connection is made; nobody else has chosen one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    threads
        .context("cannot start the runtime")?
        .block_on(operate(args))
}

async fn operate(args: Args) -> Result<()> {
    let mut ends = Ends::new()?;
    let options = args.options()?;
    let client = client(&args).await?;
    let mut registry = Registry::with_prefix(METRICS_PREFIX);
    let metrics = Metrics::new(&mut registry);
    let ready = Arc::new(AtomicBool::new(false));
    let state = State {
        ready: Arc::clone(&ready),
        registry: Arc::new(registry),
    };
    let address = http::serve(args.listen, state).await?;
    tracing::info!(location = args.location, namespace = ?options.namespace, %address, "started");
    tokio::select! {
        reached = reached(&client) => reached,
        () = ends.any() => return Ok(()),
    }
    // Every replica serves it, elected or not.
    let webhook = args
        .webhook()
        .map(|options| tokio::spawn(inject(client.clone(), options)));
    ready.store(true, Ordering::Relaxed);
    let mut leader = None;
    if !args.no_leader_election {
        let identity = args
            .identity
            .clone()
            .unwrap_or_else(|| format!("process-{}", std::process::id()));
        let lease = args.lease();
        let taking = Leader::take_part(client.clone(), &args.operator_namespace, &lease, &identity);
        let mut elected = taking.await?;
        tracing::info!(identity, "waiting to be elected");
        tokio::select! {
            outcome = elected.elected() => outcome?,
            () = ends.any() => return Ok(()),
        }
        tracing::info!("elected");
        leader = Some(elected);
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let mut working = tokio::spawn(tidelog_controller::run(client, options, metrics, stopped));
    let deposed = async {
        match &mut leader {
            Some(leader) => leader.deposed().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = ends.any() => tracing::info!("stopping: finishing what is under way"),
        () = deposed => {
            // What is under way may write: the process ends, and with it everything that it would do.
            bail!("another operator of this location was elected, or the lease could not be renewed in time");
        }
        outcome = &mut working => {
            outcome.context("the controller has ended early")?;
            bail!("the controller has ended early");
        }
    }
    drop(stop);
    if let Some(webhook) = webhook {
        webhook.abort();
    }
    if tokio::time::timeout(FAREWELL, &mut working).await.is_err() {
        tracing::warn!("a visit did not end in {FAREWELL:?}; the next operator begins it again");
        working.abort();
    }
    if let Some(leader) = leader {
        // Where nobody answers it runs out by itself.
        let _ = tokio::time::timeout(FAREWELL, leader.resign()).await;
    }
    Ok(())
}

/// Serves the webhook until it is aborted. What it lacks holds up no log.
async fn inject(client: Client, options: WebhookOptions) {
    match Webhook::start(client, options).await {
        Ok(served) => {
            tracing::info!(address = %served.address(), "the webhook is served");
            std::future::pending::<()>().await;
            drop(served);
        }
        Err(error) => tracing::error!(%error, "the webhook is not served"),
    }
}

async fn client(args: &Args) -> Result<Client> {
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    let mut config = match &args.kubeconfig {
        Some(file) => {
            let read = Kubeconfig::read_from(file);
            let read = read.with_context(|| format!("--kubeconfig {}", file.display()))?;
            Config::from_custom_kubeconfig(read, &options).await?
        }
        None if args.context.is_some() => Config::from_kubeconfig(&options).await?,
        None => Config::infer().await.context(
            "no cluster: run it in a pod with a service account, or name a file with --kubeconfig",
        )?,
    };
    be_patient(&mut config, WATCH);
    Ok(Client::try_from(config)?)
}

/// Returns when the API server has answered: at the start of a node it may come later.
async fn reached(client: &Client) {
    loop {
        match client.apiserver_version().await {
            Ok(version) => {
                tracing::info!(version = version.git_version, "the API server answers");
                return;
            }
            Err(error) => tracing::warn!(%error, "the API server does not answer"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// SIGTERM and SIGINT.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
