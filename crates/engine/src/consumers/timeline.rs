//! `timeline.jsonl`.

use std::io;
use std::path::Path;

use loadgen_timeline::TimelineWriter;

use crate::event::{Consumer, EngineEvent};

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

    fn take(&mut self, event: &EngineEvent) -> io::Result<()> {
        match event {
            EngineEvent::Timeline(line) => self.0.append(line),
            EngineEvent::Requests(_) | EngineEvent::Generator(_) => Ok(()),
        }
    }
}
