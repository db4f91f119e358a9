//! From what is typed to files: folders, patterns, and rotated backups in their order.

use std::io;
use std::path::{Path, PathBuf};

use super::looks_like_telemetry;

/// The files that a path stands for, in the order in which they were written.
///
/// A folder stands for the files in it that look like telemetry by their first bytes; a pattern (`*`, `?`,
/// `[…]`) that is no file itself for what it matches; `-` for standard input; a file for itself.
///
/// # Errors
/// When a folder can't be read or has no telemetry, or a pattern matches nothing. Whether a file that
/// is named is there shows when it is opened.
pub fn expand(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.as_os_str() == "-" {
        return Ok(vec![PathBuf::from("/dev/stdin")]);
    }
    if path.is_dir() {
        let mut files = Vec::new();
        for entry in path.read_dir()? {
            let file = entry?.path();
            if file.is_file() && is_telemetry(&file) {
                files.push(file);
            }
        }
        if files.is_empty() {
            let message = "no file in this folder looks like telemetry: OTLP as JSON or protobuf, plain or compressed, or Jaeger's JSON";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        sort(&mut files);
        return Ok(files);
    }
    let pattern = path.to_string_lossy();
    if !path.exists() && pattern.contains(['*', '?', '[']) {
        let matches = glob::glob(&pattern)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut files: Vec<PathBuf> = matches.flatten().filter(|p| p.is_file()).collect();
        if files.is_empty() {
            let message = "no file matches this pattern";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        sort(&mut files);
        return Ok(files);
    }
    Ok(vec![path.to_path_buf()])
}

/// The files of a folder that [`expand`] leaves out because their first bytes are not those of
/// telemetry, without what this program itself leaves beside telemetry, and without hidden ones.
///
/// # Errors
/// When the folder can't be read.
pub fn passed_over(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let file = entry?.path();
        if file.is_file() && !is_own(&file) && !is_telemetry(&file) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn is_telemetry(path: &Path) -> bool {
    // A file that can't be opened is told when it is read.
    !is_own(path) && looks_like_telemetry(path).unwrap_or(true)
}

/// Whether it is hidden, or what this program leaves beside telemetry.
fn is_own(path: &Path) -> bool {
    const OTHERS: [&str; 4] = [
        "timeline.jsonl",
        "summary.json",
        "plan.json",
        "scenario.yaml",
    ];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_report = ["audit_", "evidence_"]
        .iter()
        .any(|report| name.starts_with(report));
    OTHERS.contains(&&*name) || is_report && name.ends_with(".json") || name.starts_with('.')
}

/// Rotated backups come before the file that they were, in the order of their time stamps.
fn sort(files: &mut [PathBuf]) {
    files.sort_by_cached_key(|path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match backup(&name) {
            // `0` before `1`: backups before the current file.
            Some((base, stamp)) => (path.parent().map(Path::to_path_buf), base, 0, stamp),
            None => {
                let stem = name.split_once('.').map_or(name.as_str(), |(stem, _)| stem);
                (
                    path.parent().map(Path::to_path_buf),
                    stem.to_owned(),
                    1,
                    name,
                )
            }
        }
    });
}

/// The name without the time stamp, and the time stamp, of a rotated backup:
/// `traces-2026-01-09T12-00-00.123.jsonl` as lumberjack names it, or with `-size`, `-time` or
/// `-manual` after the time as timberjack does.
pub fn backup(name: &str) -> Option<(String, String)> {
    const STAMP: &[u8] = b"-dddd-dd-ddTdd-dd-dd.ddd";
    let bytes = name.as_bytes();
    let at = (0..bytes.len().checked_sub(STAMP.len())? + 1)
        .rev()
        .find(|&at| {
            let window = &bytes[at..at + STAMP.len()];
            window.iter().zip(STAMP).all(|(b, form)| match form {
                b'd' => b.is_ascii_digit(),
                form => b == form,
            })
        })?;
    let stamp = name.get(at + 1..at + STAMP.len())?.to_owned();
    Some((name.get(..at)?.to_owned(), stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_of_both_libraries_come_in_order_before_the_current_file() {
        let expected = [
            "metrics.jsonl",
            "traces-2026-01-09T11-59-59.999.jsonl",
            "traces-2026-01-09T12-00-00.123-size.jsonl",
            "traces-2026-01-09T12-00-01.000-time.jsonl.zst",
            "traces.jsonl",
        ];
        let mut files: Vec<PathBuf> = expected.iter().rev().map(PathBuf::from).collect();
        sort(&mut files);
        assert_eq!(files, expected.map(PathBuf::from));
    }

    #[test]
    fn a_folder_stands_for_its_telemetry_and_a_pattern_for_its_matches() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [
            "traces.jsonl",
            "timeline.jsonl",
            "notes.txt",
            "metrics.json.gz",
        ] {
            let content = if name == "notes.txt" {
                "words"
            } else {
                "{\"resourceSpans\":[]}"
            };
            std::fs::write(folder.path().join(name), content).expect("written");
        }
        let names = |path: &Path| -> Vec<String> {
            let files = expand(path).expect("files");
            files
                .iter()
                .map(|f| {
                    f.file_name()
                        .expect("a name")
                        .to_string_lossy()
                        .into_owned()
                })
                .collect()
        };
        assert_eq!(names(folder.path()), ["metrics.json.gz", "traces.jsonl"]);
        assert_eq!(
            names(&folder.path().join("t*.jsonl")),
            ["timeline.jsonl", "traces.jsonl"]
        );
        assert!(expand(&folder.path().join("x*")).is_err());
    }
}
