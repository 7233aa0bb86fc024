//! Start, wait for a signal, stop in order.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tidelog_config::{Config, ConfigError, LogFormat, Secret, Storage};
use tidelog_model::{self as model, Realm};
use tidelog_server::RunningLocation;
use tidelog_server::forward::{ForwardOptions, Forwarder};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Args, ForwardArgs, Role};
use crate::telemetry;

/// A location that does not serve by then is told of.
const SOON: Duration = Duration::from_secs(30);
/// How often the files of certificates are looked at.
const RELOAD: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT.
pub fn run(args: Args) -> Result<()> {
    if let Some(Role::Forward(args)) = args.role {
        telemetry::init(&args.log_level, LogFormat::Text);
        return runtime()?.block_on(forward(args));
    }
    let file = args.config.context("no --config")?;
    let name = file.display().to_string();
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {name}"))?;
    let mut config = Config::load(&text, &name, std::env::vars()).map_err(|error| match error {
        // The others begin with the file already.
        ConfigError::Invalid(_) => anyhow!("{name}: {error}"),
        _ => anyhow!("{error}"),
    })?;
    if args.check {
        hide_secrets(&mut config);
        let yaml = config.to_yaml().map_err(|e| anyhow!("{e}"))?;
        std::io::stdout().write_all(yaml.as_bytes())?;
        return Ok(());
    }
    telemetry::init(config.logging.level.as_str(), config.logging.format);
    runtime()?.block_on(serve(config))
}

fn runtime() -> Result<Runtime> {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    threads.context("cannot start the runtime")
}

/// Leads an application to its location until SIGTERM or SIGINT.
async fn forward(args: ForwardArgs) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let realm = Realm {
        trust_domain: args.trust_domain,
        namespace: args.namespace.clone(),
        log: args.log.clone(),
    };
    let to = args.to.unwrap_or_else(|| {
        let (log, location, namespace) = (&args.log, &args.location, &args.namespace);
        format!("{log}-{location}-client.{namespace}.svc:7445")
    });
    let forwarder = Forwarder::start(ForwardOptions {
        identity: realm.at(&args.location, model::Role::Client),
        to: to.clone(),
        certificates: args.certificates,
        reload: RELOAD,
        api: args.api,
        socket: args.socket,
        health: args.health,
    });
    let forwarder = forwarder.await?;
    tracing::info!(api = %forwarder.api, health = %forwarder.health, to, "forwarding");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    forwarder.shut_down().await;
    Ok(())
}

/// What is shown may be kept by whoever runs the check; it is still a configuration.
fn hide_secrets(config: &mut Config) {
    if let Storage::Postgres(postgres) = &mut config.storage
        && postgres.uri.is_some()
    {
        postgres.uri = Some(Secret::new("postgres://(hidden)"));
    }
}

async fn serve(config: Config) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let starting = RunningLocation::start(config);
    let location = tokio::select! {
        started = Box::pin(starting) => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let a = location.addresses().clone();
    tracing::info!(api = %a.api, admin = %a.admin, replication = %a.replication, metrics = %a.metrics, health = %a.health, "listening");
    let waiting = async {
        if let Err(reason) = location.wait_until_ready(SOON).await {
            tracing::warn!(reason, "not serving yet, going on trying");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = waiting => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: finishing what is in flight");
    // Supervisors repeat SIGTERM; only a person's second Ctrl-C means "at once".
    tokio::select! {
        () = location.shut_down() => {}
        _ = interrupt.recv() => tracing::warn!("interrupted again: leaving at once; the next start proves what was committed"),
    }
    Ok(())
}
