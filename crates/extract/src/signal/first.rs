//! The first way through the input: notes of each span, record and point what the join needs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::registry::{Registry, ResourceId};
use super::sample::{Sample, SampledSpan};
use crate::dataset::metric_row::{self, PointRow};
use crate::spool::heads::{Heads, Key, LogHead, PointHead, SpanHead, trace};
use crate::spool::{self};
use crate::telemetry::attribute::{AsObject, Picked};
use crate::telemetry::evidence::{Evidence, EvidenceAttributes};
use crate::telemetry::input::{Block, Input};
use crate::telemetry::line::for_each_message;
use crate::telemetry::log::ResourceLogs;
use crate::telemetry::metric::ResourceMetrics;
use crate::telemetry::pipeline::{PipelineError, for_each_block};
use crate::telemetry::scalar::TraceId;
use crate::telemetry::trace::ResourceSpans;

/// What the first pass found.
#[derive(Debug)]
pub(crate) struct FirstPass {
    pub(crate) heads: Heads,
    pub(crate) registry: Registry,
    /// By resource: whether all its spans start on whole milliseconds.
    pub(crate) whole_milliseconds: Vec<bool>,
    /// Earliest start and latest end of all spans, Unix nanoseconds.
    pub(crate) extent: Option<(i64, i64)>,
    pub(crate) sample: Vec<SampledSpan>,
}

/// What one block holds, by names of its own.
#[derive(Default)]
struct BlockHeads {
    registry: Registry,
    spans: Vec<SpanHead>,
    logs: Vec<LogHead>,
    points: Vec<PointHead>,
    sampled: Vec<SampledSpan>,
}

/// Goes through the input. Lines that can't be read are passed over: the second way names them.
pub(crate) fn pass(
    inputs: &[Input],
    workers: usize,
    heads: Heads,
) -> Result<FirstPass, PipelineError<io::Error>> {
    let mut found = FirstPass {
        heads,
        registry: Registry::default(),
        whole_milliseconds: Vec::new(),
        extent: None,
        sample: Vec::new(),
    };
    let mut sample = Sample::new();
    // Sampled are spans with a hash up to this, which falls as more of them come.
    let limit = AtomicU64::new(u64::MAX);
    let work = |block: &Block, ()| note(block, limit.load(Ordering::Relaxed));
    for_each_block(
        inputs,
        workers,
        |_| Ok(()),
        work,
        |_, noted| {
            limit.store(sample.add(noted.sampled), Ordering::Relaxed);
            found.add(noted.registry, noted.spans, noted.logs, noted.points)
        },
    )?;
    found.sample = sample.into_spans();
    Ok(found)
}

impl FirstPass {
    fn add(
        &mut self,
        names: Registry,
        spans: Vec<SpanHead>,
        logs: Vec<LogHead>,
        points: Vec<PointHead>,
    ) -> io::Result<()> {
        fn numbers<T>(things: &[T], number: impl FnMut(&T) -> u32) -> Vec<u32> {
            things.iter().map(number).collect()
        }
        let registry = &mut self.registry;
        let resources = numbers(&names.resources.things, |r| registry.resources.number(r));
        let span_names = numbers(&names.names.things, |n| registry.names.number(n));
        let evidence = numbers(&names.evidence.things, |e| registry.evidence.number(e));
        let of = |numbers: &[u32], local: u32| numbers.get(local as usize).copied();
        self.whole_milliseconds
            .resize(self.registry.resources.things.len(), true);
        for mut head in spans {
            head.resource = of(&resources, head.resource).unwrap_or(0);
            head.name = of(&span_names, head.name).unwrap_or(u32::MAX);
            head.evidence = match head.evidence {
                0 => 0,
                local => of(&evidence, local - 1).map_or(0, |number| number + 1),
            };
            if head.start % 1_000_000 != 0
                && let Some(whole) = self.whole_milliseconds.get_mut(head.resource as usize)
            {
                *whole = false;
            }
            if head.start != 0 {
                let (first, last) = self.extent.unwrap_or((head.start, head.end));
                self.extent = Some((first.min(head.start), last.max(head.end)));
            }
            self.heads.span(head)?;
        }
        for head in logs {
            self.heads.log(head)?;
        }
        for head in points {
            self.heads.point(head)?;
        }
        Ok(())
    }
}

