//! What the engine's events become. Each consumer stands alone.

mod client_spans;
mod ledger;
mod summary;
mod timeline;
mod times;
mod usage;

pub use client_spans::{ClientSpanReport, ClientSpans, OtlpTarget};
pub use ledger::LedgerFile;
pub use summary::SummaryFile;
pub use timeline::TimelineFile;
