//! Which label a thing gets. Pure: no file is touched here.
//!
//! [`label`] has the labels and says which one a time or a header stands for, [`trace`] puts spans
//! together to traces, [`phase`] and [`recovery`] say how settled things were, [`interval`] which
//! time a data point speaks of, and [`skew`] how far clocks are apart.

pub(crate) mod interval;
pub(crate) mod label;
pub(crate) mod phase;
pub(crate) mod recovery;
pub(crate) mod skew;
pub(crate) mod trace;
