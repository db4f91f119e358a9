//! A portion: all that there is of the traces, and of the series, whose hashes lie in one of N equal
//! ranges. It is put together from frames of every file.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;

use arrow_array::RecordBatch;

use super::frames::{self, Frame, FrameWriter, LOGS, POINTS, REQUESTS, SPANS};
use crate::scan::Scanned;

/// Portions while they are put together. Usually it is one; where a scheduler hands several to one
/// process, each is a partition.
pub(super) struct Portions {
    scanned: Scanned,
    places: HashMap<i64, usize>,
    /// Into how many portions the input is dealt.
    of: usize,
}

impl Portions {
    pub(super) fn read(input: impl Read, folder: &Path, of: usize) -> io::Result<Scanned> {
        let mut portions = Self {
            scanned: Scanned::with_partitions(folder, 0)?,
            places: HashMap::new(),
            of,
        };
        frames::read(input, |frame| portions.take(frame))?;
        let mut scanned = portions.scanned;
        scanned.split_large(folder)?;
        Ok(scanned)
    }

    fn take(&mut self, frame: Frame<'_>) -> io::Result<()> {
        if ![SPANS, POINTS, LOGS, REQUESTS].contains(&frame.kind) {
            return Ok(());
        }
        let place = self.place(frame.key)?;
        for records in frames::records(frame.bytes) {
            let records = records?;
            let rows = records.num_rows() as u64;
            let scanned = &mut self.scanned;
            let (spool, signal) = match frame.kind {
                SPANS => (&mut scanned.spans, Some(0)),
                POINTS => (&mut scanned.points, Some(1)),
                LOGS => (&mut scanned.logs, Some(2)),
                _ => (&mut scanned.requests, None),
            };
            spool.push((place, records))?;
            if let Some(signal) = signal {
                scanned.read[signal] += rows;
            }
        }
        Ok(())
    }

    /// The partition of a portion.
    fn place(&mut self, key: i64) -> io::Result<usize> {
        if let Some(&place) = self.places.get(&key) {
            return Ok(place);
        }
        let index = usize::try_from(key).ok().filter(|index| *index < self.of);
        let index = index.ok_or_else(|| {
            let message = format!("there is no portion {key} of {}", self.of);
            io::Error::new(io::ErrorKind::InvalidData, message)
        })?;
        let scanned = &mut self.scanned;
        let spools = [
            &mut scanned.spans,
            &mut scanned.points,
            &mut scanned.logs,
            &mut scanned.requests,
        ];
        let mut place = 0;
        for spool in spools {
            place = spool.add_partition(index, self.of);
        }
        self.places.insert(key, place);
        Ok(place)
    }
}

/// Writes what was dealt into portions as frames.
pub(super) fn write<W: io::Write>(scanned: &Scanned, out: &mut FrameWriter<W>) -> io::Result<()> {
    for portion in 0..scanned.spans.len() {
        let mut write =
            |kind, records: RecordBatch| out.write_records(portion as i64, kind, &records);
        write(SPANS, scanned.spans.read(portion)?)?;
        write(POINTS, scanned.points.read(portion)?)?;
        write(LOGS, scanned.logs.read(portion)?)?;
        write(REQUESTS, scanned.requests.read(portion)?)?;
    }
    Ok(())
}
