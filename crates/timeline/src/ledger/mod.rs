//! The request ledger: one record a request, as an Arrow IPC *stream*.
//!
//! The stream form has no footer, so what is in the file is readable after a kill up to the last
//! whole batch; `pyarrow.ipc.open_stream("ledger.arrows").read_all()` reads it. Names of
//! scenarios, flows, steps and failures are dictionaries.
//!
//! Each batch states a checksum of what it holds (`checksum`), and the head names the run, so
//! that a reader ([`LedgerReader`]) knows what it can rely on: a batch that is damaged is left out
//! and told, and the rest goes on.

mod batch;
mod checksum;
mod decode;
mod messages;
mod reader;
mod report;
mod schema;
mod writer;

pub use batch::{LedgerBatch, RequestRow};
pub use reader::{Ledger, LedgerError, LedgerReader, read_ledger};
pub use report::{LedgerDamage, LedgerReport, ScenarioRecords};
pub use schema::LEDGER_SCHEMA_VERSION;
pub use writer::LedgerWriter;

#[cfg(test)]
mod tests;
