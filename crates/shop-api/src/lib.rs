//! What the demo shop's admin API speaks of: its services, the faults that it can have, and the
//! bodies of requests and answers.
//!
//! Both sides need it, the shop and the fault driver, and the driver must not need the shop.

mod clients;
mod fault;
mod messages;
mod service;

pub use clients::{CELL_KEY, CELLS, ClientCells};
pub use fault::{Intensity, ShopFault};
pub use messages::{ActiveFaults, ClearAnswer, HeldFault, InjectRequest, Renewed};
pub use service::Service;
