//! `tidelog trust`.

use clap::Args;
use serde_json::json;
use tidelog_access::trust::{Exchange, exchange};

use crate::context::Context;
use crate::failure::Failure;

/// Let clusters trust each other: give each the authorities of the locations that the others realise.
///
/// The operator of a cluster makes an authority for each of its locations and publishes its certificate. This command prints, or applies, what each
/// cluster has to know of the others: one ConfigMap per location, good for that location only. Nothing secret leaves a cluster. Repeating it changes nothing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  tidelog trust --context eu --context us --apply
  tidelog trust --context eu --context us --log orders > trust.yaml     for GitOps: one document per ConfigMap, the cluster in a comment")]
pub struct TrustArgs {
    /// Apply it, instead of printing it.
    #[arg(long)]
    pub apply: bool,
}

/// Prints or applies it.
pub async fn run(context: &Context, args: TrustArgs) -> Result<(), Failure> {
    let output = context.output;
    let chosen = context.chosen();
    if chosen.contexts.len() < 2 {
        return Err(Failure::usage("trust is between clusters")
            .hint("name each with --context: tidelog trust --context eu --context us --apply"));
    }
    let clusters = chosen.clusters().await?;
    let exchange = exchange(&clusters, context.log()).await?;
    for missing in &exchange.missing {
        output.warning(missing);
    }
    let Exchange { given, missing } = exchange;
    if args.apply {
        for one in &given {
            let cluster = &clusters[one.cluster];
            if !one.is_there {
                cluster.apply(&one.object).await?;
            }
            let what = if one.is_there { "trusts" } else { "now trusts" };
            let to = format!("{} of {}", one.location, one.log);
            output.line(&format!("{} {what} {to}", cluster.name()))?;
        }
    } else if output.is_json() {
        let items: Vec<_> = given
            .iter()
            .map(|one| json!({"context": clusters[one.cluster].name(), "manifest": one.object}))
            .collect();
        output.json(&items)?;
    } else {
        for one in &given {
            let yaml = serde_yaml::to_string(&one.object)
                .map_err(|error| Failure::failed(format!("cannot write a manifest: {error}")))?;
            output.line(&format!(
                "---\n# for {}\n{yaml}",
                clusters[one.cluster].name()
            ))?;
        }
    }
    if !missing.is_empty() {
        return Err(Failure::failed("not everything could be exchanged")
            .hint("repeat it when the operators run; what was done stays"));
    }
    Ok(())
}
