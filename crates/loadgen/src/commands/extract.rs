//! `loadgen extract`.

use std::collections::HashSet;
use std::path::PathBuf;

use loadgen_extract::{ExtractError, ExtractOptions};

use crate::args::ExtractArgs;
use crate::exit::{Exit, Failure};
use crate::tables;

pub(super) fn extract(args: &ExtractArgs) -> Result<Exit, Failure> {
    for files in [&args.traces, &args.metrics, &args.logs] {
        refuse_twice(files)?;
    }
    let report = loadgen_extract::extract(&ExtractOptions {
        traces: args.traces.clone(),
        metrics: args.metrics.clone(),
        logs: args.logs.clone(),
        timeline: args.timeline.clone(),
        output: args.output.clone(),
        stamp: None,
    })
    .map_err(failure)?;
    if args.json {
        super::print(&super::json(&report)?)
    } else {
        super::print(&tables::dataset(&report))
    }
}

/// A file that is given twice, as globs do, would double its rows without a word.
fn refuse_twice(files: &[PathBuf]) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for file in files {
        // A file that isn't there is told by the extractor.
        let Ok(real) = file.canonicalize() else {
            continue;
        };
        if real.is_file() && !seen.insert(real) {
            let message = format!(
                "{} is given twice: its rows would be doubled",
                file.display()
            );
            return Err(Failure::new(Exit::BadInput, message));
        }
    }
    Ok(())
}

/// Bad input and a disk that is full are different things to a script.
pub(super) fn failure(error: ExtractError) -> Failure {
    let code = if error.is_bad_input() {
        Exit::BadInput
    } else {
        Exit::Failed
    };
    Failure::new(code, error)
}
