//! What a program says, kept for people.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::Stdio;

/// Lines that an error repeats.
const LAST: usize = 5;
/// Bytes at the end of a log in which they are looked for.
const END: u64 = 1 << 16;

/// A file for what a program says. The end of it goes into errors.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
}

impl Log {
    /// Makes the file, which only its owner can read; one that is there is emptied.
    ///
    /// # Errors
    /// It can't be made, or is a link; names the file.
    pub fn create(path: PathBuf) -> io::Result<Self> {
        match loadgen_files::create(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(e) => Err(io::Error::new(e.kind(), format!("{}: {e}", path.display()))),
        }
    }

    /// For a program's standard output or error. All that write share one position.
    ///
    /// # Errors
    /// The process has too many files open.
    pub fn stdio(&self) -> io::Result<Stdio> {
        self.file.try_clone().map(Stdio::from)
    }

    /// Adds a line.
    pub fn write(&mut self, line: &str) {
        // A log that can't be written must not end anything.
        let _ = writeln!(self.file, "{line}");
    }

    /// What happened to the program, where its log is, and its last words.
    pub fn explain(&self, what: impl Display) -> String {
        let mut text = format!("{what}; its log is {}", self.path.display());
        let lines = self.lines();
        for line in &lines[lines.len().saturating_sub(LAST)..] {
            text.push_str("\n  ");
            text.push_str(line);
        }
        text
    }

    /// The error that the program ended with, or else its last line, and where its log is.
    pub fn last_error(&self) -> String {
        let lines = self.lines();
        let error = lines.iter().rfind(|line| line.starts_with("error"));
        let words = error
            .or(lines.last())
            .map_or("it wrote nothing", |line| line.trim());
        format!("{words} (all of it is in {})", self.path.display())
    }

    /// Lines at the end that say something. Where in a program an error came up is for the log.
    fn lines(&self) -> Vec<String> {
        let text = self.end().unwrap_or_default();
        let lines = String::from_utf8_lossy(&text);
        let lines = lines.lines().filter(|line| {
            let line = line.trim_start();
            !line.is_empty() && !line.starts_with("at ")
        });
        lines.map(|line| line.trim_end().to_owned()).collect()
    }

    fn end(&self) -> io::Result<Vec<u8>> {
        // Opened anew: the position of the one that is open is where the next line goes.
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
        let mut text = Vec::new();
        file.take(END).read_to_end(&mut text)?;
        Ok(text)
    }
}
