//! What steps find out of a part of the input. Each kind merges: however the input is cut, all parts
//! together say the same.

use std::io;

use loadgen_timeline::audit::DatasetFile;
use serde::{Deserialize, Serialize};

use super::frames::{self, Frame, FrameWriter};
use crate::label::survey::Gathered;
use crate::lines::Lines;
use crate::measure::normal::Normals;
use crate::scan::Scanned;
use crate::scan::sample::{Sample, SampledSpan};
use crate::write::WriteCounts;

/// Figures of a step.
pub(super) trait Figures: Serialize + for<'de> Deserialize<'de> {
    /// What their frames are called.
    const KIND: &'static str;

    /// Adds those of another part.
    fn merge(&mut self, other: Self);
}

/// Of files that were read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ScanFigures {
    pub(super) read: [u64; 3],
    /// Bytes that the records of traces, and data points, take up in memory as batches.
    pub(super) bytes: [u64; 2],
    pub(super) extent: Option<(i64, i64)>,
    pub(super) sample: Vec<SampledSpan>,
    /// By number of the file.
    pub(super) files: Vec<(u64, Lines)>,
}

impl ScanFigures {
    pub(super) fn new(scanned: &mut Scanned, files: Vec<(u64, Lines)>) -> Self {
        Self {
            read: scanned.read,
            bytes: scanned.bytes(),
            extent: scanned.extent,
            sample: std::mem::take(&mut scanned.sample),
            files,
        }
    }
}

impl Figures for ScanFigures {
    const KIND: &'static str = "scan";

    fn merge(&mut self, other: Self) {
        add(&mut self.read, other.read);
        add(&mut self.bytes, other.bytes);
        self.extent = match (self.extent, other.extent) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        let mut sample = Sample::new();
        sample.add(std::mem::take(&mut self.sample));
        sample.add(other.sample);
        self.sample = sample.into_spans();
        self.files.extend(other.files);
    }
}

/// Of portions that were labelled.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SurveyFigures {
    pub(super) gathered: Gathered,
    pub(super) foreign_points: [u64; 3],
    pub(super) too_large: [u64; 3],
}

impl Figures for SurveyFigures {
    const KIND: &'static str = "survey";

    fn merge(&mut self, other: Self) {
        self.gathered.merge(other.gathered);
        add(&mut self.foreign_points, other.foreign_points);
        add(&mut self.too_large, other.too_large);
    }
}

impl Figures for Normals {
    const KIND: &'static str = "normals";

    fn merge(&mut self, other: Self) {
        Normals::merge(self, other);
    }
}

/// Of rows that were written.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct RowFigures {
    pub(super) counts: WriteCounts,
    pub(super) files: Vec<DatasetFile>,
}

impl Figures for RowFigures {
    const KIND: &'static str = "rows";

    fn merge(&mut self, other: Self) {
        self.counts.merge(&other.counts);
        self.files.extend(other.files);
    }
}

fn add<const N: usize>(sums: &mut [u64; N], others: [u64; N]) {
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}

/// Collects figures of one kind from frames.
#[derive(Debug)]
pub(super) struct Merged<F>(Option<F>);

impl<F: Figures> Merged<F> {
    pub(super) fn new() -> Self {
        Self(None)
    }

    /// Takes a frame, if it is of this kind.
    pub(super) fn take(&mut self, frame: Frame<'_>) -> io::Result<()> {
        if frame.kind != F::KIND {
            return Ok(());
        }
        let figures: F = frames::figures(frame.bytes)?;
        match &mut self.0 {
            Some(merged) => merged.merge(figures),
            vacant => *vacant = Some(figures),
        }
        Ok(())
    }

    /// All that came; none: nothing did.
    pub(super) fn finish(self) -> Option<F> {
        self.0
    }

    /// Writes what came as one frame.
    pub(super) fn write<W: io::Write>(self, out: &mut FrameWriter<W>) -> io::Result<()> {
        match self.0 {
            Some(figures) => write(&figures, 0, out),
            None => Ok(()),
        }
    }
}

/// Writes figures as a frame.
pub(super) fn write<F: Figures, W: io::Write>(
    figures: &F,
    key: i64,
    out: &mut FrameWriter<W>,
) -> io::Result<()> {
    out.write_figures(key, F::KIND, figures)
}
