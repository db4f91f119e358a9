//! The first step: files of any form become records, dealt into portions.

use std::io::{self, Cursor, Read, Write};

use arrow_array::Int64Array;
use loadgen_otlp::source::Source;

use super::figures::{self, ScanFigures};
use super::frames::{Bytes, FrameWriter, column, for_each_batch};
use super::{StepError, portion};
use crate::lines::Lines;
use crate::scan::Scanned;
use crate::scan::pipeline::PipelineError;
use crate::stop::Stop;

/// Units of a file are numbered within so many bits, and files within the rest of 32.
const UNIT_BITS: u32 = 14;

/// Reads files and deals what is in them into `portions`.
///
/// The columns of the input are `file`, the number of a file among all of the job's; `unit`, 0 or,
/// where a file comes in several pieces, a number that grows by 64 or more from piece to piece; and
/// `content`, the file or a piece of it that ends with a message. A piece has 32 MiB or less.
///
/// # Errors
///
/// [`StepError`]: the input is no such stream, or the output can't be written.
pub fn decode(input: impl Read, output: impl Write, portions: usize) -> Result<(), StepError> {
    let folder = tempfile::tempdir()?;
    let mut scanned = Scanned::with_partitions(folder.path(), portions.max(1))?;
    let mut files: Vec<(u64, Lines)> = Vec::new();
    for_each_batch(input, |batch| {
        let numbers: &Int64Array = column(batch, "file")?;
        let units: &Int64Array = column(batch, "unit")?;
        let contents = Bytes::of(batch, "content")?;
        for row in 0..batch.num_rows() {
            let file = numbers.value(row);
            scanned.first_unit = first_unit(file, units.value(row))?;
            let lines = read(&mut scanned, contents.value(row).to_vec())?;
            match files.last_mut() {
                Some((last, of)) if *last == file as u64 => of.merge(lines, &[0]),
                _ => files.push((file as u64, lines)),
            }
        }
        Ok(())
    })?;
    let mut out = FrameWriter::new(output)?;
    portion::write(&scanned, &mut out)?;
    if let Some((first, _)) = files.first() {
        // To any portion, but not all to one.
        let key = (first % scanned.spans.len() as u64) as i64;
        figures::write(&ScanFigures::new(&mut scanned, files), key, &mut out)?;
    }
    Ok(out.finish()?)
}

/// The number of the first unit, so that no two units of a job have the same.
fn first_unit(file: i64, unit: i64) -> io::Result<u64> {
    let within = |number: i64, bits: u32| u64::try_from(number).ok().filter(|n| n >> bits == 0);
    match (within(file, 32 - UNIT_BITS), within(unit, UNIT_BITS)) {
        (Some(file), Some(unit)) => Ok(file << UNIT_BITS | unit),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "piece {unit} of file {file}: a job takes {} files of {} MiB each, decompressed; \
                 label the runs of these files in jobs of their own",
                1 << (32 - UNIT_BITS),
                1 << UNIT_BITS,
            ),
        )),
    }
}

fn read(scanned: &mut Scanned, content: Vec<u8>) -> io::Result<Lines> {
    let mut lines = Lines::new(1);
    let mut sources = [Source::from_reader(Cursor::new(content))?];
    let read = scanned.read(&mut sources, 1, &mut lines, &Stop::default());
    read.map_err(|error| match error {
        PipelineError::Read(_, source) | PipelineError::Consumer(source) => source,
    })?;
    Ok(lines)
}
