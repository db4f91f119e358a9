//! Parses files of traces, a message a line, into types that borrow: the least that a reader of every
//! attribute has to do. `.ci/extraction_speed.py` compares the extractor with it.
//!
//! `cargo run --release -p loadgen-otlp --example typed_parse -- FILE…`

#[path = "../benches/typed/mod.rs"]
mod typed;

use std::fs::File;
use std::io::{BufRead, BufReader};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut spans = 0;
    let mut line = Vec::new();
    for path in std::env::args().skip(1) {
        let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
        loop {
            line.clear();
            if file.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            spans += typed::parse(&line);
        }
    }
    println!("{spans} spans");
    Ok(())
}
