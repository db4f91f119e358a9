//! Features as they are gathered live, against the table that the extraction writes of the same run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::program::{Place, scenario, text};
use loadgen_extract::live::{BUCKET_NS, LiveBuckets, Tail, columns};

/// The cells of each bucket and service, by the names of their columns.
type Cells = BTreeMap<(i64, String), BTreeMap<String, Option<f64>>>;

fn of_the_table(dataset: &Path) -> Cells {
    let entries = fs::read_dir(dataset).unwrap().map(|e| e.unwrap().path());
    let is_it = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("windows_features_5s_") && name.ends_with(".csv")
    };
    let path = entries.into_iter().find(is_it).unwrap();
    let mut reader = csv::Reader::from_path(path).unwrap();
    let headers = reader.headers().unwrap().clone();
    let known = columns();
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let named = |name: &str| &row[headers.iter().position(|of| of == name).unwrap()];
        let cell = |name: &&str| ((*name).to_owned(), named(name).parse().ok());
        let key = (
            named("start_time_ns").parse().unwrap(),
            named("service_name").to_owned(),
        );
        (key, known.iter().map(cell).collect())
    });
    rows.collect()
}

/// Reads a telemetry folder in so many looks: it grows from one to the next.
fn gathered(place: &Place, telemetry: &Path, from_ns: i64, looks: u64) -> Cells {
    let growing = place.path(&format!("growing-{looks}"));
    fs::create_dir(&growing).unwrap();
    let mut tail = Tail::new(vec![growing.clone()]);
    let mut buckets = LiveBuckets::new(Some(from_ns));
    let mut closed = Vec::new();
    for look in 1..=looks {
        for entry in fs::read_dir(telemetry).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            // Lines are cut anywhere.
            let length = bytes.len() as u64 * look / looks;
            let to = growing.join(path.file_name().unwrap());
            fs::write(to, &bytes[..length as usize]).unwrap();
        }
        tail.look(|unit| {
            assert_eq!(buckets.read(unit)?, []);
            Ok(())
        })
        .unwrap();
        // As late as anything of this run can be.
        let until_ns = buckets.latest_ns().unwrap() - 6 * BUCKET_NS;
        closed.extend(buckets.close(until_ns));
    }
    closed.extend(buckets.close(i64::MAX - BUCKET_NS));
    let mut cells = Cells::new();
    for bucket in closed {
        for (service, values) in bucket.services {
            let values = columns().into_iter().map(str::to_owned).zip(values);
            cells.insert((bucket.start_ns, service), values.collect());
        }
    }
    cells
}

#[test]
fn what_is_gathered_live_is_what_the_extraction_makes_of_the_whole_run() {
    let place = Place::new();
    let run = place.path("run");
    let mut command = place.command(["run", "--time-scale", "0.5", "--quiet"]);
    let command = command.arg(scenario("quick.yaml")).arg("--out").arg(&run);
    let out = command.output().unwrap();
    assert!(run.join("dataset").exists(), "{}", text(&out.stderr));
    let timeline = loadgen_timeline::read_timeline(&run.join("timeline.jsonl")).unwrap();
    let (from_ns, to_ns) = (timeline.run.unwrap().at_ns, timeline.last_ns.unwrap());
    // At both ends the extraction leaves out what is not the run's.
    let inside = |start: &i64| *start >= from_ns && start + BUCKET_NS <= to_ns;
    let mut expected = of_the_table(&run.join("dataset"));
    expected.retain(|(start, _), _| inside(start));
    assert!(expected.len() > 20, "{} rows", expected.len());
    for looks in [1, 7] {
        let mut found = gathered(&place, &run.join("telemetry"), from_ns, looks);
        found.retain(|(start, _), _| inside(start));
        for (key, cells) in &expected {
            let of = found
                .remove(key)
                .unwrap_or_else(|| panic!("{key:?} is missing"));
            for (name, expected) in cells {
                assert_eq!(&of[name], expected, "{key:?} {name}, {looks} looks");
            }
        }
        assert_eq!(found.keys().next(), None);
    }
}
