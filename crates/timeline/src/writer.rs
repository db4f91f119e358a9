//! Appends events to `timeline.jsonl`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::event::Event;

/// An open timeline. Every line is in the file when [`append`](Self::append) returns.
#[derive(Debug)]
pub struct TimelineWriter {
    file: File,
    line: Vec<u8>,
    /// Of all bytes in the file.
    sha256: Sha256,
}

impl TimelineWriter {
    /// Creates the file; one that exists already is an error, so that no ground truth is lost.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut options = loadgen_files::options();
        let file = options.append(true).create_new(true).open(path)?;
        Ok(Self {
            file,
            line: Vec::with_capacity(512),
            sha256: Sha256::new(),
        })
    }

    /// Opens a timeline whose writer is gone, to write its end. A line that was being written when
    /// that happened is closed first: readers skip it.
    pub fn resume(path: &Path) -> io::Result<Self> {
        let mut file = File::options().append(true).read(true).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if bytes.last().is_some_and(|last| *last != b'\n') {
            file.write_all(b"\n")?;
            bytes.push(b'\n');
        }
        Ok(Self {
            file,
            line: Vec::with_capacity(512),
            sha256: Sha256::new_with_prefix(&bytes),
        })
    }

    /// Writes one line with a single system call, and syncs it to the disk where losing it would
    /// move a label: at everything but heartbeats. At the end of the run the checksum of the lines
    /// before it is filled in.
    pub fn append(&mut self, event: &Event) -> io::Result<()> {
        self.line.clear();
        if let Event::RunFinished(finished) = event {
            let mut finished = finished.clone();
            finished.sha256 = Some(const_hex::encode(self.sha256.clone().finalize()));
            serde_json::to_writer(&mut self.line, &Event::RunFinished(finished))?;
        } else {
            serde_json::to_writer(&mut self.line, event)?;
        }
        self.line.push(b'\n');
        self.file.write_all(&self.line)?;
        self.sha256.update(&self.line);
        if !matches!(event, Event::Heartbeat(_)) {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Heartbeat, RunFinished, RunStatus};

    fn beat(at_ns: i64) -> Event {
        Event::Heartbeat(Heartbeat {
            at_ns,
            sent: 0,
            completed: 0,
            failed: 0,
            dropped: 0,
        })
    }

    #[test]
    fn an_end_can_be_written_after_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("timeline.jsonl");
        let mut writer = TimelineWriter::create(&path).unwrap();
        writer.append(&beat(5)).unwrap();
        drop(writer);
        for torn in ["", "{\"event\":\"heartb"] {
            let mut text = std::fs::read_to_string(&path).unwrap();
            text.push_str(torn);
            std::fs::write(&path, text).unwrap();
            let finished = RunFinished {
                at_ns: 9,
                status: RunStatus::Failed,
                sha256: None,
            };
            let mut writer = TimelineWriter::resume(&path).unwrap();
            writer
                .append(&Event::RunFinished(finished.clone()))
                .unwrap();
            let timeline = crate::read_timeline(&path).unwrap();
            let found = timeline.finished.unwrap();
            assert_eq!(
                (found.at_ns, found.status),
                (finished.at_ns, finished.status)
            );
            assert_eq!(timeline.skipped.len(), usize::from(!torn.is_empty()));
            // What was torn is part of what the checksum stands for.
            assert_eq!(timeline.integrity, crate::Integrity::Verified);
            std::fs::write(&path, "").unwrap();
        }
    }
}
