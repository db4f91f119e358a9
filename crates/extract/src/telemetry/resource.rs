//! Resource attributes: which service, instance, host, container and pod sent a thing.

use std::hash::{Hash, Hasher};

use serde::Deserialize;
use twox_hash::XxHash64;

use super::attribute::{AnyValue, Pick, Picked};
use super::scalar::Text;

/// OTLP's `Resource`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Resource<'a> {
    #[serde(borrow)]
    attributes: Picked<ResourceAttributes<'a>>,
}

/// The resource attributes that have columns of their own.
#[derive(Debug, Default)]
pub(crate) struct ResourceAttributes<'a> {
    pub(crate) service_name: Option<Text<'a>>,
    pub(crate) service_instance_id: Option<Text<'a>>,
    pub(crate) host_name: Option<Text<'a>>,
    pub(crate) container_name: Option<Text<'a>>,
    pub(crate) k8s_pod_name: Option<Text<'a>>,
    /// The run that it says it belongs to.
    pub(crate) run_id: Option<Text<'a>>,
    /// Of all its attributes, whatever their order: two resources with the same are one.
    pub(crate) identity: u64,
}

impl<'a> Resource<'a> {
    pub(crate) fn attributes(&self) -> &ResourceAttributes<'a> {
        &self.attributes.0
    }
}

impl ResourceAttributes<'_> {
    /// The service's name; the SDKs' word where none is set.
    pub(crate) fn service_name(&self) -> &str {
        self.service_name.as_deref().unwrap_or("unknown_service")
    }
}

impl<'de: 'a, 'a> Pick<'de> for ResourceAttributes<'a> {
    fn wants(_: &str) -> bool {
        // All of them make up its identity.
        true
    }

    fn take(&mut self, key: &str, value: AnyValue<'de>) {
        let mut hasher = XxHash64::with_seed(0);
        key.hash(&mut hasher);
        // A value is always JSON.
        let text = serde_json::to_string(&value).unwrap_or_default();
        text.hash(&mut hasher);
        self.identity = self.identity.wrapping_add(hasher.finish());
        let slot = match key {
            "service.name" => &mut self.service_name,
            "service.instance.id" => &mut self.service_instance_id,
            "host.name" => &mut self.host_name,
            "container.name" | "k8s.container.name" => &mut self.container_name,
            "k8s.pod.name" => &mut self.k8s_pod_name,
            "loadgen.run_id" => &mut self.run_id,
            _ => return,
        };
        if slot.is_none() {
            *slot = value.into_text();
        }
    }
}
