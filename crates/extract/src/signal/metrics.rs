//! Metrics: one row a data point, labelled by its time.

use super::{Extraction, Outcome};
use crate::dataset::metric_row::{COLUMNS, MetricRows};
use crate::error::ExtractError;
use crate::telemetry::input::Input;
use crate::telemetry::line::for_each_message;
use crate::telemetry::metric::MetricsData;

/// Writes the file of metrics, if there are metrics.
pub(crate) fn extract(
    extraction: &mut Extraction,
    inputs: &[Input],
) -> Result<Outcome, ExtractError> {
    if inputs.is_empty() {
        return Ok(Outcome::default());
    }
    extraction.one_csv(
        inputs,
        "metrics_labeled",
        &COLUMNS,
        |labels, block, rows, counts| {
            for_each_message(block, |data: MetricsData<'_>| {
                for resource in &data.resource_metrics {
                    for scope in &resource.scope_metrics {
                        let of_scope = MetricRows {
                            resource: resource.resource.attributes(),
                            scope_name: &scope.scope.name,
                            labels,
                        };
                        for metric in &scope.metrics {
                            counts.read += metric.points() as u64;
                            of_scope.write_csv(rows, metric, |label| counts.add(label));
                        }
                    }
                }
            })
        },
    )
}
