//! Which label a thing gets. Pure: no file is touched here.
//!
//! [`trace_start`] finds out when each trace began, [`label`] says what the timeline has at that
//! time.

pub(crate) mod label;
pub(crate) mod trace_start;
