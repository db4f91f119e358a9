//! The load engine: sends what a plan says and reports what happened as events.
//!
//! [`run`] takes a [`Plan`](loadgen_scenario::Plan) and a list of [`Consumer`]s. Workers (`worker`)
//! send the requests, each on a thread and an event loop of its own; the conductor (`conductor`)
//! opens and closes windows and sends a heartbeat each second; the injector (`injector`) has faults
//! injected and cleared; a recorder thread (`recorder`) feeds what they report to the consumers.
//! Nobody on that way knows what the events are used for: the timeline, the ledger, the summary,
//! the client spans ([`consumers`]) and the display of the program are all consumers.
//!
//! All of it asks the run's clock for the time, so that tests run it in simulated time
//! (`simulated`).

mod base_url;
mod client;
mod conductor;
pub mod consumers;
mod context;
mod cookies;
mod error;
pub mod event;
mod exchange;
mod executor;
mod flags;
pub mod headers;
mod injector;
mod journey;
pub mod k6;
mod pacer;
mod recorder;
mod request;
mod run;
mod shared;
#[cfg(test)]
mod simulated;
mod way;
mod windows;
mod worker;

pub use base_url::BaseUrl;
pub use cookies::Cookies;
pub use error::{EngineError, Interrupt};
pub use event::{Consumer, EngineEvent};
pub use exchange::{Answered, Outgoing, exchange};
pub use run::{RunOptions, Sender, run};
