//! A portion: all that there is of the traces, and of the series, whose hashes lie in one of N equal
//! ranges. It is put together from frames of every file.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;

use super::BUDGET_BYTES;
use super::frames::{self, Frame, FrameWriter, LOGS, POINTS, REQUESTS, SPANS};
use crate::scan::Scanned;
use crate::scan::row_spool::Added;

/// Portions while they are put together. Usually it is one; where a scheduler hands several to one
/// process, each has partitions of its own.
pub(super) struct Portions {
    scanned: Scanned,
    places: HashMap<i64, Place>,
    /// Into how many portions the input is dealt.
    of: usize,
    /// Into how many partitions the traces of each are dealt, and into how many its series.
    cuts: [usize; 2],
}

/// The partitions of a portion.
#[derive(Debug, Clone, Copy)]
struct Place {
    traces: Added,
    points: Added,
}

impl Portions {
    pub(super) fn read(
        input: impl Read,
        folder: &Path,
        of: usize,
        cuts: [usize; 2],
    ) -> io::Result<Scanned> {
        let mut portions = Self {
            scanned: Scanned::with_partitions(folder, 0, BUDGET_BYTES)?,
            places: HashMap::new(),
            of,
            cuts,
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
        let Place { traces, points } = self.place(frame.key)?;
        let scanned = &mut self.scanned;
        let (spool, added, signal) = match frame.kind {
            SPANS => (&mut scanned.spans, traces, Some(0)),
            POINTS => (&mut scanned.points, points, Some(1)),
            LOGS => (&mut scanned.logs, traces, Some(2)),
            _ => (&mut scanned.requests, traces, None),
        };
        frames::packed(frame.bytes, |rows| {
            if let Some(signal) = signal {
                scanned.read[signal] += rows.len as u64;
            }
            spool.deal_to(added, rows)
        })
    }

    /// The partitions of a portion.
    fn place(&mut self, key: i64) -> io::Result<Place> {
        if let Some(&place) = self.places.get(&key) {
            return Ok(place);
        }
        let index = usize::try_from(key).ok().filter(|index| *index < self.of);
        let index = index.ok_or_else(|| {
            let message = format!("there is no portion {key} of {}", self.of);
            io::Error::new(io::ErrorKind::InvalidData, message)
        })?;
        let scanned = &mut self.scanned;
        let [of_traces, of_points] = self.cuts;
        // Those of traces have the same partitions.
        scanned.logs.add_partitions(index, self.of, of_traces);
        scanned.requests.add_partitions(index, self.of, of_traces);
        let place = Place {
            traces: scanned.spans.add_partitions(index, self.of, of_traces),
            points: scanned.points.add_partitions(index, self.of, of_points),
        };
        self.places.insert(key, place);
        Ok(place)
    }
}

/// Writes what was dealt into portions as frames.
pub(super) fn write<W: io::Write>(scanned: &Scanned, out: &mut FrameWriter<W>) -> io::Result<()> {
    for portion in 0..scanned.spans.len() {
        let mut write = |kind, spool| out.write_rows(portion as i64, kind, (spool, portion));
        write(SPANS, &scanned.spans)?;
        write(POINTS, &scanned.points)?;
        write(LOGS, &scanned.logs)?;
        write(REQUESTS, &scanned.requests)?;
    }
    Ok(())
}
