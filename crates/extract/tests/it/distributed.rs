//! The steps of a job on many machines give what one extraction gives, however the input is cut into
//! tasks and portions, and in whatever order frames and figures come.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use chrono::DateTime;
use loadgen_extract::distributed::{Job, JobOptions, decode, merge};
use loadgen_extract::{ExtractOptions, extract};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::Value;

const STAMP: &str = "20260301_100000";
const TABLES: [&str; 5] = [
    "traces_labeled",
    "trace_labels",
    "trace_features",
    "logs_labeled",
    "metrics_labeled",
];

type Frame = (i64, String, Vec<u8>);

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn files() -> Vec<PathBuf> {
    let names = [
        "logs.jsonl",
        "metrics.jsonl",
        "traces-1.jsonl",
        "traces-2.jsonl",
    ];
    names.map(golden).to_vec()
}

fn stream(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let field = |(name, array): &(&str, ArrayRef)| {
        let data_type: DataType = array.data_type().clone();
        Field::new(*name, data_type, true)
    };
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let columns = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns).expect("a batch");
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("a stream")
}

fn frames_stream(frames: &[Frame]) -> Vec<u8> {
    let keys: Int64Array = frames.iter().map(|frame| Some(frame.0)).collect();
    let kinds: StringArray = frames.iter().map(|frame| Some(&*frame.1)).collect();
    let bytes: BinaryArray = frames.iter().map(|frame| Some(&frame.2[..])).collect();
    stream(vec![
        ("key", Arc::new(keys)),
        ("kind", Arc::new(kinds)),
        ("bytes", Arc::new(bytes)),
    ])
}

fn frames(stream: &[u8]) -> Vec<Frame> {
    let mut all = Vec::new();
    for batch in StreamReader::try_new(stream, None).expect("a stream") {
        let batch = batch.expect("a batch");
        let keys = batch.column(0).as_primitive::<Int64Type>().clone();
        for row in 0..batch.num_rows() {
            all.push((
                keys.value(row),
                batch.column(1).as_string::<i32>().value(row).to_owned(),
                batch.column(2).as_binary::<i32>().value(row).to_owned(),
            ));
        }
    }
    all
}

/// A file, or a piece of it that ends with a line.
#[derive(Debug, Clone)]
struct Piece {
    file: usize,
    unit: usize,
    is_whole: bool,
    /// Its bytes.
    place: std::ops::Range<usize>,
}

/// The pieces as columns of the input: with what is in them, or by the names of the files.
fn columns(pieces: &[Piece], by_name: bool) -> Vec<(&'static str, ArrayRef)> {
    let number = |of: fn(&Piece) -> Option<usize>| -> ArrayRef {
        let numbers = pieces.iter().map(|piece| Some(of(piece)? as i64));
        Arc::new(numbers.collect::<Int64Array>())
    };
    let mut columns = vec![
        ("file", number(|piece| Some(piece.file))),
        ("unit", number(|piece| Some(piece.unit))),
    ];
    if by_name {
        let path = |piece: &Piece| Some(files()[piece.file].to_string_lossy().into_owned());
        let paths: StringArray = pieces.iter().map(path).collect();
        columns.push(("path", Arc::new(paths)));
        columns.push(("start", number(|piece| Some(piece.place.start))));
        // A file as a whole has no end.
        let end = |piece: &Piece| (!piece.is_whole).then_some(piece.place.end);
        columns.push(("end", number(end)));
    } else {
        let content = |piece: &Piece| {
            let whole = fs::read(&files()[piece.file]).expect("read");
            Some(whole[piece.place.clone()].to_vec())
        };
        let contents: BinaryArray = pieces.iter().map(content).collect();
        columns.push(("content", Arc::new(contents)));
    }
    columns
}

fn decoded(pieces: &[Piece], plan: &Plan) -> Vec<Frame> {
    let input = stream(columns(pieces, plan.by_name));
    let mut output = Vec::new();
    decode(&input[..], &mut output, plan.portions).expect("decoded");
    frames(&output)
}

