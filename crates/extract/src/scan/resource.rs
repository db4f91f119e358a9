//! Which service, instance, host, container and pod a resource is.

use std::hash::{Hash, Hasher};

use loadgen_otlp::view::Resource;
use twox_hash::XxHash64;

/// The SDKs' word for a service that has no name.
pub(crate) const NO_SERVICE: &str = "unknown_service";

/// The resource attributes that have columns of their own.
#[derive(Debug, Default)]
pub(crate) struct ResourceAttributes {
    pub(crate) service_name: Option<String>,
    pub(crate) service_instance_id: Option<String>,
    pub(crate) host_name: Option<String>,
    pub(crate) container_name: Option<String>,
    pub(crate) k8s_pod_name: Option<String>,
    /// The run that it says it belongs to.
    pub(crate) run_id: Option<String>,
    /// Of all its attributes, whatever their order: two resources with the same are one.
    pub(crate) identity: u64,
}

impl ResourceAttributes {
    pub(crate) fn of(resource: &Resource<'_>) -> Self {
        let mut attributes = Self::default();
        let mut json = Vec::new();
        for pair in &resource.attributes {
            let mut hasher = XxHash64::with_seed(0);
            pair.key.hash(&mut hasher);
            json.clear();
            // A value is always JSON, and writing to memory does not fail.
            let _ = serde_json::to_writer(&mut json, &pair.value);
            hasher.write(&json);
            // As a text ends.
            hasher.write_u8(0xff);
            attributes.identity = attributes.identity.wrapping_add(hasher.finish());
            let slot = match &*pair.key {
                "service.name" => &mut attributes.service_name,
                "service.instance.id" => &mut attributes.service_instance_id,
                "host.name" => &mut attributes.host_name,
                "container.name" | "k8s.container.name" => &mut attributes.container_name,
                "k8s.pod.name" => &mut attributes.k8s_pod_name,
                "loadgen.run_id" => &mut attributes.run_id,
                _ => continue,
            };
            if slot.is_none() {
                *slot = pair.value.as_text().map(str::to_owned);
            }
        }
        attributes
    }

    /// The service's name; the SDKs' word where none is set.
    pub(crate) fn service_name(&self) -> &str {
        self.service_name.as_deref().unwrap_or(NO_SERVICE)
    }
}
