//! Start, wait for a signal, stop in order.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tidelog_config::{Config, ConfigError, Secret, Storage};
use tidelog_server::RunningLocation;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Args;
use crate::telemetry;

/// Runs until SIGTERM or SIGINT.
pub fn run(args: Args) -> Result<()> {
    let name = args.config.display().to_string();
    let text = fs::read_to_string(&args.config).with_context(|| format!("cannot read {name}"))?;
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
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(serve(config))
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
    let location = RunningLocation::start(config).await?;
    let a = location.addresses().clone();
    tracing::info!(api = %a.api, admin = %a.admin, replication = %a.replication, metrics = %a.metrics, health = %a.health, "listening");
    if let Err(reason) = location.wait_until_ready(Duration::from_secs(30)).await {
        tracing::warn!(reason, "not serving yet, going on trying");
    }
    tokio::select! {
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
