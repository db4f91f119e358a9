//! The stages of an extraction, each entered once: scan, label, write. What is measured between the
//! last two is pure and needs none of this.

use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use arrow_array::RecordBatch;
use chrono::Utc;
use loadgen_evidence::Interval;
use loadgen_timeline::audit::Figures;
use loadgen_timeline::{LedgerReader, LedgerReport};
use serde::Serialize;

use crate::dataset::dictionary::Dictionary;
use crate::dataset::files::{ClassFiles, TableFiles};
use crate::dataset::rows::{Columns, Made, Rows};
use crate::dataset::staging::{StagedFile, Staging};
use crate::dataset::windows::{WindowRow, Windows};
use crate::error::ExtractError;
use crate::features::{Features, Observed, WrittenFeatures};
use crate::ground_truth::read_ledger;
use crate::label::groups::{LOG_COLUMNS, Partition, SPAN_COLUMNS};
use crate::label::records::{LogMarkBatch, PointMarkBatch, SpanMarkBatch, TraceBatch};
use crate::label::shape::ShapeBatch;
use crate::label::survey::{Gathered, Survey};
use crate::label::truth::Truth;
use crate::label::{Offsets, POINT_COLUMNS, label_points, label_traces};
use crate::lines::Lines;
use crate::measure::fault_of;
use crate::measure::normal::{CandidateRow, Normals, candidates};
use crate::options::{ExtractOptions, TableFormats};
use crate::parallel::in_order;
use crate::rules::RowRules;
use crate::scan::batch::{Batch, PackedBatch};
use crate::scan::inputs::{Inputs, read_error};
use crate::scan::packed::Packed;
use crate::scan::pipeline::PipelineError;
use crate::scan::records::{LogBatch, PointBatch, RequestBatch, SpanBatch};
use crate::scan::spool::Spool;
use crate::scan::{ScanFacts, Scanned};
use crate::stop::Stop;
use crate::write::{PointPartition, TracePartition, WriteCounts, write_points, write_traces};

/// Where an extraction works.
pub(crate) struct Stages {
    pub(crate) workers: usize,
    pub(crate) stamp: String,
    /// Rows that are not the run's are written.
    keep_foreign: bool,
    output: PathBuf,
    staging: Staging,
    stop: Stop,
    shift_ns: i64,
}

/// What was said of all partitions.
pub(crate) struct Labelled {
    pub(crate) gathered: Gathered,
    /// Data points that are not the run's, by [`Foreign`](crate::label::truth::Foreign).
    pub(crate) foreign_points: [u64; 3],
    traces: Spool,
    span_marks: Spool,
    shapes: Spool,
    log_marks: Spool,
    point_marks: Spool,
}

impl Labelled {
    /// What has no row because it is not the run's.
    fn left_out(&self) -> WriteCounts {
        let mut counts = WriteCounts::default();
        let of = &self.gathered.counts;
        counts.spans.foreign = of.foreign_spans.iter().sum();
        counts.logs.foreign = of.foreign_logs.iter().sum();
        counts.points.foreign = self.foreign_points.iter().sum();
        counts
    }

    /// A partition of traces with what was said of it.
    fn traces_of(&self, scanned: &Scanned, partition: usize) -> io::Result<TracePartition> {
        let mut span_marks = view::<SpanMarkBatch>(&self.span_marks.read(partition)?)?;
        let mut log_marks = view::<LogMarkBatch>(&self.log_marks.read(partition)?)?;
        let (spans, rows_of_spans) = scanned.spans.read_rows(partition, &span_marks.row)?;
        let (logs, rows_of_logs) = scanned.logs.read_rows(partition, &log_marks.row)?;
        (span_marks.row, log_marks.row) = (rows_of_spans, rows_of_logs);
        Ok(TracePartition {
            spans: view(&spans)?,
            logs: view(&logs)?,
            traces: view(&self.traces.read(partition)?)?,
            span_marks,
            shapes: view(&self.shapes.read(partition)?)?,
            log_marks,
        })
    }

    /// A partition of points with what was said of it.
    fn points_of(
        &self,
        scanned: &Scanned,
        partition: usize,
    ) -> io::Result<(PointBatch, PointMarkBatch)> {
        let mut marks = view::<PointMarkBatch>(&self.point_marks.read(partition)?)?;
        let (points, rows) = scanned.points.read_rows(partition, &marks.row)?;
        marks.row = rows;
        Ok((view(&points)?, marks))
    }
}

