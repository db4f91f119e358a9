//! `loadgen audit`.

use loadgen_extract::audit::again;

use crate::args::AuditArgs;
use crate::exit::{Exit, Failure};
use crate::tables;

pub(super) fn audit(args: &AuditArgs) -> Result<Exit, Failure> {
    // The folder of a run stands for the dataset in it.
    let inner = args.dataset.join("dataset");
    let folder = if inner.is_dir() {
        &inner
    } else {
        &args.dataset
    };
    let file = again::audit_again(folder, args.stamp.as_deref())
        .map_err(|error| Failure::new(Exit::BadInput, error))?;
    if args.json {
        super::print(&super::json(&file)?)?;
    } else {
        super::print(&tables::audit(&file.audit))?;
    }
    Ok(super::extract::exit(&file.audit))
}
