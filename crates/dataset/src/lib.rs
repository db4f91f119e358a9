//! Several runs as one dataset.
//!
//! The files are in the order in which the data goes:
//!
//! - `input` finds the newest whole dataset of each run, and what is known of the run;
//! - `episodes` cuts a run into episodes, `windows` says how each window counts, and [`verdict`]
//!   whether the dataset as a whole is usable (pure);
//! - `schema` makes one form of each table, `place` finds the episode of each row, and `tables` copies
//!   them batch by batch;
//! - `cases` writes the index, `columns` the dictionary of columns, `facts` what `card` and `croissant`
//!   tell of all of it;
//! - `out` is the folder while it is not whole.
//!
//! The same inputs give the same bytes, in whatever order they are named and wherever they lie: no
//! time of day and no path goes into a file. What is in the folder is told in
//! `docs/dataset-build.md`.

mod build;
mod card;
mod cases;
mod cells;
mod columns;
mod croissant;
mod episodes;
mod error;
mod facts;
mod input;
mod out;
mod place;
mod read;
mod requests;
mod schema;
mod splits;
mod tables;
pub mod verdict;
mod windows;

pub use build::{BuildOptions, BuildReport, ClassFacts, Finish, TableFacts, Unusable, build};
pub use error::BuildError;
pub use facts::About;
pub use input::RunSource;
pub use splits::{
    EMBARGO_S, FOLDS, SPLIT_SEED, SPLITS_VERSION, SplitBy, SplitLists, SplitOptions, Splits,
    splits_json_schema,
};
