//! Names by number: what heads refer to by 32 bits.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use crate::telemetry::evidence::Evidence;
use crate::telemetry::resource::ResourceAttributes;

/// So many names of spans are kept apart. Programs that put ids into names have no bound.
const MAX_NAMES: usize = 1 << 16;

/// So many different headers are kept apart.
const MAX_EVIDENCE: usize = 1 << 12;

/// Who sent telemetry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ResourceId {
    pub(crate) service: String,
    /// Its instance, pod or host, whichever it names first.
    pub(crate) instance: String,
}

impl ResourceId {
    pub(crate) fn of(attributes: &ResourceAttributes<'_>) -> Self {
        let instance = [
            &attributes.service_instance_id,
            &attributes.k8s_pod_name,
            &attributes.host_name,
        ];
        let named = instance.into_iter().flatten().next();
        Self {
            service: attributes.service_name().to_owned(),
            instance: named.map(|text| text.to_string()).unwrap_or_default(),
        }
    }
}

/// Things by the order of their coming.
#[derive(Debug)]
pub(crate) struct Interned<T> {
    pub(crate) things: Vec<T>,
    numbers: HashMap<T, u32>,
    limit: usize,
}

impl<T: Clone + Eq + Hash> Interned<T> {
    fn new(limit: usize) -> Self {
        Self {
            things: Vec::new(),
            numbers: HashMap::new(),
            limit,
        }
    }

    /// The number of a thing, from 0; what comes after the limit has the limit's number.
    pub(crate) fn number<Q>(&mut self, thing: &Q) -> u32
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = T> + ?Sized,
    {
        if let Some(&number) = self.numbers.get(thing) {
            return number;
        }
        let number = self.things.len();
        if number < self.limit {
            self.things.push(thing.to_owned());
            self.numbers.insert(thing.to_owned(), number as u32);
        }
        number as u32
    }

    /// The thing with a number.
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.things.get(number as usize)
    }
}

/// All names of an extraction, or of one block.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) resources: Interned<ResourceId>,
    pub(crate) names: Interned<String>,
    /// Heads have the number plus one; 0 is none.
    pub(crate) evidence: Interned<Evidence>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            resources: Interned::new(usize::MAX),
            names: Interned::new(MAX_NAMES),
            evidence: Interned::new(MAX_EVIDENCE),
        }
    }
}

impl Registry {
    /// The service of a resource.
    pub(crate) fn service(&self, resource: u32) -> &str {
        self.resources
            .get(resource)
            .map_or("unknown_service", |r| &r.service)
    }
}
