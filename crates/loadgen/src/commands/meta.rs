//! What the program says about itself: schemas, completions, the man page.

use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::args::{Args, SchemaArgs, SchemaOf};
use crate::exit::{Exit, Failure};

pub(super) fn schema(args: &SchemaArgs) -> Result<Exit, Failure> {
    let schema = match args.of {
        SchemaOf::Scenario => loadgen_scenario::file_json_schema(),
        SchemaOf::Plan => loadgen_scenario::plan_json_schema(),
        SchemaOf::Timeline => loadgen_timeline::timeline_json_schema(),
        SchemaOf::Audit => loadgen_timeline::audit::audit_json_schema(),
        SchemaOf::Evidence => loadgen_evidence::evidence_json_schema().to_value(),
        SchemaOf::CausalGraph => loadgen_timeline::causal::causal_graph_json_schema(),
        SchemaOf::Columns => loadgen_timeline::columns::columns_json_schema(),
        SchemaOf::Splits => loadgen_dataset::splits_json_schema(),
        SchemaOf::Comparison => loadgen_compare::comparison_json_schema(),
    };
    super::print(&super::json(&schema)?)
}

pub(super) fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut without_hidden(), "loadgen", &mut out);
    super::print(&String::from_utf8_lossy(&out))
}

/// The commands that people type: not those that the program starts itself as.
fn without_hidden() -> Command {
    let whole = Args::command();
    let shown = whole.get_subcommands().filter(|c| !c.is_hide_set());
    let shown: Vec<Command> = shown.cloned().collect();
    let mut bare = Command::new("loadgen")
        .version(env!("CARGO_PKG_VERSION"))
        .args(whole.get_arguments().cloned());
    if let Some(about) = whole.get_about() {
        bare = bare.about(about.clone());
    }
    if let Some(about) = whole.get_long_about() {
        bare = bare.long_about(about.clone());
    }
    if let Some(after) = whole.get_after_help() {
        bare = bare.after_help(after.clone());
    }
    bare.subcommands(shown)
}

pub(super) fn man(folder: Option<&Path>) -> Result<Exit, Failure> {
    let cannot = |e| Failure::new(Exit::Failed, format!("can't write the man page: {e}"));
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(cannot)?;
            clap_mangen::generate_to(without_hidden(), folder).map_err(cannot)?;
            Ok(Exit::Success)
        }
        None => {
            let mut out = Vec::new();
            clap_mangen::Man::new(Args::command())
                .render(&mut out)
                .map_err(cannot)?;
            super::print(&String::from_utf8_lossy(&out))
        }
    }
}
