//! The dataset: tables from one definition each, written as CSV and Parquet, and put in place when
//! all of them are whole.

pub(crate) mod buckets;
pub(crate) mod classes;
mod csv_row;
pub(crate) mod dictionary;
pub(crate) mod file_name;
pub(crate) mod files;
pub(crate) mod graph;
pub(crate) mod logs;
pub(crate) mod points;
pub(crate) mod rows;
pub(crate) mod said;
pub(crate) mod spans;
pub(crate) mod staging;
pub(crate) mod table;
pub(crate) mod texts;
mod timestamp;
pub(crate) mod trace_features;
pub(crate) mod traces;
pub(crate) mod unusual;
pub(crate) mod wide;
pub(crate) mod windows;

#[cfg(test)]
mod docs_tests;
