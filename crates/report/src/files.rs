//! The dataset's files, as they lie beside the page.

use std::fs;
use std::path::Path;

use loadgen_timeline::audit::{AuditFile, DatasetFile};
use serde::Serialize;

use crate::sources::Sources;

/// The files of a dataset.
#[derive(Debug, Clone, Serialize)]
pub struct DataFiles {
    /// Their folder, from where the page lies; empty: the same.
    pub folder: String,
    /// `<YYYYMMDD_HHMMSS>` in their names.
    pub stamp: String,
    /// By name.
    pub files: Vec<DatasetFile>,
}

/// The files of a dataset: those that the audit lists, and the audit itself.
pub(crate) fn files(sources: &Sources, audit: Option<&AuditFile>) -> Option<DataFiles> {
    let dataset = sources.dataset.as_deref()?;
    let stamp = sources.stamp.clone()?;
    let page = sources.report();
    let of_page = page.parent().unwrap_or(Path::new(""));
    let folder = dataset.strip_prefix(of_page).unwrap_or(dataset);
    let mut files = audit.map(|audit| audit.files.clone()).unwrap_or_default();
    let name = format!("audit_{stamp}.json");
    if let Ok(of_audit) = fs::metadata(dataset.join(&name)) {
        files.push(DatasetFile {
            name,
            rows: 0,
            bytes: of_audit.len(),
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Some(DataFiles {
        folder: folder.to_string_lossy().into_owned(),
        stamp,
        files,
    })
}
