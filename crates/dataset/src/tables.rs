//! Copies the tables of all runs, each in one form, batch by batch, with the names of run and
//! episode in front; and deals the spans that back a label out to the folders of classes.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::cells::{text, texts};
use crate::episodes::Episodes;
use crate::error::BuildError;
use crate::input::Input;
use crate::out::{OutFile, OutFolder};
use crate::place::{Placer, Places, TRACES, Unlisted};
use crate::read;
use crate::schema::{self, OWN_COLUMNS, Part, Placed};
use crate::splits::{RunSplits, Split};
use crate::windows::{BACKING, Window};

/// The table of the requests of all runs, which is made of their ledgers.
pub(crate) const REQUESTS: &str = "requests";

/// The table whose rows are dealt out to classes.
const SPANS: &str = "traces_labeled";

/// A run on its way into the dataset.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) input: Input,
    pub(crate) windows: Vec<Window>,
    pub(crate) episodes: Episodes,
    pub(crate) splits: RunSplits,
    /// By window.
    pub(crate) placed: Vec<Placed>,
    pub(crate) unlisted: Unlisted,
    /// By window.
    pub(crate) counts: Vec<WindowCounts>,
}

impl Run {
    /// The ids of its episodes.
    pub(crate) fn episode_ids(&self) -> Vec<String> {
        let episodes = 0..self.episodes.len();
        episodes.map(|number| self.episodes.id(number)).collect()
    }
}

/// Rows of a window, by the scenario that they name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct WindowCounts {
    pub(crate) data_points: u64,
    pub(crate) log_records: u64,
    /// Spans in the files of classes.
    pub(crate) class_spans: u64,
}

/// What a table has become.
#[derive(Debug)]
pub(crate) struct Copied {
    pub(crate) schema: SchemaRef,
    pub(crate) rows: u64,
}

/// All tables, in their one form.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) tables: BTreeMap<String, Copied>,
    /// Rows by the folder of a class.
    pub(crate) classes: BTreeMap<String, u64>,
    /// Spans by anomaly type and split.
    pub(crate) spans: BTreeMap<(String, Option<Split>), u64>,
}

/// Copies all tables.
pub(crate) fn copy_all(
    runs: &mut [Run],
    out: &mut OutFolder,
    stop: &AtomicBool,
    notes: &mut Vec<String>,
) -> Result<Tables, BuildError> {
    let folders = class_folders(runs);
    let mut made = Tables::default();
    for table in names(runs) {
        let of: Vec<usize> = (0..runs.len())
            .filter(|&run| runs[run].input.tables.contains_key(&table))
            .collect();
        if of.len() < runs.len() {
            let (without, all) = (runs.len() - of.len(), runs.len());
            notes.push(format!(
                "{table}: {without} of {all} runs have no such table"
            ));
        }
        let parts = parts(&table, runs, &of)?;
        let schema = schema::union(&table, &parts)?;
        notes.extend(schema::lacking(&table, &schema, &parts));
        let form = Form {
            properties: schema::properties(&parts),
            schema,
        };
        let mut copied = Copied {
            schema: form.schema.clone(),
            rows: 0,
        };
        for run in of {
            copied.rows += copy(
                &table,
                &mut runs[run],
                &form,
                &folders,
                out,
                stop,
                &mut made,
            )?;
        }
        made.tables.insert(table, copied);
    }
    Ok(made)
}

/// The names of all tables that any run has.
fn names(runs: &[Run]) -> Vec<String> {
    let all = runs.iter().flat_map(|run| run.input.tables.keys().cloned());
    // That is made here.
    let mut names: Vec<String> = all.filter(|name| name != REQUESTS).collect();
    names.sort();
    names.dedup();
    names
}

fn parts(table: &str, runs: &[Run], of: &[usize]) -> Result<Vec<Part>, BuildError> {
    let part = |&run: &usize| {
        let path = runs[run].input.tables[table].clone();
        let (schema, metadata) = read::metadata(&path)?;
        Ok(Part {
            path,
            schema,
            metadata,
        })
    };
    of.iter().map(part).collect()
}

