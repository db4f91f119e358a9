//! The files of traces: each row goes to the file of all, to that of normal or of anomalous
//! spans, to that of its anomaly type, and to Parquet.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::csv_row::CsvRows;
use super::file_name;
use super::span_columns::SpanColumns;
use super::span_row::{COLUMNS, Columns, SpanRow};
use super::staging::{StagedFile, Staging};
use crate::join::label::NONE;

/// Rows in a row group of the Parquet file: what a reader can skip, and what the writer keeps in
/// memory, encoded.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// Rows made on a worker, in the order of their block.
pub(crate) struct SpanRows {
    csv: CsvRows,
    columns: SpanColumns,
    runs: Vec<Run>,
}

/// Rows of one anomaly type that follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Run {
    kind: usize,
    rows: u64,
    /// Where they end in the block's CSV, in bytes.
    end: usize,
}

/// Rows of a block, ready to be written.
#[derive(Debug)]
pub(crate) struct SpanBatch {
    csv: Vec<u8>,
    columns: RecordBatch,
    runs: Vec<Run>,
}

impl SpanRows {
    pub(crate) fn new() -> Self {
        Self {
            csv: CsvRows::new(),
            columns: SpanColumns::default(),
            runs: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, row: &SpanRow<'_>, columns: &Columns) {
        let kind = row.of.label.kind;
        if self.runs.last().is_none_or(|run| run.kind != kind) {
            self.end_run();
            self.runs.push(Run {
                kind,
                rows: 0,
                end: 0,
            });
        }
        row.write_csv(&mut self.csv, columns);
        self.columns.push(row);
        if let Some(run) = self.runs.last_mut() {
            run.rows += 1;
        }
    }

    fn end_run(&mut self) {
        if let Some(run) = self.runs.last_mut() {
            run.end = self.csv.len();
        }
    }

    pub(crate) fn finish(mut self, schema: &SchemaRef, columns: &Columns) -> io::Result<SpanBatch> {
        self.end_run();
        let kept: Vec<usize> = (0..COLUMNS.len())
            .filter(|&at| columns.has(COLUMNS[at]))
            .collect();
        let all = self.columns.finish(schema);
        let columns = all
            .and_then(|all| all.project(&kept))
            .map_err(io::Error::other)?;
        Ok(SpanBatch {
            csv: self.csv.into_bytes()?,
            columns,
            runs: self.runs,
        })
    }
}

/// The open files.
pub(crate) struct TraceFiles {
    stamp: String,
    types: Vec<Arc<str>>,
    parts: Vec<String>,
    header: Vec<u8>,
    labeled: StagedFile,
    normal: StagedFile,
    anomalous: StagedFile,
    /// By position of the type; made when the first row of it comes.
    by_type: Vec<Option<StagedFile>>,
    parquet: ArrowWriter<StagedFile>,
    parquet_rows: u64,
}

impl TraceFiles {
    /// `types` are all anomaly types that rows can have; `unknown` is at position 0.
    pub(crate) fn create(
        staging: &mut Staging,
        stamp: &str,
        types: &[Arc<str>],
        schema: &SchemaRef,
        columns: &Columns,
    ) -> io::Result<Self> {
        let kept: Vec<usize> = (0..COLUMNS.len())
            .filter(|&at| columns.has(COLUMNS[at]))
            .collect();
        let schema = Arc::new(schema.project(&kept).map_err(io::Error::other)?);
        let mut rows = CsvRows::new();
        rows.header(&columns.names());
        let header = rows.into_bytes()?;
        let mut csv = |name: &str| csv_file(staging, name, stamp, &header);
        let (labeled, normal, anomalous) = (csv("labeled")?, csv("normal")?, csv("anomalous")?);
        let parquet = staging.create(format!("traces_labeled_{stamp}.parquet"))?;
        let parquet = ArrowWriter::try_new(parquet, schema, Some(properties())).map_err(as_io)?;
        Ok(Self {
            stamp: stamp.to_owned(),
            parts: file_name::parts(types),
            types: types.to_vec(),
            header,
            labeled,
            normal,
            anomalous,
            by_type: types.iter().map(|_| None).collect(),
            parquet,
            parquet_rows: 0,
        })
    }

    pub(crate) fn append(&mut self, staging: &mut Staging, batch: SpanBatch) -> io::Result<()> {
        let mut start = 0;
        for run in &batch.runs {
            let rows = &batch.csv[start..run.end];
            start = run.end;
            self.labeled.append(rows, run.rows)?;
            if run.kind != 0 {
                let normal = *self.types[run.kind] == *NONE;
                let file = if normal {
                    &mut self.normal
                } else {
                    &mut self.anomalous
                };
                file.append(rows, run.rows)?;
            }
            let by_type = match &mut self.by_type[run.kind] {
                Some(file) => file,
                vacant => {
                    let part = &self.parts[run.kind];
                    vacant.insert(csv_file(staging, part, &self.stamp, &self.header)?)
                }
            };
            by_type.append(rows, run.rows)?;
        }
        self.parquet_rows += batch.columns.num_rows() as u64;
        self.parquet.write(&batch.columns).map_err(as_io)
    }

    /// Writes what is still in memory. The files in the order of their listing in the docs.
    pub(crate) fn finish(self) -> io::Result<Vec<StagedFile>> {
        let mut parquet = self.parquet.into_inner().map_err(as_io)?;
        parquet.rows = self.parquet_rows;
        let mut files = vec![self.labeled, self.normal, self.anomalous];
        files.extend(self.by_type.into_iter().flatten());
        files.push(parquet);
        for file in &mut files {
            file.flush()?;
        }
        Ok(files)
    }
}

fn csv_file(
    staging: &mut Staging,
    part: &str,
    stamp: &str,
    header: &[u8],
) -> io::Result<StagedFile> {
    let mut file = staging.create(format!("traces_{part}_{stamp}.csv"))?;
    file.append(header, 0)?;
    Ok(file)
}

fn as_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    // Values that hardly ever come twice: a dictionary of them costs time and saves nothing.
    for column in ["timestamp", "start_time_ns", "end_time_ns"] {
        properties = properties
            .set_column_dictionary_enabled(ColumnPath::from(column), false)
            .set_column_encoding(ColumnPath::from(column), Encoding::DELTA_BINARY_PACKED);
    }
    for column in [
        "duration_ns",
        "duration_ms",
        "trace_id",
        "span_id",
        "parent_span_id",
    ] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    properties.build()
}