impl Stages {
    pub(crate) fn new(options: &ExtractOptions) -> Result<Self, ExtractError> {
        let write_error = |source| ExtractError::Write {
            path: options.output.clone(),
            source,
        };
        let stamp = options.stamp.unwrap_or_else(Utc::now);
        Ok(Self {
            workers: thread::available_parallelism().map_or(1, NonZero::get),
            stamp: stamp.format("%Y%m%d_%H%M%S").to_string(),
            keep_foreign: options.include_foreign,
            output: options.output.clone(),
            staging: Staging::new(&options.output, options.stop.clone()).map_err(write_error)?,
            stop: options.stop.clone(),
            shift_ns: options.shift_ns,
        })
    }

    /// The folder in which files are until they are moved to their place.
    pub(crate) fn folder(&self) -> &Path {
        self.staging.folder()
    }

    /// Why something could not be written.
    fn write_error(&self, source: io::Error) -> ExtractError {
        match self.stop.is_asked() {
            true => ExtractError::Stopped,
            false => ExtractError::Write {
                path: self.output.clone(),
                source,
            },
        }
    }

    /// Reads the ledger and the input into partitions.
    pub(crate) fn scan(
        &self,
        inputs: &mut Inputs,
        ledger: Option<LedgerReader>,
        others: Vec<LedgerReader>,
        lines: &mut Lines,
    ) -> Result<(Scanned, Option<LedgerReport>), ExtractError> {
        let folder = self.staging.folder();
        let cannot = |source| self.write_error(source);
        let mut scanned = Scanned::new(folder, inputs.bytes()).map_err(cannot)?;
        scanned.shift_ns = self.shift_ns;
        let ledger = ledger.map(|ledger| read_ledger(ledger, false, &mut scanned));
        let ledger = ledger.transpose().map_err(cannot)?;
        for other in others {
            read_ledger(other, true, &mut scanned).map_err(cannot)?;
        }
        let read = scanned.read(&mut inputs.sources, self.workers, lines, &self.stop);
        read.map_err(|error| match error {
            PipelineError::Read(file, source) => read_error(&inputs.paths[file], source),
            PipelineError::Consumer(source) => self.write_error(source),
        })?;
        scanned.split_large(folder).map_err(cannot)?;
        Ok((scanned, ledger))
    }

    /// Labels all partitions.
    pub(crate) fn label(
        &self,
        scanned: &Scanned,
        truth: &Truth,
        facts: &Arc<ScanFacts>,
        offsets: &Offsets,
    ) -> Result<Labelled, ExtractError> {
        let labelled = self.try_label(scanned, truth, facts, offsets);
        labelled.map_err(|source| self.write_error(source))
    }

    fn try_label(
        &self,
        scanned: &Scanned,
        truth: &Truth,
        facts: &Arc<ScanFacts>,
        offsets: &Offsets,
    ) -> io::Result<Labelled> {
        let spool = |schema, partitions| Spool::new(self.staging.folder(), schema, partitions);
        let partitions = scanned.spans.len();
        let mut labelled = Labelled {
            gathered: Survey::new(truth, facts).finish(),
            foreign_points: [0; 3],
            traces: spool(TraceBatch::schema(), partitions)?,
            span_marks: spool(SpanMarkBatch::schema(), partitions)?,
            shapes: spool(ShapeBatch::schema(), partitions)?,
            log_marks: spool(LogMarkBatch::schema(), partitions)?,
            point_marks: spool(PointMarkBatch::schema(), scanned.points.len())?,
        };
        let of_spans = SpanBatch::columns(&SPAN_COLUMNS);
        let of_logs = LogBatch::columns(&LOG_COLUMNS);
        let of_traces = |partition| {
            let scanned = Partition {
                spans: view::<SpanBatch>(&scanned.spans.read_columns(partition, of_spans)?)?,
                logs: view::<LogBatch>(&scanned.logs.read_columns(partition, of_logs)?)?,
                requests: view::<RequestBatch>(&scanned.requests.read(partition)?)?,
            };
            let survey = Survey::new(truth, facts);
            let of = label_traces(&scanned, truth, offsets, self.keep_foreign, survey)
                .map_err(io::Error::other)?;
            Ok((
                partition,
                of.traces,
                [of.spans, of.shapes, of.logs],
                of.survey.finish(),
            ))
        };
        in_order(
            partitions,
            self.workers,
            of_traces,
            |(partition, traces, [spans, shapes, logs], gathered)| {
                self.stop.check()?;
                labelled.traces.push((partition, traces))?;
                labelled.span_marks.push((partition, spans))?;
                labelled.shapes.push((partition, shapes))?;
                labelled.log_marks.push((partition, logs))?;
                labelled.gathered.merge(gathered);
                Ok(())
            },
        )?;
        let columns = PointBatch::columns(&POINT_COLUMNS);
        let of_points = |partition| {
            let points = view::<PointBatch>(&scanned.points.read_columns(partition, columns)?)?;
            let mut survey = Survey::new(truth, facts);
            let of = label_points(&points, truth, self.keep_foreign, survey.sampler())
                .map_err(io::Error::other)?;
            Ok((partition, of, survey.finish()))
        };
        in_order(
            scanned.points.len(),
            self.workers,
            of_points,
            |(partition, points, gathered)| {
                self.stop.check()?;
                labelled.point_marks.push((partition, points.marks))?;
                for (sum, of) in labelled.foreign_points.iter_mut().zip(points.foreign) {
                    *sum += of;
                }
                labelled.gathered.merge(gathered);
                Ok(())
            },
        )?;
        Ok(labelled)
    }