/// How a scheduler deals the work out.
#[derive(Debug, Clone)]
struct Plan {
    portions: usize,
    /// Into how many pieces each file is cut.
    pieces: usize,
    /// Files, or pieces, of one task.
    at_once: usize,
    /// Portions of one task.
    together: usize,
    backwards: bool,
    /// The program opens the files itself.
    by_name: bool,
    /// Figures are put together in two rounds.
    in_rounds: bool,
    steady_only: bool,
    include_foreign: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let how = (1usize..7, 1usize..4, 1usize..5, 1usize..4);
    (how, any::<[bool; 5]>()).prop_map(|((portions, pieces, at_once, together), flags)| Plan {
        portions,
        pieces,
        at_once,
        together,
        backwards: flags[0],
        in_rounds: flags[1],
        steady_only: flags[2],
        include_foreign: flags[3],
        by_name: flags[4],
    })
}

impl Plan {
    fn ordered<T>(&self, mut items: Vec<T>) -> Vec<T> {
        if self.backwards {
            items.reverse();
        }
        items
    }

    fn put_together(&self, figures: Vec<Frame>) -> Vec<u8> {
        let figures = self.ordered(figures);
        if !self.in_rounds {
            return frames_stream(&figures);
        }
        let round = |some: &[Frame]| {
            let mut merged = Vec::new();
            merge(&frames_stream(some)[..], &mut merged).expect("merged");
            frames(&merged)
        };
        frames_stream(&figures.chunks(2).flat_map(round).collect::<Vec<_>>())
    }
}

/// The lengths of pieces.
fn cut(content: &[u8], pieces: usize) -> Vec<usize> {
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let each = lines.len().div_ceil(pieces).max(1);
    let length = |lines: &[&[u8]]| lines.iter().map(|line| line.len()).sum();
    lines.chunks(each).map(length).collect()
}

/// A step of the job: its task, what it reads, and what it writes.
type Step<'s> = &'s dyn Fn(u32, &[u8], &mut Vec<u8>);

