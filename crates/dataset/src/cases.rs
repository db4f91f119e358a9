//! The index: a row for each window of each run, with all that the table of windows says of it, and
//! how it counts, what injected its fault, its rows, and checksums of its run.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use loadgen_timeline::FaultInterval;
use loadgen_timeline::audit::DatasetVerdict;
use loadgen_timeline::event::{Engine, RunStarted};

use crate::error::BuildError;
use crate::out::{OutFolder, read_error, sha256_of};
use crate::read::malformed;
use crate::schema::{OWN_COLUMNS, own_values, widened};
use crate::tables::{Run, write_batch};
use crate::windows::{Window, table};

/// Name of the index, without its ending.
pub(crate) const CASES: &str = "cases";

/// A window, with what its row is made from.
struct Case<'r> {
    run: &'r Run,
    number: usize,
    window: &'r Window,
    fault: Option<&'r FaultInterval>,
    sums: &'r Sums,
    weak_below: f64,
}

/// Checksums of a run: SHA-256 in lower-case hex.
struct Sums {
    timeline: Option<String>,
    ledger: Option<String>,
    files: String,
}

/// A value of a column that the index adds.
enum Cell<'r> {
    Text(Option<&'r str>),
    Owned(Option<String>),
    Int(i64),
    Unsigned(u64),
    Double(f64),
    Boolean(bool),
}

/// A column that the index adds to those of the table of windows.
pub(crate) struct Column {
    name: &'static str,
    kind: DataType,
    meaning: &'static str,
    /// When it is null.
    pub(crate) null: &'static str,
    value: for<'r> fn(&Case<'r>) -> Cell<'r>,
}

impl Column {
    fn new(
        name: &'static str,
        kind: DataType,
        meaning: &'static str,
        null: &'static str,
        value: for<'r> fn(&Case<'r>) -> Cell<'r>,
    ) -> Self {
        Self {
            name,
            kind,
            meaning,
            null,
            value,
        }
    }
}

const NEVER: &str = "never";

const NO_TIMELINE: &str = "the run folder is not known, or no fault of it is on the timeline";

const NO_RUN: &str = "the run folder is not known";

/// The columns that the index adds, in their order.
pub(crate) fn added() -> Vec<Column> {
    [of_window(), of_fault(), of_rows(), of_setup(), of_dataset()]
        .into_iter()
        .flatten()
        .collect()
}

fn of_window() -> Vec<Column> {
    use DataType::{Boolean, Int64, Utf8};
    let new = Column::new;
    vec![
        new(
            "episode_begin_ns",
            Int64,
            "when its episode begins, Unix ns",
            NEVER,
            |c| Cell::Int(c.episode_time().0),
        ),
        new(
            "episode_end_ns",
            Int64,
            "when its episode ends, Unix ns",
            NEVER,
            |c| Cell::Int(c.episode_time().1),
        ),
        new(
            "warm_up",
            Boolean,
            "whether it only warms the target up",
            NEVER,
            |c| Cell::Boolean(c.window.warm_up),
        ),
        new(
            "standing",
            Utf8,
            "how it counts: `backed`, `unsupported`, `weak_intensity`, `sham`, `harmless`, `unknown`, \
             `normal` or `warm_up`",
            NEVER,
            |c| Cell::Text(Some(c.window.standing(c.weak_below).name())),
        ),
    ]
}

/// What injected the fault of the window.
fn of_fault() -> Vec<Column> {
    use DataType::Utf8;
    let new = Column::new;
    vec![
        new(
            "driver",
            Utf8,
            "what injected the fault",
            NO_TIMELINE,
            |c| Cell::Text(c.fault.map(|f| f.injected.driver.as_str())),
        ),
        new(
            "driver_version",
            Utf8,
            "what the driver worked through, with its version",
            "not known",
            |c| {
                Cell::Text(
                    c.fault
                        .map(|f| f.injected.driver_version.as_str())
                        .filter(|v| !v.is_empty()),
                )
            },
        ),
        new(
            "fault_parameters",
            Utf8,
            "what else the driver was told, as a JSON object",
            "nothing else",
            |c| {
                let parameters = c.fault.map(|f| &f.injected.parameters);
                let told = parameters.filter(|parameters| !parameters.is_empty());
                Cell::Owned(told.and_then(|told| serde_json::to_string(told).ok()))
            },
        ),
    ]
}

