//! Tables that put a run together: over time, service by service; trace by trace; call by call.
//!
//! They are gathered while rows are written, from the same partitions. What a partition has to say
//! ([`Observed`]) merges with that of others, in any order and any grouping, to the same. What
//! begins in a second is dealt by time and lies on disk beyond a budget, as the rows do, so memory
//! grows with the number of services times the seconds of the run, and not with the input.

mod causal;
mod distribution;
mod durations;
mod events;
mod figures;
mod graph;
mod graph_rows;
mod grid;
mod in_flight;
pub(crate) mod live;
mod points;
pub(crate) mod rules;
mod series;
mod shape;
mod templates;
mod trace_rows;
mod traces;
mod wide;
mod wide_rows;
mod windows;

use std::collections::BTreeMap;
use std::io;

use loadgen_timeline::causal::CausalGraphs;

use crate::dataset::buckets::Buckets;
use crate::dataset::dictionary::Dictionary;
use crate::dataset::files::TableFiles;
use crate::dataset::graph::{GraphEdges, GraphNodes};
use crate::dataset::rows::{Columns, Made};
use crate::dataset::staging::{StagedFile, Staging};
use crate::rules::RowRules;
use crate::scan::batch::Batch;
use crate::scan::spool::{Dealt, Spool};
use events::EventBatch;
use figures::Figures;
use graph::Graph;
use in_flight::InFlight;
use rules::FeatureRules;
use templates::Templates;
use wide::{ReadingBatch, WideColumns};

pub(crate) use points::observe_points;
pub(crate) use traces::observe_traces;

/// What a partition has to say.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    services: BTreeMap<String, Service>,
    /// By slice.
    events: Vec<Dealt>,
    graph: Graph,
    /// What series say, by slice.
    readings: Vec<Dealt>,
    columns: WideColumns,
    /// Rows of traces.
    pub(crate) traces: Vec<Made>,
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
        match self.services.get_mut(name) {
            Some(service) => service,
            None => unreachable!("it was put in"),
        }
    }
}

/// Services over time.
#[derive(Debug)]
struct OverTime {
    services: BTreeMap<String, Service>,
    events: Spool,
}

/// What all partitions have to say.
pub(crate) struct Features {
    over_time: OverTime,
    graph: Graph,
    readings: Spool,
    columns: WideColumns,
    traces: TableFiles,
}

impl Features {
    /// Nothing yet; events beyond a budget go to a file.
    pub(crate) fn new(
        rules: &FeatureRules,
        staging: &mut Staging,
        stamp: &str,
    ) -> io::Result<Self> {
        Ok(Self {
            over_time: OverTime {
                services: BTreeMap::new(),
                events: Spool::new(staging.folder(), EventBatch::schema(), rules.slices)?,
            },
            graph: Graph::default(),
            readings: Spool::new(staging.folder(), ReadingBatch::schema(), rules.slices)?,
            columns: WideColumns::new(),
            traces: TableFiles::create(staging, stamp, &rules.traces)?,
        })
    }

    /// Adds what a partition has to say.
    pub(crate) fn add(&mut self, observed: Observed) -> io::Result<()> {
        for (name, of) in observed.services {
            self.over_time.services.entry(name).or_default().merge(of);
        }
        for dealt in observed.events {
            self.over_time.events.push(dealt)?;
        }
        self.graph.merge(observed.graph);
        for dealt in observed.readings {
            self.readings.push(dealt)?;
        }
        self.columns.extend(observed.columns);
        for rows in &observed.traces {
            self.traces.append(rows)?;
        }
        Ok(())
    }

    /// Writes all tables that put the run together.
    pub(crate) fn write(
        self,
        features: &FeatureRules,
        rules: &RowRules<'_>,
        workers: usize,
        staging: &mut Staging,
        stamp: &str,
    ) -> io::Result<WrittenFeatures> {
        let mut files =
            windows::write(&self.over_time, (features, rules), workers, staging, stamp)?;
        files.extend(self.traces.finish()?.into_iter().flatten());
        files.extend(graph_rows::write(&self.graph, rules, staging, stamp)?);
        let (readings, columns) = (&self.readings, &self.columns);
        let wide = wide_rows::write(
            readings,
            columns,
            (features, rules),
            workers,
            staging,
            stamp,
        )?;
        files.extend(wide.0);
        let mut dictionary = Dictionary::default();
        dictionary.add(&Columns::<Buckets<1>>::all(rules.formats));
        dictionary.add(&Columns::<Buckets<5>>::all(rules.formats));
        dictionary.add(&features.traces);
        dictionary.add(&Columns::<GraphEdges>::all(rules.formats));
        dictionary.add(&Columns::<GraphNodes>::all(rules.formats));
        dictionary.add_wide(&wide.1);
        Ok(WrittenFeatures {
            files,
            causal_graphs: Some(causal::causal_graphs(&self.graph, rules)),
            dictionary,
        })
    }
}

/// What was written, and what is still to be.
#[derive(Default)]
pub(crate) struct WrittenFeatures {
    pub(crate) files: Vec<StagedFile>,
    /// None where these tables are left out.
    pub(crate) causal_graphs: Option<CausalGraphs>,
    /// The columns of these tables.
    pub(crate) dictionary: Dictionary,
}
