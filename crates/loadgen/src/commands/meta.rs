//! What the program says about itself: schemas, completions, the man page.

use std::path::Path;

use clap::CommandFactory;
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
    clap_complete::generate(shell, &mut Args::command(), "loadgen", &mut out);
    super::print(&String::from_utf8_lossy(&out))
}

pub(super) fn man(folder: Option<&Path>) -> Result<Exit, Failure> {
    let cannot = |e| Failure::new(Exit::Failed, format!("can't write the man page: {e}"));
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(cannot)?;
            clap_mangen::generate_to(Args::command(), folder).map_err(cannot)?;
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