/// The folder of each anomaly type that spans of any run have.
fn class_folders(runs: &[Run]) -> HashMap<String, String> {
    let of_spans = runs
        .iter()
        .flat_map(|run| run.input.facts.spans_by_type.keys().cloned());
    let of_windows = runs
        .iter()
        .flat_map(|run| run.windows.iter().map(|w| w.anomaly_type.clone()));
    let mut types: Vec<String> = of_spans.chain(of_windows).collect();
    types.retain(|kind| kind != "none" && kind != "unknown");
    types.sort();
    types.dedup();
    let names = loadgen_extract::order::class_names(&types);
    let mut folders: HashMap<String, String> = types.into_iter().zip(names).collect();
    folders.insert("none".to_owned(), "normal".to_owned());
    folders
}

/// How a table is written.
pub(crate) struct Form {
    pub(crate) schema: SchemaRef,
    pub(crate) properties: WriterProperties,
}

/// Copies the table of one run; gives its rows.
fn copy(
    table: &str,
    run: &mut Run,
    form: &Form,
    folders: &HashMap<String, String>,
    out: &mut OutFolder,
    stop: &AtomicBool,
    made: &mut Tables,
) -> Result<u64, BuildError> {
    let path = run.input.tables[table].clone();
    let run_id = run.input.run_id.clone();
    let place = |folder: &str| format!("{folder}/run_id={run_id}/part.parquet");
    let mut rows = read::batches(&path)?;
    let places = Places {
        episodes: &run.episodes,
        splits: &run.splits,
        windows: &run.placed,
    };
    let ids = run.episode_ids();
    let traces = run.input.tables.get(TRACES);
    let mut placer = Placer::new(table, traces, places, &mut run.unlisted)?;
    let mut counter = Counter::new(&run.windows);
    let mut whole = PartFile::create(out, &place(&format!("tables/{table}")), form)?;
    let mut dealt: BTreeMap<String, PartFile> = BTreeMap::new();
    while let Some(batch) = read::next(&mut rows, &path)? {
        if stop.load(Ordering::Relaxed) {
            return Err(BuildError::Stopped);
        }
        let placed = placer.place(&batch, &path)?;
        let wrong = |error| read::malformed(&path, error);
        let own = schema::own_values(&run_id, &ids, &run.splits, &placed).map_err(wrong)?;
        let batch = with_own(&batch, &form.schema, own).map_err(wrong)?;
        whole.write(out, &batch)?;
        counter.count(table, &batch, &mut run.counts);
        if table != SPANS {
            continue;
        }
        count_spans(&batch, &placed, &mut made.spans);
        for (kind, rows) in by_class(&batch) {
            let Some(folder) = folders.get(&kind) else {
                continue;
            };
            let of_class = filter_record_batch(&batch, &rows);
            let of_class = of_class.map_err(wrong)?;
            counter.count("classes", &of_class, &mut run.counts);
            let mut file = match dealt.remove(folder) {
                Some(file) => file,
                None => PartFile::create(out, &place(&format!("classes/{folder}")), form)?,
            };
            file.write(out, &of_class)?;
            dealt.insert(folder.clone(), file);
        }
    }
    for (folder, file) in dealt {
        *made.classes.entry(folder).or_default() += file.close(out)?;
    }
    whole.close(out)
}

/// A batch in the form that its table has over all runs, behind the `columns` that each begins with.
fn with_own(
    batch: &RecordBatch,
    schema: &SchemaRef,
    mut columns: Vec<ArrayRef>,
) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let rows = batch.num_rows();
    for field in schema.fields().iter().skip(OWN_COLUMNS.len()) {
        let column = batch.column_by_name(field.name());
        columns.push(schema::widened(column, field.data_type(), rows));
    }
    RecordBatch::try_new(schema.clone(), columns)
}

/// Counts spans by anomaly type and split.
fn count_spans(
    batch: &RecordBatch,
    placed: &[Placed],
    spans: &mut BTreeMap<(String, Option<Split>), u64>,
) {
    let kinds = texts(batch, "anomaly_type");
    let mut counts: HashMap<(&str, Option<Split>), u64> = HashMap::new();
    for (row, place) in placed.iter().enumerate() {
        let kind = text(kinds, row).unwrap_or_default();
        *counts.entry((kind, place.split)).or_default() += 1;
    }
    for ((kind, split), count) in counts {
        *spans.entry((kind.to_owned(), split)).or_default() += count;
    }
}

