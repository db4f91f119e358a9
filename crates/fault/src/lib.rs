//! Fault drivers: what really injects a fault into a target and takes it away again.
//!
//! A plan names a fault, a service and an intensity, and a driver with its parameters; the driver
//! turns that into a change of the real system and returns only when it has seen it in force. That
//! confirmation is what the timeline records. Each fault has an owner, the run that injected it,
//! and a driver changes nothing that is somebody else's.
//!
//! Before a driver changes anything, what is needed to undo it stands in the run's [`journal`], so
//! that a fault never outlives a crash for long.

mod driver;
mod drivers;
mod error;
mod http;
pub mod journal;
mod journaled;
mod undo;

pub use driver::{ActiveFault, CHANGE_LIMIT, Cleared, Confirmation, FaultDriver, Injection};
#[cfg(feature = "chaos-mesh")]
pub use drivers::chaos_mesh::ChaosMeshDriver;
pub use drivers::exec::ExecDriver;
pub use drivers::flagd::{FlagReader, FlagdDriver};
pub use drivers::host::HostDriver;
pub use drivers::proxy::ProxyDriver;
pub use drivers::shop::ShopDriver;
pub use drivers::{Drivers, Made, catalogues, make, settings};
pub use error::FaultError;
pub use journal::Settings;
pub use journaled::JournaledDriver;
pub use undo::{Undoing, Undone};
