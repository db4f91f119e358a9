//! Every malformed file in `tests/malformed` gives the message that stands beside it, word for
//! word. `INSTA_UPDATE=always cargo test -p loadgen-scenario malformed::` rewrites them.

use crate::catalogue;
use std::path::Path;

use loadgen_scenario::{PlanOptions, ScenarioErrors, load, plan_str};

fn files() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malformed");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files
}

/// The errors of a file, under its bare name so that messages are the same on every machine.
fn errors(path: &Path) -> ScenarioErrors {
    let options = PlanOptions {
        catalogues: vec![catalogue::shop()],
        ..PlanOptions::default()
    };
    let mut errors = load(path, &options).expect_err(&path.display().to_string());
    errors.file = path.file_name().unwrap().to_string_lossy().into_owned();
    errors
}

#[test]
fn messages_are_as_written_down() {
    let files = files();
    assert!(files.len() > 25);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../malformed");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for path in &files {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            insta::assert_snapshot!(name, errors(path).to_string());
        }
    });
}

#[test]
fn all_but_empty_files_say_where() {
    for path in files() {
        let errors = errors(&path);
        assert!(!errors.errors.is_empty());
        let empty = path.ends_with("empty.yaml") || path.ends_with("only_comments.yaml");
        for error in &errors.errors {
            assert_eq!(
                error.place.is_none(),
                empty,
                "{}: {}",
                path.display(),
                error.message
            );
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let errors = load("no/such/file.yaml", &PlanOptions::default()).unwrap_err();
    let text = errors.to_string();
    assert!(text.contains("cannot read the scenario file"), "{text}");
    assert!(text.contains("--> no/such/file.yaml"), "{text}");
}

#[test]
fn files_of_any_size_are_refused_early() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::copy(
        &mut std::io::Read::take(std::io::repeat(b' '), 2 << 20),
        &mut file,
    )
    .unwrap();
    let text = load(file.path(), &PlanOptions::default())
        .unwrap_err()
        .to_string();
    assert!(text.contains("larger than 1 MiB"), "{text}");
}

#[test]
fn options_of_the_run_are_checked_too() {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/quick.yaml"),
    )
    .unwrap();
    for (options, message) in [
        (
            PlanOptions {
                seed: Some(u64::MAX),
                ..Default::default()
            },
            "is too large",
        ),
        (
            PlanOptions {
                base_url: Some("shop".to_owned()),
                ..Default::default()
            },
            "not a base URL",
        ),
        (
            PlanOptions {
                time_scale: 0.0,
                ..Default::default()
            },
            "not a number above 0",
        ),
        (
            PlanOptions {
                time_scale: f64::NAN,
                ..Default::default()
            },
            "not a number above 0",
        ),
        (
            PlanOptions {
                time_scale: f64::INFINITY,
                ..Default::default()
            },
            "not a number above 0",
        ),
        (
            PlanOptions {
                time_scale: 1e-12,
                ..Default::default()
            },
            "leaves nothing",
        ),
        (
            PlanOptions {
                time_scale: 1e12,
                ..Default::default()
            },
            "more than 100 days",
        ),
    ] {
        let errors = plan_str("quick.yaml", &text, &options)
            .unwrap_err()
            .to_string();
        assert!(errors.contains(message), "{errors}");
    }
}
