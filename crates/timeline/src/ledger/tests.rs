//! What is written is read, and what is damaged is never taken for what was written.

use std::io::Cursor;
use std::path::Path;

use super::*;
use crate::record::{Failure, RequestRecord};
use loadgen_scenario::plan::Plan;
use loadgen_scenario::plan::{Anomaly, Executor, Expect, Flow, PlannedScenario, Step, Target};
use loadgen_scenario::plan::{PLAN_SCHEMA_VERSION, Part, Template, WeightedFlow};

fn plan() -> Plan {
    let step = |name: &str| Step {
        name: name.into(),
        method: "GET".into(),
        path: Template(vec![Part::Text("/".into())]),
        headers: vec![],
        baggage: vec![],
        json: None,
        expect: Expect {
            status: vec![(200, 399)],
            content_type: None,
        },
        think_time: None,
        timeout_ns: 1,
        probability: None,
        rounds: Vec::new(),
        draws: vec![],
        captures: vec![],
    };
    let flow = |name: &str, steps: &[&str]| Flow {
        name: name.into(),
        variables: vec![],
        steps: steps.iter().map(|s| step(s)).collect(),
        wait_time: None,
    };
    Plan {
        schema_version: PLAN_SCHEMA_VERSION,
        name: "p".into(),
        scenario_file: "p.yaml".into(),
        scenario_sha256: String::new(),
        seed: 1,
        time_scale: 1.0,
        target: Target::Embedded,
        redirect_hosts: vec![],
        renew_connections: false,
        client_cells: false,
        drivers: Default::default(),
        observed: vec![],
        flags: vec![],
        flows: vec![
            flow("browse", &["home", "list", "home"]),
            flow("buy", &["cart", "list"]),
        ],
        scenarios: vec![PlannedScenario {
            name: "baseline".into(),
            executor: Executor::ConstantVus {
                vus: 1,
                duration_ns: 1,
            },
            start_ns: 0,
            end_ns: 1,
            graceful_stop_ns: 0,
            guard_ns: 0,
            exec: vec![WeightedFlow { flow: 0, weight: 1 }],
            anomaly: Anomaly {
                kind: "none".into(),
                label: "normal".into(),
                symptom: None,
                root_cause: "none".into(),
                msg: String::new(),
                root_cause_service: None,
            },
            declared: None,
            fault: None,
            warm_up: false,
            tags: Default::default(),
            env: Default::default(),
        }],
    }
}

fn record(iteration: u64, flow: u16, step: u16, failure: Option<Failure>) -> RequestRecord {
    RequestRecord {
        trace_id: [0xab; 16],
        span_id: [1; 8],
        scenario: 0,
        flow,
        step,
        iteration,
        intended_ns: 1,
        sent_ns: 2,
        finished_ns: 3,
        status: failure.is_none().then_some(200),
        failure,
        path: "/x".into(),
    }
}

const RUN: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";

/// A row without borrows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row(String);

fn rows(batch: &LedgerBatch) -> Vec<Row> {
    batch
        .rows()
        .map(|row| {
            Row(format!(
                "{:?}",
                RequestRow {
                    scenario_index: 0,
                    ..row
                }
            ))
        })
        .collect()
}

/// Writes a ledger of batches of so many requests each.
fn written(batches: &[u64], finish: bool) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.arrows");
    let mut ledger = LedgerWriter::create(&path, &plan(), RUN).unwrap();
    for (number, size) in batches.iter().enumerate() {
        let records: Vec<_> = (0..*size)
            .map(|n| {
                let failure = (n % 3 == 2).then_some(Failure::Timeout);
                record(
                    number as u64 * 100 + n,
                    (n % 2) as u16,
                    (n % 2) as u16,
                    failure,
                )
            })
            .collect();
        ledger.append(&records).unwrap();
    }
    if finish {
        ledger.finish().unwrap();
    }
    std::fs::read(&path).unwrap()
}

/// The rows of each batch that comes out, and the report.
fn read(bytes: &[u8], run_id: Option<&str>) -> Result<(Vec<Vec<Row>>, LedgerReport), LedgerError> {
    let mut reader = LedgerReader::new(Cursor::new(bytes), run_id, Path::new("l"))?;
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch().unwrap() {
        batches.push(rows(&batch));
    }
    Ok((batches, reader.report().clone()))
}