/// How many rows of the dataset are of the window.
fn of_rows() -> Vec<Column> {
    use DataType::Int64;
    let new = Column::new;
    vec![
        new(
            "class_spans",
            Int64,
            "spans of it in the folders of classes",
            NEVER,
            |c| Cell::count(c.run.counts[c.number].class_spans),
        ),
        new(
            "log_records",
            Int64,
            "log records whose scenario it is",
            NEVER,
            |c| Cell::count(c.run.counts[c.number].log_records),
        ),
        new(
            "data_points",
            Int64,
            "data points whose scenario it is",
            NEVER,
            |c| Cell::count(c.run.counts[c.number].data_points),
        ),
    ]
}

/// What made the run: its file, its choices, who sent the load, and whereto.
fn of_setup() -> Vec<Column> {
    use DataType::{Float64, UInt64, Utf8};
    let new = Column::new;
    vec![
        new(
            "scenario_file",
            Utf8,
            "name of the run's scenario file",
            NEVER,
            |c| Cell::Text(Some(&c.run.input.facts.scenario_file)),
        ),
        new(
            "scenario_sha256",
            Utf8,
            "SHA-256 of that file",
            NO_RUN,
            |c| Cell::Text(c.started().map(|run| run.scenario_sha256.as_str())),
        ),
        new(
            "seed",
            UInt64,
            "seed of all choices of the run",
            NEVER,
            |c| Cell::Unsigned(c.run.input.facts.seed),
        ),
        new(
            "time_scale",
            Float64,
            "factor by which the run's timetable was stretched",
            NEVER,
            |c| Cell::Double(c.run.input.facts.time_scale),
        ),
        new(
            "engine",
            Utf8,
            "what sent the load: `rust` or `k6`",
            NO_RUN,
            |c| {
                Cell::Text(c.started().map(|run| match run.engine {
                    Engine::Rust => "rust",
                    Engine::K6 => "k6",
                }))
            },
        ),
        new("target", Utf8, "base URL of the target", NO_RUN, |c| {
            Cell::Text(c.started().map(|run| run.target.as_str()))
        }),
        new(
            "run_by",
            Utf8,
            "version of loadgen that made the run",
            NO_RUN,
            |c| Cell::Text(c.started().map(|run| run.loadgen_version.as_str())),
        ),
    ]
}

/// What was made of the run: its labels, its audit, and the checksums of its files.
fn of_dataset() -> Vec<Column> {
    use DataType::Utf8;
    let new = Column::new;
    vec![
        new(
            "extracted_by",
            Utf8,
            "version of loadgen that labelled it",
            NEVER,
            |c| Cell::Text(Some(&c.run.input.facts.extracted_by)),
        ),
        new(
            "audit",
            Utf8,
            "verdict of the run's audit: `usable`, `usable_with_warnings` or `not_usable`",
            NEVER,
            |c| Cell::Text(Some(audit_name(c.run.input.facts.verdict))),
        ),
        new(
            "timeline_sha256",
            Utf8,
            "SHA-256 of the run's timeline",
            NO_RUN,
            |c| Cell::Text(c.sums.timeline.as_deref()),
        ),
        new(
            "ledger_sha256",
            Utf8,
            "SHA-256 of the run's ledger of requests",
            "it is not known",
            |c| Cell::Text(c.sums.ledger.as_deref()),
        ),
        new(
            "files_sha256",
            Utf8,
            "SHA-256 of the lines of SHA256SUMS that are of the run's files",
            NEVER,
            |c| Cell::Text(Some(&c.sums.files)),
        ),
    ]
}

/// A verdict of an audit, as in the audit file.
pub(crate) fn audit_name(verdict: DatasetVerdict) -> &'static str {
    match verdict {
        DatasetVerdict::Usable => "usable",
        DatasetVerdict::UsableWithWarnings => "usable_with_warnings",
        DatasetVerdict::NotUsable => "not_usable",
    }
}

