//! Appends events to `timeline.jsonl`.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::event::Event;

/// An open timeline. Every line is in the file when [`append`](Self::append) returns.
#[derive(Debug)]
pub struct TimelineWriter {
    file: File,
    line: Vec<u8>,
}

impl TimelineWriter {
    /// Creates the file; one that exists already is an error, so that no ground truth is lost.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().append(true).create_new(true).open(path)?;
        Ok(Self {
            file,
            line: Vec::with_capacity(512),
        })
    }

    /// Writes one line with a single system call, and syncs it to the disk where losing it would
    /// move a label: at everything but heartbeats.
    pub fn append(&mut self, event: &Event) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, event)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)?;
        if !matches!(event, Event::Heartbeat(_)) {
            self.file.sync_data()?;
        }
        Ok(())
    }
}