    /// Gathers what each operation's normal is, from what was sent in `reference`.
    pub(crate) fn normals(
        &self,
        labelled: &Labelled,
        reference: &[Interval],
    ) -> Result<Normals, ExtractError> {
        let mut normals = Normals::default();
        let of = |partition| {
            let traces = view::<TraceBatch>(&labelled.traces.read(partition)?)?;
            let marks = view::<SpanMarkBatch>(&labelled.span_marks.read(partition)?)?;
            let shapes = view::<ShapeBatch>(&labelled.shapes.read(partition)?)?;
            Ok(Normals::of(reference, &traces, &marks, &shapes))
        };
        let merge = |of| {
            normals.merge(of);
            self.stop.check()
        };
        let gathered = in_order(labelled.shapes.len(), self.workers, of, merge);
        gathered.map_err(|source| self.write_error(source))?;
        Ok(normals)
    }

    /// Gives the spans of each partition that were sent in one of `times`, packed.
    pub(crate) fn candidates(
        &self,
        labelled: &Labelled,
        times: &[Interval],
        mut each: impl FnMut(&Packed) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut packed = Packed::default();
        for partition in 0..labelled.shapes.len() {
            let traces = view::<TraceBatch>(&labelled.traces.read(partition)?)?;
            let marks = view::<SpanMarkBatch>(&labelled.span_marks.read(partition)?)?;
            let shapes = view::<ShapeBatch>(&labelled.shapes.read(partition)?)?;
            packed.clear();
            // They are never dealt.
            let pack = |span: CandidateRow<'_>| span.pack(0, &mut packed);
            candidates(times, &traces, &marks, &shapes, pack);
            each(&packed)?;
            self.stop.check()?;
        }
        Ok(())
    }

    /// Writes the rows of all partitions.
    pub(crate) fn write(
        &mut self,
        scanned: &Scanned,
        labelled: &Labelled,
        rules: &RowRules<'_>,
    ) -> Result<(WriteCounts, Vec<StagedFile>), ExtractError> {
        let written = self.try_write(scanned, labelled, rules);
        let (counts, mut files, features) = written.map_err(|source| self.write_error(source))?;
        if let Some(causal_graphs) = &features.causal_graphs {
            files.push(self.write_json("causal_graph", causal_graphs)?);
        }
        files.push(self.write_json("columns", &features.dictionary.finish())?);
        Ok((counts, files))
    }

