//! The open connections of a proxy, as far as toxics act on them.
//!
//! A change is made here, under a lock, for every connection that is open and every one that will
//! be. So it is in force for all of them when the call returns.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::pipeline::Pipeline;
use crate::toxic::{Stream, Toxic};

/// One direction of one connection.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pipeline: Mutex<Pipeline>,
    /// Told after each change that was not made by the connection itself.
    changed: Notify,
}

impl Lane {
    fn new<'a>(toxics: impl Iterator<Item = &'a Toxic>) -> Self {
        Self {
            pipeline: Mutex::new(Pipeline::new(toxics, Instant::now())),
            changed: Notify::new(),
        }
    }

    pub(crate) fn pipeline(&self) -> MutexGuard<'_, Pipeline> {
        self.pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// An open connection.
#[derive(Debug)]
struct Link {
    upstream: Lane,
    downstream: Lane,
}

impl Link {
    fn lane(&self, stream: Stream) -> &Lane {
        match stream {
            Stream::Upstream => &self.upstream,
            Stream::Downstream => &self.downstream,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which data passes them.
    toxics: Vec<Toxic>,
    open: BTreeMap<u64, Arc<Link>>,
    opened: u64,
}

/// The toxics of a proxy and the connections that they act on.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<State>);

impl Links {
    /// All toxics, those of the upstream direction first.
    pub(crate) fn toxics(&self) -> Vec<Toxic> {
        let mut toxics = self.state().toxics.clone();
        toxics.sort_by_key(|toxic| toxic.stream);
        toxics
    }

    pub(crate) fn toxic(&self, name: &str) -> Option<Toxic> {
        let state = self.state();
        state
            .toxics
            .iter()
            .find(|toxic| toxic.name == name)
            .cloned()
    }

    /// Adds a toxic after those that there are. Its name must be new.
    pub(crate) fn add(&self, toxic: Toxic) {
        let mut state = self.state();
        state.change(toxic.stream, |pipeline, now| pipeline.add(&toxic, now));
        state.toxics.push(toxic);
    }

    /// Puts a toxic in the place of the one with its name and direction.
    pub(crate) fn update(&self, toxic: Toxic) {
        let mut state = self.state();
        state.change(toxic.stream, |pipeline, now| pipeline.update(&toxic, now));
        if let Some(before) = state.toxics.iter_mut().find(|t| t.name == toxic.name) {
            *before = toxic;
        }
    }

    pub(crate) fn remove(&self, name: &str) {
        let mut state = self.state();
        if let Some(at) = state.toxics.iter().position(|toxic| toxic.name == name) {
            let toxic = state.toxics.remove(at);
            state.change(toxic.stream, |pipeline, now| pipeline.remove(name, now));
        }
    }

    /// Enters a new connection, which has the toxics that there are.
    pub(crate) fn open(self: &Arc<Self>) -> OpenLink {
        let mut state = self.state();
        let of = |stream| {
            state
                .toxics
                .iter()
                .filter(move |toxic| toxic.stream == stream)
        };
        let link = Arc::new(Link {
            upstream: Lane::new(of(Stream::Upstream)),
            downstream: Lane::new(of(Stream::Downstream)),
        });
        state.opened += 1;
        let id = state.opened;
        state.open.insert(id, Arc::clone(&link));
        OpenLink {
            id,
            link,
            links: Arc::clone(self),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Changes one direction of all open connections.
    fn change(&self, stream: Stream, change: impl Fn(&mut Pipeline, Instant)) {
        for link in self.open.values() {
            let lane = link.lane(stream);
            change(&mut lane.pipeline(), Instant::now());
            lane.changed.notify_one();
        }
    }
}

/// A connection that is entered; dropped, it is struck out.
#[derive(Debug)]
pub(crate) struct OpenLink {
    id: u64,
    link: Arc<Link>,
    links: Arc<Links>,
}

impl OpenLink {
    pub(crate) fn lane(&self, stream: Stream) -> &Lane {
        self.link.lane(stream)
    }
}

impl Drop for OpenLink {
    fn drop(&mut self) {
        self.links.state().open.remove(&self.id);
    }
}