#[test]
fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.arrows");
    let mut ledger = LedgerWriter::create(&path, &plan(), RUN).unwrap();
    ledger.append(&[record(0, 0, 1, None)]).unwrap();
    let timeout = record(1, 1, 0, Some(Failure::Timeout));
    ledger.append(&[timeout]).unwrap();
    ledger.append(&[]).unwrap();
    ledger
        .append(&[record(2, 1, 1, Some(Failure::Request))])
        .unwrap();
    ledger.finish().unwrap();
    let read = read_ledger(&path, None).unwrap();
    let all: Vec<RequestRow<'_>> = read.rows().collect();
    let expected = RequestRow {
        trace_id: [0xab; 16],
        span_id: [1; 8],
        scenario: "baseline",
        scenario_index: 0,
        iteration: 0,
        flow: "browse",
        step: "list",
        step_index: 1,
        intended_ns: 1,
        sent_ns: 2,
        finished_ns: 3,
        status: Some(200),
        failure: None,
        path: "/x",
    };
    assert_eq!(all[0], expected);
    let second = (all[1].flow, all[1].step, all[1].status, all[1].failure);
    assert_eq!(second, ("buy", "cart", None, Some("timeout")));
    assert_eq!(
        all.iter().map(RequestRow::was_sent).collect::<Vec<_>>(),
        [true, true, false]
    );
    let report = read.report;
    assert_eq!((report.schema_version, report.torn), (2, false));
    assert_eq!(report.run_id.as_deref(), Some(RUN));
    assert_eq!((report.batches, report.rows), (3, 3));
    assert!(report.damage.is_none());
    let expected = ScenarioRecords {
        records: 3,
        unsent: 1,
        first_sent_ns: 2,
        last_sent_ns: 2,
    };
    assert_eq!(report.records["baseline"], expected);
}

#[test]
fn a_ledger_of_another_run_is_told_by_name() {
    let bytes = written(&[2, 2], true);
    let (batches, report) = read(&bytes, Some(OTHER)).unwrap();
    assert_eq!(batches.len(), 2);
    assert!(report.damage.is_none());
    assert_eq!(report.run_id.as_deref(), Some(RUN));
}

#[test]
fn a_ledger_cut_anywhere_gives_its_whole_batches() {
    let ends: Vec<usize> = (0..4)
        .map(|n| written(&[3, 1, 2][..n], false).len())
        .collect();
    let bytes = written(&[3, 1, 2], false);
    let whole = read(&bytes, None).unwrap().0;
    for cut in (ends[0]..bytes.len()).step_by(7).chain(ends.clone()) {
        let (batches, report) = read(&bytes[..cut], None).unwrap();
        let expected = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!(batches, whole[..expected], "cut at {cut}");
        assert!(report.torn && report.damage.is_none(), "{cut}: {report:?}");
    }
    assert!(matches!(read(&[], None), Err(LedgerError::Empty { .. })));
    for cut in 1..ends[0] {
        assert!(read(&bytes[..cut], None).is_err(), "cut at {cut}");
    }
}

/// That what came out of damaged bytes is what was written, or less, and that it is told.
fn assert_told(bytes: &[u8], whole: &[Vec<Row>], run_id: Option<&str>, at: usize) -> usize {
    let Ok((batches, report)) = read(bytes, run_id) else {
        return 0;
    };
    let mut rest = whole.iter();
    let is_part = batches.iter().all(|batch| rest.any(|known| known == batch));
    assert!(is_part, "byte {at}: {batches:?}");
    let is_told = !report.damage.is_none() || report.torn;
    assert!(batches == whole || is_told, "byte {at}: {report:?}");
    let is_estimated = batches.len() == whole.len() || report.lost_rows() > 0;
    assert!(is_estimated, "byte {at}: {report:?}");
    batches.len()
}

/// Does work for each of so many places, on all cores.
fn for_each(places: usize, work: impl Fn(usize) + Sync) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for core in 0..cores {
            let work = &work;
            scope.spawn(move || (core..places).step_by(cores).for_each(work));
        }
    });
}

#[test]
fn no_single_bit_makes_a_wrong_ledger_or_costs_more_than_its_batch() {
    let bytes = written(&[1, 2], true);
    let whole = read(&bytes, None).unwrap().0;
    for_each(bytes.len() * 8, |bit| {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let left = assert_told(&damaged, &whole, Some(RUN), bit / 8);
        assert!(
            left >= whole.len() - 1,
            "bit {bit}: {left} batches are left"
        );
        if bit % 8 == bit / 8 % 8 {
            assert_told(&damaged, &whole, None, bit / 8);
        }
    });
}

