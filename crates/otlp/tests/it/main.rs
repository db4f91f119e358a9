//! The crate as its users see it: any message in any spelling, and files of any form.

mod bounds;
mod collect;
mod files;
mod jaeger;
mod messages;
mod same;
mod spelling;
