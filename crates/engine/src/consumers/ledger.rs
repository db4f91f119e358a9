//! `ledger.arrows`.

use std::io;
use std::path::Path;

use loadgen_scenario::Plan;
use loadgen_timeline::ledger::LedgerWriter;

use crate::event::{Consumer, EngineEvent};

/// Writes each hand-over of a worker as one batch, so a kill loses no more than one hand-over.
#[derive(Debug)]
pub struct LedgerFile(LedgerWriter);

impl LedgerFile {
    /// Creates the file; one that exists already is an error.
    pub fn create(path: &Path, plan: &Plan, run_id: &str) -> io::Result<Self> {
        LedgerWriter::create(path, plan, run_id).map(Self)
    }
}

impl Consumer for LedgerFile {
    fn name(&self) -> &str {
        "ledger.arrows"
    }

    fn take(&mut self, event: &EngineEvent) -> io::Result<()> {
        match event {
            EngineEvent::Requests(records) => self.0.append(records),
            EngineEvent::Timeline(_) | EngineEvent::Generator(_) => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.finish()
    }
}
