//! What an engine tells the world. Everything that a run leaves behind is made from these events
//! by consumers that don't know each other.

use std::io;

use loadgen_timeline::{Event, RequestRecord};

/// Something that happened in a run.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "a few lines a second, and patterns do not go through a box"
)]
pub enum EngineEvent {
    /// A process beside this one sends the load: its id.
    Generator(u32),
    /// A line for the timeline.
    Timeline(Event),
    /// Requests that ended since the last such event of the same worker, in order of their end.
    Requests(Vec<RequestRecord>),
}

/// Something that makes use of events: a file, a display, an exporter.
///
/// All consumers are called one after the other on one thread that the engine's workers never
/// wait for, so a consumer may block for a moment, but not for long.
pub trait Consumer: Send {
    /// What it makes, for error messages: a file's name or the like.
    fn name(&self) -> &str;

    /// Takes an event. An error ends the run, in good order.
    fn take(&mut self, event: &EngineEvent) -> io::Result<()>;

    /// Called once after the last event, also when the run failed.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
