//! From a file to a plan: reading, parsing, checking.

use std::io::Read;
use std::path::Path;

use crate::diagnostic::{Finding, ScenarioErrors, ScenarioNotes, Span};
use crate::file::ScenarioFile;
use crate::options::PlanOptions;
use crate::plan::Plan;
use crate::resolve;
use crate::steady;
use crate::yaml;

/// The largest scenario file, 1 MiB.
const MAX_FILE_BYTES: usize = 1 << 20;

/// The plan of a scenario file, and what is worth knowing of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The plan.
    pub plan: Plan,
    /// Notes for whoever wrote the file or runs it.
    pub notes: ScenarioNotes,
}

/// Reads a scenario file, of at most 1 MiB, and makes its plan.
///
/// # Errors
/// Everything that is wrong with the file or the options: where the file is not of the right
/// shape the first such place, otherwise all findings.
pub fn load(path: impl AsRef<Path>, options: &PlanOptions) -> Result<Loaded, ScenarioErrors> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let bytes = read(path).map_err(|finding| ScenarioErrors::whole(&name, finding))?;
    load_bytes(&name, &bytes, options)
}

/// Makes the plan of a scenario file's text; `name` is the file's for messages and the plan.
///
/// # Errors
/// As [`load()`].
pub fn load_str(name: &str, text: &str, options: &PlanOptions) -> Result<Loaded, ScenarioErrors> {
    load_bytes(name, text.as_bytes(), options)
}

/// The plan of a scenario file's text, for those whom notes are of no use to.
///
/// # Errors
/// As [`load()`].
pub fn plan_str(name: &str, text: &str, options: &PlanOptions) -> Result<Plan, ScenarioErrors> {
    load_str(name, text, options).map(|loaded| loaded.plan)
}

fn load_bytes(name: &str, bytes: &[u8], options: &PlanOptions) -> Result<Loaded, ScenarioErrors> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => without_mark(text),
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = valid.matches('\n').count() + 1;
            let column = valid
                .rsplit('\n')
                .next()
                .unwrap_or_default()
                .chars()
                .count()
                + 1;
            let finding = Finding::at(
                Span {
                    line,
                    column,
                    length: 1,
                },
                "not UTF-8",
            )
            .help("save the file in UTF-8");
            let text = String::from_utf8_lossy(bytes);
            return Err(ScenarioErrors::new(name, &text, vec![finding]));
        }
    };
    let made = yaml::parse(text)
        .map_err(|finding| vec![finding])
        .and_then(|root| {
            let file: ScenarioFile = yaml::typed(text, &root).map_err(|finding| vec![finding])?;
            resolve::plan(&file, &root, &resolve::Source { name, bytes }, options)
        });
    match made {
        Ok((plan, mut notes)) => {
            notes.extend(steady::note(&plan));
            let notes = ScenarioNotes::new(name, text, notes);
            Ok(Loaded { plan, notes })
        }
        Err(findings) => Err(ScenarioErrors::new(name, text, findings)),
    }
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn read(path: &Path) -> Result<Vec<u8>, Finding> {
    let unreadable = |error: std::io::Error| {
        Finding::whole(format!("cannot read the scenario file: {error}"))
            .help("give the path of a YAML file, such as scenarios/default.yaml")
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > MAX_FILE_BYTES {
        let limit = MAX_FILE_BYTES >> 20;
        return Err(
            Finding::whole(format!("the scenario file is larger than {limit} MiB"))
                .help("is it a scenario file?"),
        );
    }
    Ok(bytes)
}
