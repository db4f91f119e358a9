//! The files of the dataset while they are written: each table as CSV and Parquet, and the rows of
//! spans also in the files of their classes.

use std::io::{self, Write};

use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::classes::{NORMAL_CLASS, UNKNOWN_CLASS};
use super::file_name;
use super::rows::{Columns, Made};
use super::staging::{StagedFile, Staging};
use super::table::{Kind, Table};
use super::wide::{MetricsWide, WideColumns};
use crate::options::TableFormats;

/// Rows in a row group of a Parquet file: what a reader can skip, and what the writer keeps in
/// memory, encoded.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// A table that is being written.
pub(crate) struct TableFiles {
    csv: Option<StagedFile>,
    parquet: Option<ArrowWriter<StagedFile>>,
    rows: u64,
}

impl TableFiles {
    /// Starts the files of a table.
    pub(crate) fn create<T: Table>(
        staging: &mut Staging,
        stamp: &str,
        columns: &Columns<T>,
    ) -> io::Result<Self> {
        let (header, schema) = (columns.header(), columns.schema());
        let properties = properties(columns.distinct());
        let formats = columns.formats();
        Self::start(
            staging,
            stamp,
            T::NAME,
            formats,
            &header,
            schema,
            properties,
        )
    }

    /// The same of the wide table.
    pub(crate) fn create_wide(
        staging: &mut Staging,
        stamp: &str,
        columns: &WideColumns,
    ) -> io::Result<Self> {
        let (header, schema) = (columns.header(), columns.schema());
        let (name, formats) = (MetricsWide::NAME, columns.formats());
        Self::start(
            staging,
            stamp,
            name,
            formats,
            &header,
            schema,
            properties([]),
        )
    }

    fn start(
        staging: &mut Staging,
        stamp: &str,
        name: &str,
        formats: TableFormats,
        header: &[u8],
        schema: &SchemaRef,
        properties: WriterProperties,
    ) -> io::Result<Self> {
        let mut files = Self {
            csv: None,
            parquet: None,
            rows: 0,
        };
        if formats.csv() {
            let csv = staging.create(format!("{name}_{stamp}.csv"))?;
            files.csv.insert(csv).append(header, 0)?;
        }
        if formats.parquet() {
            let parquet = staging.create(format!("{name}_{stamp}.parquet"))?;
            let parquet = ArrowWriter::try_new(parquet, schema.clone(), Some(properties));
            files.parquet = Some(parquet.map_err(as_io)?);
        }
        Ok(files)
    }

    /// Appends rows.
    pub(crate) fn append(&mut self, made: &Made) -> io::Result<()> {
        self.rows += made.rows;
        if let Some(csv) = &mut self.csv {
            csv.append(&made.csv, made.rows)?;
        }
        match (&mut self.parquet, &made.batch) {
            (Some(parquet), Some(batch)) => parquet.write(batch).map_err(as_io),
            _ => Ok(()),
        }
    }

    /// Writes what is still in memory: CSV, Parquet.
    pub(crate) fn finish(self) -> io::Result<[Option<StagedFile>; 2]> {
        let mut files = [self.csv, None];
        if let Some(parquet) = self.parquet {
            let mut parquet = parquet.into_inner().map_err(as_io)?;
            parquet.rows = self.rows;
            files[1] = Some(parquet);
        }
        for file in files.iter_mut().flatten() {
            file.flush()?;
        }
        Ok(files)
    }
}

/// Rows of one class that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Number of the class; none: the rows are in no file of a class.
    pub(crate) class: Option<usize>,
    pub(crate) rows: u64,
    /// Where they end in the CSV, in bytes.
    pub(crate) end: usize,
}

/// The files of classes.
pub(crate) struct ClassFiles {
    stamp: String,
    parts: Vec<String>,
    header: Vec<u8>,
    normal: StagedFile,
    anomalous: StagedFile,
    /// By class; that of `unknown` is made when the first row of it comes.
    by_class: Vec<Option<StagedFile>>,
}

impl ClassFiles {
    /// `types` are the anomaly types by class.
    pub(crate) fn create(
        staging: &mut Staging,
        stamp: &str,
        types: &[String],
        header: Vec<u8>,
    ) -> io::Result<Self> {
        let parts = file_name::parts(types);
        let mut csv = |part: &str| csv_file(staging, part, stamp, &header);
        let (normal, anomalous) = (csv("normal")?, csv("anomalous")?);
        let mut by_class = Vec::with_capacity(types.len());
        for (class, part) in parts.iter().enumerate() {
            by_class.push(match class {
                UNKNOWN_CLASS | NORMAL_CLASS => None,
                _ => Some(csv(part)?),
            });
        }
        Ok(Self {
            stamp: stamp.to_owned(),
            parts,
            normal,
            anomalous,
            by_class,
            header,
        })
    }

    /// Appends rows of spans to the files of their classes.
    pub(crate) fn append(
        &mut self,
        staging: &mut Staging,
        csv: &[u8],
        runs: &[Run],
    ) -> io::Result<()> {
        let mut start = 0;
        for run in runs {
            let rows = &csv[start..run.end];
            start = run.end;
            match run.class {
                None => {}
                Some(NORMAL_CLASS) => self.normal.append(rows, run.rows)?,
                Some(class) => {
                    if class != UNKNOWN_CLASS {
                        self.anomalous.append(rows, run.rows)?;
                    }
                    let file = match &mut self.by_class[class] {
                        Some(file) => file,
                        vacant => {
                            let part = &self.parts[class];
                            vacant.insert(csv_file(staging, part, &self.stamp, &self.header)?)
                        }
                    };
                    file.append(rows, run.rows)?;
                }
            }
        }
        Ok(())
    }

    /// Writes what is still in memory. The files in the order of their listing in the docs.
    pub(crate) fn finish(self) -> io::Result<Vec<StagedFile>> {
        let mut files = vec![self.normal, self.anomalous];
        files.extend(self.by_class.into_iter().flatten());
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

fn properties(distinct: impl IntoIterator<Item = (&'static str, Kind)>) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for (column, kind) in distinct {
        let path = ColumnPath::from(column);
        properties = properties.set_column_dictionary_enabled(path.clone(), false);
        if matches!(kind, Kind::Timestamp | Kind::UnixNanos) {
            properties = properties.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
}
