//! The first step: files of any form become records, dealt into portions.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
use loadgen_otlp::source::Source;

use super::figures::{self, ScanFigures};
use super::frames::{Bytes, FrameWriter, column, for_each_batch};
use super::{BUDGET_BYTES, StepError, portion};
use crate::lines::Lines;
use crate::scan::Scanned;
use crate::scan::inputs::read_error;
use crate::scan::pipeline::PipelineError;
use crate::stop::Stop;

/// Units of a file are numbered within so many bits, and files within the rest of 32.
const UNIT_BITS: u32 = 14;

/// Reads files and deals what is in them into `portions`.
///
/// The columns of the input are `file`, the number of a file among all of the job's, and `unit`, 0 or,
/// where a file comes in several pieces, a number that grows by 64 or more from piece to piece. A
/// piece ends with a message, and has 32 MiB or less. What is in it is in the column `content`, or in
/// a file of this machine: `path`, with the bytes `start` and `end` of a piece; no end: all of it.
///
/// # Errors
///
/// [`StepError`]: the input is no such stream, a file can't be read, or the output not be written.
pub fn decode(input: impl Read, output: impl Write, portions: usize) -> Result<(), StepError> {
    let folder = tempfile::tempdir()?;
    let mut scanned = Scanned::with_partitions(folder.path(), portions.max(1), BUDGET_BYTES)?;
    let mut files: Vec<(u64, Lines)> = Vec::new();
    for_each_batch(input, |batch| {
        let numbers: &Int64Array = column(batch, "file")?;
        let units: &Int64Array = column(batch, "unit")?;
        let contents = Contents::of(batch)?;
        for row in 0..batch.num_rows() {
            let file = numbers.value(row);
            scanned.first_unit = first_unit(file, units.value(row))?;
            let lines = read(&mut scanned, contents.source(row)?)?;
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

/// Where the bytes of pieces are.
enum Contents<'b> {
    Here(Bytes<'b>),
    InFiles {
        paths: &'b StringArray,
        starts: &'b Int64Array,
        ends: &'b Int64Array,
    },
}

impl<'b> Contents<'b> {
    fn of(batch: &'b RecordBatch) -> io::Result<Self> {
        if batch.column_by_name("content").is_some() {
            return Ok(Contents::Here(Bytes::of(batch, "content")?));
        }
        Ok(Contents::InFiles {
            paths: column(batch, "path")?,
            starts: column(batch, "start")?,
            ends: column(batch, "end")?,
        })
    }

    fn source(&self, row: usize) -> io::Result<Source> {
        match self {
            Contents::Here(bytes) => Source::from_reader(Cursor::new(bytes.value(row).to_vec())),
            Contents::InFiles {
                paths,
                starts,
                ends,
            } => {
                let path = Path::new(paths.value(row));
                let end = (!ends.is_null(row)).then(|| ends.value(row) as u64);
                let source = piece(path, starts.value(row) as u64, end);
                source.map_err(|error| io::Error::other(read_error(path, error)))
            }
        }
    }
}

/// The bytes of a file from `start` to `end`.
fn piece(path: &Path, start: u64, end: Option<u64>) -> io::Result<Source> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let length = end.map_or(u64::MAX, |end| end.saturating_sub(start));
    Source::from_reader(file.take(length))
}

fn read(scanned: &mut Scanned, source: Source) -> io::Result<Lines> {
    let mut lines = Lines::new(1);
    let mut sources = [source];
    let read = scanned.read(&mut sources, 1, &mut lines, &Stop::default());
    read.map_err(|error| match error {
        PipelineError::Read(_, source) | PipelineError::Consumer(source) => source,
    })?;
    Ok(lines)
}
