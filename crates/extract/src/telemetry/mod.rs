//! Reads OTLP/JSON as a Collector's file exporter writes it: typed, borrowed from the line, in
//! bounded memory.
//!
//! [`input`] cuts files into blocks of whole lines, [`pipeline`] hands the blocks to as many
//! threads as there are cores and takes the results back in the order of the input; [`trace`],
//! [`metric`] and [`log`] say what a line holds.

pub(crate) mod attribute;
pub(crate) mod evidence;
pub(crate) mod forms;
pub(crate) mod http;
pub(crate) mod input;
pub(crate) mod line;
pub(crate) mod log;
pub(crate) mod metric;
pub(crate) mod pipeline;
pub(crate) mod resource;
pub(crate) mod scalar;
pub(crate) mod trace;
