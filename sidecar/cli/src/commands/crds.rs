//! `tidelog crds`.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::context::Context;
use crate::failure::Failure;

/// Print the custom resource definitions for Kubernetes.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  tidelog crds | kubectl apply --server-side -f -
  tidelog crds --dir crds")]
pub struct CrdsArgs {
    /// Write one file per definition into this directory instead.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints or writes them.
pub fn run(context: &Context, args: &CrdsArgs) -> Result<(), Failure> {
    let output = context.output;
    let definitions = tidelog_api::crds();
    let Some(dir) = &args.dir else {
        if output.is_json() {
            let items = tidelog_api::custom_resource_definitions()
                .map_err(|error| Failure::failed(error.to_string()))?
                .into_iter()
                .map(|(_, definition)| definition)
                .collect::<Vec<Value>>();
            return output
                .json(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}));
        }
        let texts: Vec<&str> = definitions.iter().map(|(_, text)| *text).collect();
        return output.line(&texts.join("---\n"));
    };
    let fail = |path: &std::path::Path, error: std::io::Error| {
        Failure::failed(format!("cannot write {}: {error}", path.display()))
    };
    fs::create_dir_all(dir).map_err(|error| fail(dir, error))?;
    for (name, text) in definitions {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|error| fail(&path, error))?;
        output.line(&path.display().to_string())?;
    }
    Ok(())
}
