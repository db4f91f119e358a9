//! Traces: gone through once to see when each trace began, and once more to label and write.

use std::convert::Infallible;
use std::io;

use super::{Counts, Extraction, Lines, Outcome};
use crate::dataset::span_columns;
use crate::dataset::span_row::SpanRow;
use crate::dataset::trace_files::{SpanRows, TraceFiles};
use crate::error::ExtractError;
use crate::join::trace_start::{StartVote, TraceStarts};
use crate::telemetry::input::{Block, Input};
use crate::telemetry::line::for_each_message;
use crate::telemetry::pipeline::{PipelineError, for_each_block};
use crate::telemetry::scalar::TraceId;
use crate::telemetry::trace::{TraceHeads, TracesData};

/// Writes the files of traces, if there are traces, and hands on when each trace began.
pub(crate) fn extract(
    extraction: &mut Extraction,
    inputs: &[Input],
) -> Result<(Outcome, TraceStarts), ExtractError> {
    if inputs.is_empty() {
        return Ok(Default::default());
    }
    let starts = find_starts(inputs, extraction.workers)
        .map_err(|error| extraction.pipeline_error(inputs, error))?;
    let mut lines = Lines::new(inputs);
    let mut counts = Counts::default();
    let written = write(extraction, inputs, &starts, &mut lines, &mut counts)
        .map_err(|error| extraction.pipeline_error(inputs, error))?;
    Ok((extraction.finish(lines, counts, written)?, starts))
}

/// The first way through. It passes over lines that can't be read; the second names them.
fn find_starts(inputs: &[Input], workers: usize) -> Result<TraceStarts, PipelineError<io::Error>> {
    let work = |block: &Block| {
        let mut votes: Vec<(TraceId, StartVote)> = Vec::new();
        for_each_message(block, |heads: TraceHeads| {
            let scopes = heads
                .resource_spans
                .iter()
                .flat_map(|resource| &resource.scope_spans);
            for span in scopes.flat_map(|scope| &scope.spans) {
                let Some(start_ns) = span.start_time_unix_nano.get() else {
                    continue;
                };
                if span.trace_id == TraceId(0) {
                    continue;
                }
                let vote = StartVote::new(span.parent_span_id.0 == 0, start_ns);
                match votes.last_mut() {
                    // Spans of a trace often follow each other.
                    Some((trace, held)) if *trace == span.trace_id => *held = vote.min(*held),
                    _ => votes.push((span.trace_id, vote)),
                }
            }
        });
        votes
    };
    let mut starts = TraceStarts::default();
    let outcome = for_each_block(inputs, workers, work, |_, votes| {
        for (trace, vote) in votes {
            starts.observe(trace, vote);
        }
        Ok::<(), Infallible>(())
    });
    match outcome {
        Ok(()) => Ok(starts),
        Err(PipelineError::Read(file, source)) => Err(PipelineError::Read(file, source)),
        Err(PipelineError::Consumer(never)) => match never {},
    }
}

/// The second way through.
fn write(
    extraction: &mut Extraction,
    inputs: &[Input],
    starts: &TraceStarts,
    lines: &mut Lines<'_>,
    counts: &mut Counts,
) -> Result<Vec<crate::dataset::staging::StagedFile>, PipelineError<io::Error>> {
    let Extraction {
        labels,
        workers,
        stamp,
        staging,
        ..
    } = extraction;
    let labels = &*labels;
    let schema = span_columns::schema();
    let mut files = TraceFiles::create(staging, stamp, labels.types(), schema.clone())
        .map_err(PipelineError::Consumer)?;
    let work = |block: &Block| {
        let mut rows = SpanRows::new();
        let mut counts = Counts::default();
        let tally = for_each_message(block, |data: TracesData<'_>| {
            for resource in &data.resource_spans {
                let service_name = resource.resource.attributes().service_name();
                for scope in &resource.scope_spans {
                    counts.read += scope.spans.len() as u64;
                    for span in &scope.spans {
                        let start_ns = span.start_time_unix_nano.get();
                        let label = labels.of_span(starts, span.trace_id, start_ns);
                        counts.add(label);
                        rows.push(&SpanRow::new(service_name, span, label));
                    }
                }
            }
        });
        (tally, counts, rows.finish(&schema))
    };
    for_each_block(inputs, *workers, work, |index, (tally, of_block, batch)| {
        lines.take(index, tally);
        counts.merge(&of_block);
        files.append(staging, batch?)
    })?;
    files.finish().map_err(PipelineError::Consumer)
}
