//! Scores as rows: what `loadgen evaluate --scores` reads.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::detector::Scored;

/// A row.
#[derive(Debug, Serialize)]
struct Row<'a> {
    run_id: &'a str,
    start_time_ns: i64,
    score: f64,
    alert: u8,
    /// When it was said, Unix nanoseconds.
    said_ns: i64,
}

/// Where scores are written, each at once: as CSV into a file called `.csv`, as JSON lines anywhere
/// else.
pub struct ScoresFile {
    form: Form,
}

enum Form {
    Csv(Box<csv::Writer<File>>),
    Lines(Box<dyn Write + Send>),
}

impl std::fmt::Debug for ScoresFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScoresFile").finish_non_exhaustive()
    }
}

impl ScoresFile {
    /// A file that is begun anew.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::create(path)?;
        let is_csv = path.extension().is_some_and(|name| name == "csv");
        let form = match is_csv {
            true => Form::Csv(Box::new(csv::Writer::from_writer(file))),
            false => Form::Lines(Box::new(file)),
        };
        Ok(Self { form })
    }

    /// JSON lines to whatever it is.
    pub fn lines(to: impl Write + Send + 'static) -> Self {
        Self {
            form: Form::Lines(Box::new(to)),
        }
    }

    /// Writes a bucket's score, and when it was said.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&mut self, run_id: &str, of: &Scored, said_ns: i64) -> io::Result<()> {
        let row = Row {
            run_id,
            start_time_ns: of.start_time_ns,
            score: of.score,
            alert: of.alert.into(),
            said_ns,
        };
        match &mut self.form {
            Form::Csv(file) => {
                file.serialize(row).map_err(io::Error::other)?;
                file.flush()
            }
            Form::Lines(file) => {
                let mut line = serde_json::to_vec(&row)?;
                line.push(b'\n');
                file.write_all(&line)?;
                file.flush()
            }
        }
    }
}