impl Cell<'_> {
    fn count(count: u64) -> Self {
        Cell::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl<'r> Case<'r> {
    fn episode_time(&self) -> (i64, i64) {
        let episodes = &self.run.episodes;
        episodes.time(episodes.of_window(self.number).unwrap_or_default())
    }

    fn started(&self) -> Option<&'r RunStarted> {
        self.run.input.facts.started.as_ref()
    }
}

impl Column {
    fn field(&self) -> Field {
        let description = ("description".to_owned(), self.meaning.to_owned());
        Field::new(self.name, self.kind.clone(), self.null != NEVER)
            .with_metadata(HashMap::from([description]))
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    fn array(&self, cases: &[Case<'_>]) -> ArrayRef {
        let cells = || cases.iter().map(|case| (self.value)(case));
        match self.kind {
            DataType::Int64 => Arc::new(Int64Array::from_iter(cells().map(|cell| match cell {
                Cell::Int(value) => Some(value),
                _ => None,
            }))),
            DataType::UInt64 => Arc::new(UInt64Array::from_iter(cells().map(|cell| match cell {
                Cell::Unsigned(value) => Some(value),
                _ => None,
            }))),
            DataType::Float64 => {
                Arc::new(Float64Array::from_iter(cells().map(|cell| match cell {
                    Cell::Double(value) => Some(value),
                    _ => None,
                })))
            }
            DataType::Boolean => {
                Arc::new(BooleanArray::from_iter(cells().map(|cell| match cell {
                    Cell::Boolean(value) => Some(value),
                    _ => None,
                })))
            }
            _ => Arc::new(StringArray::from_iter(cells().map(|cell| match cell {
                Cell::Text(text) => text.map(str::to_owned),
                Cell::Owned(text) => text,
                _ => None,
            }))),
        }
    }
}

/// Writes the index as Parquet and CSV. `windows` is the form of the table of windows over all
/// runs. Gives its form.
pub(crate) fn write(
    runs: &[Run],
    windows: &SchemaRef,
    weak_below: f64,
    out: &mut OutFolder,
) -> Result<SchemaRef, BuildError> {
    let added = added();
    let mut fields: Vec<Arc<Field>> = windows.fields().iter().cloned().collect();
    fields.extend(added.iter().map(|column| Arc::new(column.field())));
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let mut batches = Vec::with_capacity(runs.len());
    for run in runs {
        batches.push(batch_of(run, &schema, &added, weak_below, out)?);
    }
    let whole =
        concat_batches(&schema, &batches).map_err(|e| out.cannot(std::io::Error::other(e)))?;
    write_batch(out, &format!("{CASES}.parquet"), &whole)?;
    let csv = csv(&whole).map_err(|error| out.cannot(error))?;
    out.write(&format!("{CASES}.csv"), &csv)?;
    Ok(schema)
}

fn batch_of(
    run: &Run,
    schema: &SchemaRef,
    added: &[Column],
    weak_below: f64,
    out: &OutFolder,
) -> Result<RecordBatch, BuildError> {
    let path = &run.input.tables["windows"];
    let rows = table(&run.input)?;
    let sums = sums(run, out)?;
    let windows = run.windows.iter().enumerate();
    let cases: Vec<Case<'_>> = windows
        .map(|(number, window)| Case {
            run,
            number,
            window,
            fault: fault_of(run, window),
            sums: &sums,
            weak_below,
        })
        .collect();
    let count = cases.len();
    let wrong = |error: arrow_schema::ArrowError| malformed(path, error);
    let (run_id, ids) = (&run.input.run_id, run.episode_ids());
    let mut columns = own_values(run_id, &ids, &run.splits, &run.placed).map_err(wrong)?;
    let of_table = schema.fields().len() - added.len();
    for field in &schema.fields()[OWN_COLUMNS.len()..of_table] {
        let column = rows.column_by_name(field.name());
        columns.push(widened(column, field.data_type(), count));
    }
    columns.extend(added.iter().map(|column| column.array(&cases)));
    RecordBatch::try_new(schema.clone(), columns).map_err(wrong)
}

/// The fault that the table of windows names, as it stands on the timeline.
pub(crate) fn fault_of<'r>(run: &'r Run, window: &Window) -> Option<&'r FaultInterval> {
    let faults = &run.input.facts.faults;
    faults.iter().find(|of| {
        let injected = &of.injected;
        injected.scenario == window.time.scenario
            && Some(&injected.fault) == window.fault.as_ref()
            && Some(&injected.service) == window.service.as_ref()
            && Some(injected.at_ns) == window.injected_ns
    })
}

