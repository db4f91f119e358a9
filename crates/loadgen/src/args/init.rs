//! Arguments of `init` and `k6 init`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::Allowed;

/// Write a first scenario file.
///
/// Unless a file says what there is, the target is asked, with GET alone and for at most 15 seconds:
/// for its OpenAPI document at the usual paths, else for the page at the address and the pages that
/// it links to. Without a target and without a file it is a scenario file of the demo shop.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  loadgen init                                            of the demo shop: scenario.yaml
  loadgen init http://127.0.0.1:8080                      by what the target says of itself
  loadgen init http://127.0.0.1:8080 --openapi api.yaml   by a description of its routes
  loadgen init --har visit.har                            by what a browser recorded")]
pub(crate) struct InitArgs {
    /// Where requests go, such as http://127.0.0.1:8080; a path is that of the first page
    #[arg(value_name = "URL")]
    pub(crate) target: Option<String>,
    /// A description of the target's routes: OpenAPI as JSON or YAML.
    #[arg(long, value_name = "FILE", conflicts_with = "har")]
    pub(crate) openapi: Option<PathBuf>,
    /// Requests that a browser recorded: a HAR file, as developer tools save it.
    #[arg(long, value_name = "FILE")]
    pub(crate) har: Option<PathBuf>,
    /// The file to write; it must not be there.
    #[arg(
        long,
        alias = "output",
        value_name = "FILE",
        default_value = "scenario.yaml"
    )]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) allowed: Allowed,
}

#[derive(Debug, Subcommand)]
pub(crate) enum K6Command {
    /// Write a first k6 script that uses loadgen's module, and the module.
    Init(K6InitArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct K6InitArgs {
    /// The folder to write to.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
}
