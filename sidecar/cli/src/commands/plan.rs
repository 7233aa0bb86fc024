//! `tidelog plan`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tidelog_manifest::Manifests;
use tidelog_topology::{Plan, Planner, dot, text};

use crate::args::Format;
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Check manifests without a cluster, and show what follows from them.
///
/// Reads the EventLogs and ReplicationLinks that `kubectl apply` takes, with the same rules, and shows for each log a picture, every
/// edge with who opens its connection and what passes, and findings: an error means that the plan is refused, a warning that it runs and
/// somebody should look at it. Ends with 3 when a plan is refused.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  tidelog plan -f examples/shop
  tidelog plan -f logs.yaml -f links.yaml -o json
  tidelog plan -f examples/shop -o dot | dot -Tsvg > shop.svg")]
pub struct PlanArgs {
    /// Which manifests.
    #[command(flatten)]
    pub manifests: ManifestArgs,
}

/// Where manifests are.
#[derive(Debug, Clone, Args)]
pub struct ManifestArgs {
    /// A file, or a directory with all its files; may be repeated.
    #[arg(short, long = "filename", value_name = "PATH", required = true)]
    pub files: Vec<PathBuf>,
}

impl ManifestArgs {
    /// Reads them; what is wrong with them is named with file, line and field.
    pub fn read(&self) -> Result<Manifests, Failure> {
        tidelog_manifest::read(&self.files).map_err(|error| {
            let problems = error.problems.len();
            let what = if problems == 1 { "problem" } else { "problems" };
            Failure::failed(format!(
                "the manifests cannot be used, {problems} {what}:\n{error}"
            ))
        })
    }
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Report {
    plans: Vec<Plan>,
    /// What was left out of the manifests.
    notes: Vec<String>,
}

/// Prints the plans.
pub fn run(context: &Context, args: &PlanArgs) -> Result<(), Failure> {
    let output = context.output;
    let manifests = args.manifests.read()?;
    let plans = tidelog_manifest::plan_all(&manifests, Planner::new());
    let notes: Vec<String> = manifests.notes.iter().map(ToString::to_string).collect();
    let refused: Vec<String> = plans
        .iter()
        .filter(|plan| !plan.is_accepted())
        .map(|plan| plan.log.clone())
        .collect();
    match output.format() {
        Format::Json => output.json(&Report { plans, notes })?,
        Format::Dot => output.line(&plans.iter().map(dot).collect::<String>())?,
        Format::Table => {
            for note in &notes {
                output.note(&format!("note: {note}"));
            }
            let texts: Vec<String> = plans.iter().map(text).collect();
            output.line(&texts.join("\n"))?;
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    if output.format() == Format::Json {
        return Err(Failure::silent(Exit::Refused));
    }
    Err(Failure::refused(format!("refused: {}", refused.join(", "))))
}
