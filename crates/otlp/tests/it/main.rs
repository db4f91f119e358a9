//! The crate as its users see it: any message in any spelling, and files of any form.

mod bounds;
mod collect;
mod damage;
mod forms;
mod fuzzed;
mod jaeger;
mod kit;
mod messages;
mod misplaced;
mod odd;
mod requests;
mod same;
mod spelling;
mod unread;