#[test]
fn no_64_bytes_make_a_wrong_ledger_or_cost_more_than_their_batches() {
    let bytes = written(&[1, 2, 1], true);
    let whole = read(&bytes, None).unwrap().0;
    for_each((bytes.len() - 64) / 3, |place| {
        let at = place * 3;
        let fillings: [&dyn Fn(usize) -> u8; 3] = [&|_| 0, &|_| 0xff, &|index| {
            (index as u8).wrapping_mul(37).wrapping_add(at as u8)
        }];
        for filling in fillings {
            let mut damaged = bytes.clone();
            (0..64).for_each(|index| damaged[at + index] = filling(index));
            let left = assert_told(&damaged, &whole, Some(RUN), at);
            assert!(
                left + 2 >= whole.len(),
                "byte {at}: {left} batches are left"
            );
        }
    });
}

#[test]
fn a_batch_that_is_moved_or_doubled_or_taken_out_is_told() {
    let ends: Vec<usize> = (0..5).map(|n| written(&[1; 4][..n], false).len()).collect();
    let bytes = written(&[1; 4], true);
    let whole = read(&bytes, None).unwrap().0;
    let batch = |n: usize| &bytes[ends[n]..ends[n + 1]];
    let end = &bytes[ends[4]..];
    let orders: [&[usize]; 4] = [&[0, 2, 1, 3], &[0, 1, 1, 2, 3], &[0, 1, 3], &[1, 2, 3]];
    for order in orders {
        let mut made = bytes[..ends[0]].to_vec();
        order.iter().for_each(|n| made.extend_from_slice(batch(*n)));
        made.extend_from_slice(end);
        let (batches, report) = read(&made, None).unwrap();
        let mut rest = whole.iter();
        assert!(batches.iter().all(|batch| rest.any(|known| known == batch)));
        assert!(!report.damage.is_none(), "{order:?}: {report:?}");
    }
}

/// What loadgen wrote before there were checksums.
fn of_version_1(batches: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let newer = written(batches, true);
    let reader = arrow_ipc::reader::StreamReader::try_new(Cursor::new(newer), None).unwrap();
    let columns: Vec<usize> = (0..13).collect();
    let schema = std::sync::Arc::new(reader.schema().project(&columns).unwrap());
    let schema = std::sync::Arc::new(arrow_schema::Schema::new(schema.fields().clone()));
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(&mut bytes, &schema).unwrap();
    for batch in reader {
        let columns = batch.unwrap().columns()[..13].to_vec();
        let batch = arrow_array::RecordBatch::try_new(schema.clone(), columns).unwrap();
        writer.write(&batch).unwrap();
    }
    writer.finish().unwrap();
    drop(writer);
    bytes
}

#[test]
fn a_ledger_of_version_1_is_read_and_proves_nothing() {
    let bytes = of_version_1(&[2, 1]);
    let (batches, report) = read(&bytes, Some(RUN)).unwrap();
    assert_eq!(batches, read(&written(&[2, 1], true), None).unwrap().0);
    assert_eq!((report.schema_version, report.is_proven()), (1, false));
    assert_eq!(report.run_id, None);
    assert!(report.damage.is_none() && !report.torn);
    // Whatever is damaged in it, nothing panics.
    for_each(bytes.len() * 2, |place| {
        let bit = place * 3 + place % 3;
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let _ = read(&damaged, Some(RUN));
    });
}

#[test]
fn a_ledger_of_a_newer_version_and_other_files_are_refused() {
    let bytes = written(&[1], true);
    let mut newer = bytes.clone();
    let at = |needle: &[u8]| {
        bytes
            .windows(needle.len())
            .position(|w| w == needle)
            .unwrap()
    };
    // Columns that this version does not know.
    newer[at(b"batch_checksum")] = b'B';
    let digit = at(&[1, 0, 0, 0, b'2', 0]) + 4;
    newer[digit] = b'7';
    // Its batches are still true, so that it is the head that is damaged.
    assert!(read(&newer, Some(RUN)).unwrap().1.damage.head);
    let checksum = read(&bytes, None).unwrap().1.rows;
    assert_eq!(checksum, 1);
    let head = written(&[], true);
    let mut newer = head.clone();
    newer[digit] = b'7';
    let error = read(&newer, None).unwrap_err();
    assert!(matches!(error, LedgerError::NewerSchema { found: 7, .. }));
    for other in [&b"timestamp,duration_ms\n"[..], &[0xff; 64], &[0; 100]] {
        let error = read(other, Some(RUN)).unwrap_err().to_string();
        assert!(error.contains("is not a ledger"), "{error}");
    }
}