/// The rows of spans that back a label, by anomaly type.
fn by_class(batch: &RecordBatch) -> BTreeMap<String, BooleanArray> {
    let column = |name: &str| texts(batch, name);
    let (kinds, labels) = (column("anomaly_type"), column("anomaly_label"));
    let (phases, verdicts) = (column("phase"), column("verdict"));
    let late = batch.column_by_name("late").map(AsArray::as_boolean);
    let mut rows: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for row in 0..batch.num_rows() {
        let backs = text(verdicts, row).is_some_and(|verdict| BACKING.contains(&verdict));
        let is_known = text(labels, row).is_some_and(|label| label != "unknown");
        let is_steady = text(phases, row) == Some("steady");
        let is_late = late.is_some_and(|late| late.is_valid(row) && late.value(row));
        let kind = text(kinds, row).filter(|_| backs && is_known && is_steady && !is_late);
        if let Some(kind) = kind {
            let rows = rows
                .entry(kind)
                .or_insert_with(|| vec![false; batch.num_rows()]);
            rows[row] = true;
        }
    }
    let rows = rows.into_iter();
    rows.map(|(kind, rows)| (kind.to_owned(), BooleanArray::from(rows)))
        .collect()
}

/// Counts rows by window.
struct Counter {
    /// Windows by scenario.
    windows: HashMap<String, Vec<usize>>,
    /// The same for what rows say, where that is several.
    known: HashMap<String, Vec<usize>>,
}

impl Counter {
    fn new(windows: &[Window]) -> Self {
        let mut by_scenario: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, window) in windows.iter().enumerate() {
            by_scenario
                .entry(window.time.scenario.clone())
                .or_default()
                .push(number);
        }
        // Which of two windows of one name a row is of is not known.
        by_scenario.retain(|_, windows| windows.len() == 1);
        Self {
            windows: by_scenario,
            known: HashMap::new(),
        }
    }

    fn count(&mut self, table: &str, batch: &RecordBatch, counts: &mut [WindowCounts]) {
        let field: fn(&mut WindowCounts) -> &mut u64 = match table {
            "metrics_labeled" => |of| &mut of.data_points,
            "logs_labeled" => |of| &mut of.log_records,
            "classes" => |of| &mut of.class_spans,
            _ => return,
        };
        let scenarios = texts(batch, "scenario");
        for row in 0..batch.num_rows() {
            let Some(scenario) = text(scenarios, row) else {
                continue;
            };
            if !self.known.contains_key(scenario) {
                let windows = self.of(scenario);
                self.known.insert(scenario.to_owned(), windows);
            }
            for &window in self.known.get(scenario).into_iter().flatten() {
                *field(&mut counts[window]) += 1;
            }
        }
    }

    /// The windows that a row names.
    fn of(&self, scenario: &str) -> Vec<usize> {
        match self.windows.get(scenario) {
            Some(windows) => windows.clone(),
            None => scenario
                .split('+')
                .filter_map(|name| self.windows.get(name))
                .flatten()
                .copied()
                .collect(),
        }
    }
}

/// A Parquet file of the dataset.
pub(crate) struct PartFile {
    writer: ArrowWriter<OutFile>,
    rows: u64,
}

impl PartFile {
    pub(crate) fn create(out: &OutFolder, path: &str, form: &Form) -> Result<Self, BuildError> {
        let file = out.create(path)?;
        let properties = Some(form.properties.clone());
        let writer = ArrowWriter::try_new(file, form.schema.clone(), properties);
        Ok(Self {
            writer: writer.map_err(|error| out.cannot(as_io(error)))?,
            rows: 0,
        })
    }

    pub(crate) fn write(&mut self, out: &OutFolder, batch: &RecordBatch) -> Result<(), BuildError> {
        self.rows += batch.num_rows() as u64;
        let written = self.writer.write(batch);
        written.map_err(|error| out.cannot(as_io(error)))
    }

    pub(crate) fn close(self, out: &mut OutFolder) -> Result<u64, BuildError> {
        let file = self.writer.into_inner();
        let file = file.map_err(|error| out.cannot(as_io(error)))?;
        out.close(file, self.rows)?;
        Ok(self.rows)
    }
}

/// Writes one batch as a file of its own.
pub(crate) fn write_batch(
    out: &mut OutFolder,
    path: &str,
    batch: &RecordBatch,
) -> Result<(), BuildError> {
    let form = Form {
        schema: batch.schema(),
        properties: schema::properties(&[]),
    };
    let mut file = PartFile::create(out, path, &form)?;
    file.write(out, batch)?;
    file.close(out).map(|_| ())
}

fn as_io(error: ParquetError) -> std::io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(error) => *error,
            Err(other) => std::io::Error::other(other),
        },
        other => std::io::Error::other(other),
    }
}
