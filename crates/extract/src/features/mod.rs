//! Tables that put a run together: over time, service by service; trace by trace; call by call.
//!
//! They are gathered while rows are written, from the same partitions. What a partition has to say
//! ([`Observed`]) merges with that of others, in any order and any grouping, to the same. What
//! begins in a second is dealt by time and lies on disk beyond a budget, as the rows do, so memory
//! grows with the number of services times the seconds of the run, and not with the input.

mod events;
mod figures;
mod grid;
mod in_flight;
mod points;
mod series;
mod templates;
mod traces;
mod windows;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use loadgen_timeline::condition::Conditions;

use crate::dataset::staging::{StagedFile, Staging};
use crate::scan::batch::Batch;
use crate::scan::spool::{Dealt, Spool};
use crate::write::RowRules;
use events::EventBatch;
use figures::Figures;
use grid::Grid;
use in_flight::InFlight;
use templates::Templates;

pub(crate) use points::observe_points;
pub(crate) use traces::{Traces, observe_traces};

/// What all partitions are observed by.
#[derive(Debug)]
pub(crate) struct FeatureRules {
    grid: Grid,
    /// Slices of time into which events are dealt.
    slices: usize,
}

impl FeatureRules {
    /// For a run whose traces are in so many partitions: events are dealt into as many.
    pub(crate) fn new(conditions: &Conditions, partitions: usize) -> Self {
        let grid = Grid::new(conditions.run());
        Self {
            slices: grid.slices(partitions),
            grid,
        }
    }
}

/// What a partition has to say.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    services: BTreeMap<String, Service>,
    /// By slice.
    events: Vec<Dealt>,
}

/// What is kept of a service.
#[derive(Debug, Default)]
struct Service {
    in_flight: InFlight,
    templates: Templates,
    figures: Figures,
}

impl Service {
    fn merge(&mut self, other: Self) {
        self.in_flight.merge(&other.in_flight);
        self.templates.merge(&other.templates);
        self.figures.merge(other.figures);
    }
}

impl Observed {
    fn service(&mut self, name: &str) -> &mut Service {
        if !self.services.contains_key(name) {
            self.services.insert(name.to_owned(), Service::default());
        }
        self.services.entry(name.to_owned()).or_default()
    }
}

/// What all partitions have to say.
#[derive(Debug)]
pub(crate) struct Features {
    services: BTreeMap<String, Service>,
    events: Spool,
}

impl Features {
    /// Nothing yet; events beyond a budget go to a file in `folder`.
    pub(crate) fn new(rules: &FeatureRules, folder: &Path) -> io::Result<Self> {
        Ok(Self {
            services: BTreeMap::new(),
            events: Spool::new(folder, EventBatch::schema(), rules.slices)?,
        })
    }

    /// Adds what a partition has to say.
    pub(crate) fn add(&mut self, observed: Observed) -> io::Result<()> {
        for (name, of) in observed.services {
            self.services.entry(name).or_default().merge(of);
        }
        for dealt in observed.events {
            self.events.push(dealt)?;
        }
        Ok(())
    }

    /// Writes all tables that put the run together.
    pub(crate) fn write(
        &self,
        rules: &RowRules<'_>,
        workers: usize,
        staging: &mut Staging,
        stamp: &str,
    ) -> io::Result<Vec<StagedFile>> {
        windows::write(self, rules, workers, staging, stamp)
    }
}
