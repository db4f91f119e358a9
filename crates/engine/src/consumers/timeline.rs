//! `timeline.jsonl`.

use std::io;
use std::path::Path;

use loadgen_timeline::TimelineWriter;

use crate::event::{Consumer, Event};

/// Writes the timeline as it happens.
#[derive(Debug)]
pub struct TimelineFile(TimelineWriter);

impl TimelineFile {
    /// Creates the file; one that exists already is an error.
    pub fn create(path: &Path) -> io::Result<Self> {
        TimelineWriter::create(path).map(Self)
    }
}

impl Consumer for TimelineFile {
    fn name(&self) -> &str {
        "timeline.jsonl"
    }

    fn take(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Timeline(line) => self.0.append(line),
            Event::Requests(_) | Event::Generator(_) => Ok(()),
        }
    }
}
