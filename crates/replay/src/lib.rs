//! Sends stored telemetry again: the export requests of a run, in the order and at the distances in
//! which they can have been sent, so that a detector behind a Collector or in a backend sees the run
//! once more.
//!
//! [`Stored`] goes through the files once and knows then when each request can have been sent.
//! [`Ordered`] reads them a second time and hands them on in that order, with as little held back as
//! the order of the files allows. [`Pace`] says when each is due. [`replay`] waits, sends and counts.

#![warn(clippy::print_stderr, clippy::print_stdout)]

mod order;
mod pace;
mod send;
mod stored;

pub use order::Ordered;
pub use pace::{Pace, Speed};
pub use send::{Progress, ReplayReport, SignalReport, replay};
pub use stored::{Batch, ReplayError, Stored, Unreadable};
