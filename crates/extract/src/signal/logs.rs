//! Logs: one row a record, labelled through its trace or else by its time.

use super::{Extraction, Outcome};
use crate::dataset::log_row;
use crate::error::ExtractError;
use crate::join::trace_start::TraceStarts;
use crate::telemetry::input::Input;
use crate::telemetry::line::for_each_message;
use crate::telemetry::log::LogsData;

/// Writes the file of logs, if there are logs.
pub(crate) fn extract(
    extraction: &mut Extraction,
    inputs: &[Input],
    starts: &TraceStarts,
) -> Result<Outcome, ExtractError> {
    if inputs.is_empty() {
        return Ok(Outcome::default());
    }
    let columns = &log_row::COLUMNS;
    extraction.one_csv(
        inputs,
        "logs_labeled",
        columns,
        |labels, block, rows, counts| {
            for_each_message(block, |data: LogsData<'_>| {
                for resource in &data.resource_logs {
                    let attributes = resource.resource.attributes();
                    for scope in &resource.scope_logs {
                        counts.read += scope.log_records.len() as u64;
                        for record in &scope.log_records {
                            let time_ns = log_row::time_ns(record);
                            let label = labels.of_log(starts, record.trace_id, time_ns);
                            counts.add(label);
                            log_row::write_csv(rows, attributes, &scope.scope.name, record, label);
                        }
                    }
                }
            })
        },
    )
}