fn sums(run: &Run, out: &OutFolder) -> Result<Sums, BuildError> {
    use sha2::{Digest, Sha256};
    let sum = |path: Option<&std::path::PathBuf>| {
        path.map(|path| sha256_of(path).map_err(|source| read_error(path, source)))
            .transpose()
    };
    let run_id = &run.input.run_id;
    let (part, folder) = (format!("/run_id={run_id}/"), format!("runs/{run_id}/"));
    let lines = out.sums(|path| path.contains(&part) || path.starts_with(&folder));
    Ok(Sums {
        timeline: sum(run.input.run_files.get("timeline.jsonl"))?,
        ledger: sum(run.input.ledger.as_ref())?,
        files: const_hex::encode(Sha256::digest(lines)),
    })
}

/// A batch as CSV, by the rules of the tables of an extraction.
fn csv(batch: &RecordBatch) -> std::io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let schema = batch.schema();
    writer.write_record(schema.fields().iter().map(|field| field.name()))?;
    for row in 0..batch.num_rows() {
        writer.write_record(batch.columns().iter().map(|column| cell(column, row)))?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}

fn cell(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return String::new();
    }
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Dictionary(..) => {
            let names = column.as_dictionary::<Int32Type>();
            let name = names.key(row).unwrap_or_default();
            cell(names.values(), name)
        }
        DataType::Utf8 => {
            let text = column.as_string::<i32>().value(row);
            // What a spreadsheet would run gets a `'` in front, as everywhere.
            match text.bytes().next() {
                Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n' | b'\'') => {
                    format!("'{text}")
                }
                _ => text.to_owned(),
            }
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;
    use std::path::Path;

    /// The docs with a table of columns between its marks.
    fn with_columns(docs: &str, of: &str, columns: &[[&str; 4]]) -> String {
        let (begin, end) = (
            format!("<!-- columns of {of} -->\n"),
            format!("<!-- end of columns of {of} -->\n"),
        );
        let mut table = "| Column | Type | Unit, meaning | Null |\n|---|---|---|---|\n".to_owned();
        for [name, kind, meaning, null] in columns {
            let _ = writeln!(table, "| `{name}` | {kind} | {meaning} | {null} |");
        }
        let (before, rest) = docs.split_once(&begin).expect("the mark");
        let (_, after) = rest.split_once(&end).expect("the mark at the end");
        format!("{before}{begin}{table}{end}{after}")
    }

    /// After a change that is meant: `UPDATE_DOCS=1 cargo test -p loadgen-dataset --lib docs`.
    #[test]
    fn the_tables_of_columns_in_the_docs_are_those_of_the_definition() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/dataset-build.md");
        let shipped = std::fs::read_to_string(&path).expect("the docs");
        let added = added();
        let of_cases: Vec<[&str; 4]> = added
            .iter()
            .map(|of| {
                [
                    of.name,
                    crate::schema::type_name(&of.kind),
                    of.meaning,
                    of.null,
                ]
            })
            .collect();
        let text = with_columns(&shipped, "cases", &of_cases);
        let own = OWN_COLUMNS.map(|own| own.told());
        let text = with_columns(&text, "all tables", &own);
        let of_requests: Vec<[&str; 4]> = crate::requests::columns()
            .iter()
            .map(|column| column.told())
            .collect();
        let text = with_columns(&text, "requests", &of_requests);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &text).expect("written");
            return;
        }
        assert!(
            text == shipped,
            "docs/dataset-build.md: run UPDATE_DOCS=1 cargo test -p loadgen-dataset --lib docs"
        );
    }

    #[test]
    fn what_a_spreadsheet_would_run_gets_a_mark_and_numbers_never() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["=1", "-", "a", "'x"]));
        let cells: Vec<String> = (0..4).map(|row| cell(&texts, row)).collect();
        assert_eq!(cells, ["'=1", "'-", "a", "''x"]);
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(-0.5), None]));
        assert_eq!([cell(&numbers, 0), cell(&numbers, 1)], ["-0.5", ""]);
    }
}