/// Does all steps, and puts files of rows as well as what is said of the run into `output`.
fn distributed(plan: &Plan, folder: &Path, output: &Path) {
    let options = JobOptions {
        files: files(),
        portions: plan.portions,
        stamp: Some(stamp()),
        steady_only: plan.steady_only,
        include_foreign: plan.include_foreign,
        ..JobOptions::default()
    };
    let json = serde_json::to_vec(&options).expect("JSON");
    fs::write(folder.join("job.json"), json).expect("written");
    fs::copy(golden("timeline.jsonl"), folder.join("timeline.jsonl")).expect("copied");
    let job = Job::open(folder).expect("a job");

    let mut pieces = Vec::new();
    for (number, path) in files().iter().enumerate() {
        let content = fs::read(path).expect("read");
        // In pieces lines count from the piece: the file with a line that can't be read stays whole.
        let is_whole = path.ends_with("traces-1.jsonl");
        let parts = if is_whole { 1 } else { plan.pieces };
        let mut start = 0;
        for (piece, length) in cut(&content, parts).into_iter().enumerate() {
            pieces.push(Piece {
                file: number,
                unit: piece * 64,
                is_whole: length == content.len(),
                place: start..start + length,
            });
            start += length;
        }
    }
    let pieces = plan.ordered(pieces);
    let mut all: Vec<Frame> = Vec::new();
    for task in pieces.chunks(plan.at_once) {
        all.extend(decoded(task, plan));
    }
    let mut requests = Vec::new();
    job.requests(&mut requests).expect("requests");
    all.extend(frames(&requests));
    let (figures, records): (Vec<Frame>, Vec<Frame>) =
        all.into_iter().partition(|frame| frame.1 == "scan");
    job.scanned(&plan.put_together(figures)[..])
        .expect("scanned");

    let mut tasks: BTreeMap<i64, Vec<Frame>> = BTreeMap::new();
    for frame in plan.ordered(records) {
        let task = frame.0 / plan.together as i64;
        tasks.entry(task).or_default().push(frame);
    }
    let run = |step: Step<'_>, tasks: &BTreeMap<i64, Vec<Frame>>| {
        let mut said = Vec::new();
        for (part, task) in tasks {
            let mut output = Vec::new();
            step(*part as u32, &frames_stream(task), &mut output);
            said.extend(frames(&output));
        }
        said
    };
    let survey: Step<'_> = &|_, input, output| job.survey(input, output).expect("surveyed");
    let (said, candidates): (Vec<Frame>, Vec<Frame>) = run(survey, &tasks)
        .into_iter()
        .partition(|frame| frame.1 == "survey");
    job.surveyed(&plan.put_together(said)[..])
        .expect("surveyed");
    let normals: Step<'_> = &|_, input, output| job.normals(input, output).expect("normals");
    let of_two = candidates.chunks(2).map(<[Frame]>::to_vec);
    let said = run(normals, &(0..).zip(of_two).collect());
    job.limits(&plan.put_together(said)[..]).expect("limits");
    let rows: Step<'_> = &|part, input, output| job.rows(part, input, output).expect("rows");
    let said = run(rows, &tasks);
    let (figures, tables): (Vec<Frame>, Vec<Frame>) =
        said.into_iter().partition(|frame| frame.1 == "rows");
    for (part, table, bytes) in tables {
        let table = output.join(table);
        fs::create_dir_all(&table).expect("a folder");
        fs::write(table.join(format!("part-{part:05}.parquet")), bytes).expect("written");
    }
    job.finish(&plan.put_together(figures)[..], output)
        .expect("finished");
}

fn stamp() -> DateTime<chrono::Utc> {
    "2026-03-01T10:00:00Z".parse().expect("a time")
}

/// The rows of Parquet files as text, sorted.
fn rows(paths: impl IntoIterator<Item = PathBuf>) -> Vec<String> {
    let mut rows = Vec::new();
    for path in paths {
        let file = File::open(&path).expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        for batch in reader.build().expect("a reader") {
            let batch = batch.expect("a batch");
            for row in 0..batch.num_rows() {
                rows.push(format!("{:?}", batch.slice(row, 1).columns()));
            }
        }
    }
    rows.sort();
    rows
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

/// The audit without the list of files, which are others.
fn audit(folder: &Path) -> Value {
    let path = folder.join(format!("audit_{STAMP}.json"));
    let mut audit: Value =
        serde_json::from_slice(&fs::read(path).expect("an audit")).expect("JSON");
    audit["files"] = Value::Null;
    audit
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect("a file")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn however_the_work_is_dealt_out_the_rows_and_the_audit_are_those_of_one_process(plan in plan()) {
        let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
        let [one, job, many] = folders.each_ref().map(tempfile::TempDir::path);
        extract(&ExtractOptions {
            inputs: files(),
            timeline: Some(golden("timeline.jsonl")),
            output: one.to_path_buf(),
            stamp: Some(stamp()),
            steady_only: plan.steady_only,
            include_foreign: plan.include_foreign,
            ..ExtractOptions::default()
        })
        .expect("extracted");
        distributed(&plan, job, many);
        prop_assert_eq!(audit(one), audit(many));
        for name in [format!("evidence_{STAMP}.json"), format!("windows_{STAMP}.csv")] {
            prop_assert_eq!(text(one, &name), text(many, &name), "{}", name);
        }
        for table in TABLES {
            let whole = rows([one.join(format!("{table}_{STAMP}.parquet"))]);
            prop_assert!(!whole.is_empty() || plan.steady_only, "{}", table);
            prop_assert_eq!(whole, rows(parts(&many.join(table))), "{}", table);
        }
    }
}
