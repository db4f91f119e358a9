//! Bodies of requests and answers, as Toxiproxy has them, with `owner` and `lease_ms` beside them.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lease::Claim;
use crate::toxic::Toxic;

/// What is to be different about a proxy.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ProxyChange {
    pub(crate) listen: Option<String>,
    pub(crate) upstream: Option<String>,
    pub(crate) enabled: Option<bool>,
    #[serde(flatten)]
    pub(crate) asked: AskedClaim,
}

/// A toxic that is to be added.
#[derive(Debug, Deserialize)]
pub(crate) struct NewToxic {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default, rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) stream: Option<String>,
    #[serde(default)]
    pub(crate) toxicity: Option<f64>,
    #[serde(default)]
    pub(crate) attributes: Map<String, Value>,
    #[serde(flatten)]
    pub(crate) asked: AskedClaim,
}

/// What is to be different about a toxic.
#[derive(Debug, Deserialize)]
pub(crate) struct ToxicChange {
    pub(crate) toxicity: Option<f64>,
    #[serde(default)]
    pub(crate) attributes: Map<String, Value>,
    #[serde(flatten)]
    pub(crate) asked: AskedClaim,
}

/// Whose a change is to be, and for how long.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct AskedClaim {
    pub(crate) owner: Option<String>,
    /// ms since the last renewal
    pub(crate) lease_ms: Option<NonZeroU64>,
}

impl AskedClaim {
    pub(crate) fn is_none(&self) -> bool {
        self.owner.is_none() && self.lease_ms.is_none()
    }

    pub(crate) fn lasts(&self) -> Option<Duration> {
        self.lease_ms.map(|ms| Duration::from_millis(ms.get()))
    }
}

/// A proxy as answers have it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ProxyView {
    pub(crate) name: String,
    pub(crate) listen: String,
    pub(crate) upstream: String,
    pub(crate) enabled: bool,
    pub(crate) toxics: Vec<ToxicView>,
    /// Of its being down.
    #[serde(flatten)]
    pub(crate) claim: ClaimView,
}

/// A toxic as answers have it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ToxicView {
    #[serde(flatten)]
    pub(crate) toxic: Toxic,
    #[serde(flatten)]
    pub(crate) claim: ClaimView,
}

/// A claim that is in force.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ClaimView {
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_ms: Option<u64>,
}

impl From<&Claim> for ClaimView {
    fn from(claim: &Claim) -> Self {
        let ms = |lasts: Duration| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        Self {
            owner: Some(claim.owner.clone()).filter(|owner| !owner.is_empty()),
            lease_ms: claim.lasts.map(ms),
        }
    }
}