    fn try_write(
        &mut self,
        scanned: &Scanned,
        labelled: &Labelled,
        rules: &RowRules<'_>,
    ) -> io::Result<(WriteCounts, Vec<StagedFile>, WrittenFeatures)> {
        let keep_foreign = self.keep_foreign;
        let (staging, stamp) = (&mut self.staging, &self.stamp);
        let mut counts = match keep_foreign {
            true => WriteCounts::default(),
            false => labelled.left_out(),
        };
        let features = rules.features.as_ref();
        let mut gathered = features
            .map(|features| Features::new(features, staging, stamp))
            .transpose()?;
        let mut spans = TableFiles::create(staging, stamp, &rules.spans)?;
        let types = rules.classes.types();
        let mut classes = rules
            .formats
            .csv()
            .then(|| ClassFiles::create(staging, stamp, types, rules.spans.header()))
            .transpose()?;
        let mut traces = TableFiles::create(staging, stamp, &rules.traces)?;
        let [_, points_read, logs_read] = scanned.read;
        let mut logs = (logs_read > 0)
            .then(|| TableFiles::create(staging, stamp, &rules.logs))
            .transpose()?;
        let mut points = (points_read > 0)
            .then(|| TableFiles::create(staging, stamp, &rules.points))
            .transpose()?;
        let of_traces = |partition| write_traces(rules, &labelled.traces_of(scanned, partition)?);
        in_order(scanned.spans.len(), self.workers, of_traces, |written| {
            for rows in &written.spans {
                spans.append(&rows.made)?;
                if let Some(classes) = &mut classes {
                    classes.append(staging, &rows.made.csv, &rows.runs)?;
                }
            }
            append(Some(&mut traces), &written.traces)?;
            append(logs.as_mut(), &written.logs)?;
            counts.merge(&written.counts);
            observe(gathered.as_mut(), written.observed)
        })?;
        let of_points = |partition| {
            let (points, marks) = labelled.points_of(scanned, partition)?;
            let of = PointPartition {
                points,
                marks,
                has_foreign_rows: keep_foreign,
            };
            write_points(rules, &of)
        };
        in_order(scanned.points.len(), self.workers, of_points, |written| {
            append(points.as_mut(), &written.points)?;
            counts.merge(&written.counts);
            observe(gathered.as_mut(), written.observed)
        })?;
        let [labeled, parquet] = spans.finish()?;
        let mut files: Vec<StagedFile> = labeled.into_iter().collect();
        if let Some(classes) = classes {
            files.extend(classes.finish()?);
        }
        files.extend(parquet);
        for table in [points, logs, Some(traces)].into_iter().flatten() {
            files.extend(table.finish()?.into_iter().flatten());
        }
        let mut written = match features.zip(gathered) {
            Some((features, gathered)) => {
                gathered.write(features, rules, self.workers, staging, stamp)?
            }
            None => WrittenFeatures::default(),
        };
        files.append(&mut written.files);
        add_columns(&mut written.dictionary, rules, scanned.read);
        Ok((counts, files, written))
    }

    /// Writes the table of windows.
    pub(crate) fn write_windows(
        &mut self,
        truth: &Truth,
        figures: &Figures,
        formats: TableFormats,
    ) -> Result<Vec<StagedFile>, ExtractError> {
        let columns = Columns::<Windows>::all(formats);
        let mut rows = Rows::new(&columns);
        let timeline = &truth.timeline;
        for (number, (window, figures)) in timeline.windows.iter().zip(&figures.windows).enumerate()
        {
            rows.push(&WindowRow {
                number,
                window,
                fault: fault_of(timeline, window),
                figures,
            });
        }
        let mut write = || {
            let mut files = TableFiles::create(&mut self.staging, &self.stamp, &columns)?;
            files.append(&rows.take()?)?;
            Ok(files.finish()?.into_iter().flatten().collect())
        };
        let written = write();
        written.map_err(|source| self.write_error(source))
    }

    /// Writes `<name>_<stamp>.json`.
    pub(crate) fn write_json(
        &mut self,
        name: &str,
        value: &impl Serialize,
    ) -> Result<StagedFile, ExtractError> {
        let name = format!("{name}_{}.json", self.stamp);
        let write = |staging: &mut Staging| {
            let mut file = staging.create(name)?;
            serde_json::to_writer_pretty(&mut file, value)?;
            file.append(b"\n", 0)?;
            io::Write::flush(&mut file)?;
            Ok(file)
        };
        write(&mut self.staging).map_err(|source| self.write_error(source))
    }

    /// Moves all files to their place.
    pub(crate) fn commit(self) -> Result<(), ExtractError> {
        let output = self.output;
        let moved = self.staging.commit();
        moved.map_err(|source| ExtractError::Write {
            path: output,
            source,
        })
    }
}

fn observe(gathered: Option<&mut Features>, observed: Option<Observed>) -> io::Result<()> {
    match gathered.zip(observed) {
        Some((gathered, observed)) => gathered.add(observed),
        None => Ok(()),
    }
}

/// The columns of all tables that there are, by what was read: spans, points and log records.
fn add_columns(to: &mut Dictionary, rules: &RowRules<'_>, [_, points, logs]: [u64; 3]) {
    to.add(&rules.spans);
    to.add(&rules.traces);
    to.add(&Columns::<Windows>::all(rules.formats));
    if points > 0 {
        to.add(&rules.points);
    }
    if logs > 0 {
        to.add(&rules.logs);
    }
}

fn append(files: Option<&mut TableFiles>, rows: &[Made]) -> io::Result<()> {
    if let Some(files) = files {
        for made in rows {
            files.append(made)?;
        }
    }
    Ok(())
}

fn view<B: Batch>(batch: &RecordBatch) -> io::Result<B> {
    B::view(batch).map_err(io::Error::other)
}
