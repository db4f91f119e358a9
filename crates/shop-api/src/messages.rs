//! Bodies of the admin API, as JSON.

use serde::{Deserialize, Serialize};

use crate::clients::ClientCells;
use crate::fault::ShopFault;
use crate::service::Service;

/// Body of `PUT /faults/{fault}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InjectRequest {
    /// Which service is to have the fault. Without one the request is refused, with the services
    /// to choose from.
    pub service: Option<String>,
    /// How strong, above 0 and at most 1.
    pub intensity: f64,
    /// Whose fault it is: nobody else can change it or take it away. Nothing: it is made by hand.
    #[serde(default)]
    pub owner: String,
    /// Which clients meet it. Nothing: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientCells>,
    /// How long the fault stays without being renewed, ms. Nothing: until it is taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
}

/// A fault that is in force, or may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldFault {
    /// Which.
    pub fault: ShopFault,
    /// The service that has it.
    pub service: Service,
    /// How strong.
    pub intensity: f64,
    /// Whose it is; nothing: it was made by hand.
    #[serde(default)]
    pub owner: String,
    /// Which clients meet it. Nothing: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientCells>,
    /// Whether the service has confirmed it. Until then, and after a change that was not
    /// confirmed, it may be in force or not.
    #[serde(default = "confirmed")]
    pub confirmed: bool,
    /// How long it stays without being renewed, ms. Nothing: until it is taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
}

fn confirmed() -> bool {
    true
}

/// Answer to `GET /faults`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActiveFaults {
    /// By fault and service.
    pub faults: Vec<HeldFault>,
}

/// Answer to `DELETE /faults/{fault}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClearAnswer {
    /// Which fault.
    pub fault: ShopFault,
    /// In which service.
    pub service: Service,
    /// Whether the owner had it there.
    pub was_active: bool,
    /// Somebody else who has it there, and keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
}

/// Answer to `POST /leases/{owner}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// Whose leases.
    pub owner: String,
    /// How many faults stay for the length of their lease from now on.
    pub renewed: usize,
}