type SpansWithEvidence<'a> = Vec<ResourceSpans<'a, Picked<EvidenceAttributes<'a>>>>;

fn note(block: &Block, limit: u64) -> BlockHeads {
    let mut noted = BlockHeads::default();
    let mut logs = Vec::new();
    let mut points = Vec::new();
    for_each_message(
        block,
        |message, line, data: SpansWithEvidence<'_>| {
            noted.spans(block.sequence, message, line, &data, limit);
        },
        |message, _, data: Vec<ResourceMetrics<'_>>| {
            note_points(&mut points, block.sequence, message, &data);
        },
        |message, _, data: Vec<ResourceLogs<'_>>| {
            let scopes = data.iter().flat_map(|resource| &resource.scope_logs);
            let records = scopes.flat_map(|scope| &scope.log_records);
            for (index, record) in records.enumerate() {
                if record.trace_id != TraceId(0) {
                    logs.push(LogHead {
                        trace: trace(record.trace_id),
                        key: key(block.sequence, message, index),
                        pad: 0,
                    });
                }
            }
        },
    );
    noted.logs = logs;
    noted.points = points;
    noted
}

fn key(block: u32, message: u32, index: usize) -> Key {
    Key {
        block,
        message,
        // A line of 64 MiB holds fewer things than that.
        index: index as u32,
    }
}

impl BlockHeads {
    fn spans(
        &mut self,
        block: u32,
        message: u32,
        line: &[u8],
        data: &SpansWithEvidence<'_>,
        limit: u64,
    ) {
        let mut index = 0;
        let mut wanted = Vec::new();
        for resource in data {
            let of = self
                .registry
                .resources
                .number(&ResourceId::of(resource.resource.attributes()));
            for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                let key = key(block, message, index);
                let evidence = Evidence::of(&span.attributes.0);
                let alone = span.trace_id == TraceId(0);
                let place = [
                    u64::MAX,
                    u64::from(block) << 40 | u64::from(message) << 20 | index as u64,
                ];
                let head = SpanHead {
                    trace: if alone { place } else { trace(span.trace_id) },
                    span: span.span_id.0,
                    parent: span.parent_span_id.0,
                    start: span.start_time_unix_nano.get().unwrap_or(0),
                    end: span.end_time_unix_nano.get().unwrap_or(0),
                    link: span
                        .links
                        .first()
                        .map_or([0, 0], |link| trace(link.trace_id)),
                    key,
                    resource: of,
                    name: self.registry.names.number(&*span.name.0),
                    evidence: evidence.map_or(0, |e| self.registry.evidence.number(&e) + 1),
                    kind: u8::try_from(span.kind.0).unwrap_or(0),
                    status: u8::try_from(span.status.code.0).unwrap_or(0),
                    alone: u8::from(alone),
                    pad: [0; 5],
                };
                let hash = spool::hash([spool::hash(head.trace), head.span]);
                if hash <= limit {
                    wanted.push((index, hash, key));
                }
                self.spans.push(head);
                index += 1;
            }
        }
        if !wanted.is_empty() {
            self.sampled.extend(super::sample::read(line, &wanted));
        }
    }
}

fn note_points(
    points: &mut Vec<PointHead>,
    block: u32,
    message: u32,
    data: &[ResourceMetrics<'_>],
) {
    let mut index = 0;
    for resource in data {
        let id = ResourceId::of(resource.resource.attributes());
        for scope in &resource.scope_metrics {
            for metric in &scope.metrics {
                metric_row::for_each_point(metric, |point: PointRow<'_>| {
                    let mut series = DefaultHasher::new();
                    (&id, &*scope.scope.name, &*metric.name, point.metric_type).hash(&mut series);
                    let attributes = serde_json::to_string(&AsObject(point.attributes));
                    // Attributes are always JSON; all would be one series otherwise.
                    attributes.unwrap_or_default().hash(&mut series);
                    points.push(PointHead {
                        series: series.finish(),
                        start: point.start.get().unwrap_or(0),
                        time: point.time.get().unwrap_or(0),
                        value: point.total(),
                        key: key(block, message, index),
                        kind: point.kind() as u32,
                    });
                    index += 1;
                });
            }
        }
    }
}
