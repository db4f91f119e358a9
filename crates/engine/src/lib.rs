//! The load engine: sends what a plan says and reports what happened as events.
//!
//! [`run`] takes a [`Plan`](loadgen_scenario::Plan) and a list of [`Consumer`]s. Workers
//! ([`worker`]) send the requests, each on a thread and an event loop of its own; the conductor
//! ([`conductor`]) opens and closes windows, has faults injected and cleared, and sends a
//! heartbeat each second; a recorder thread feeds what both report to the consumers. Nobody on
//! that way knows what the events are used for: the timeline, the ledger, the summary, the client
//! spans ([`consumers`]) and the display of the program are all consumers.

mod conductor;
pub mod consumers;
pub mod event;
mod executor;
pub mod headers;
mod journey;
mod pacer;
mod shared;
mod worker;

pub use conductor::{EngineError, Interrupt, RunOptions, run};
pub use event::{Consumer, Event};
pub use pacer::Pacer;
