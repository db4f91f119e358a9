//! Injects faults through the admin endpoint of the demo shop (`loadgen shop`).

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use loadgen_scenario::plan::Fault;
use loadgen_scenario::{CatalogueFault, FaultCatalogue};
use loadgen_shop_api::{ActiveFaults, Cleared, Injection, Renewed};
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;

use crate::{ActiveFault, FaultDriver, FaultError};

/// Name of the driver.
const NAME: &str = "shop";

/// The shop holds connections and calibrates work before it confirms, and a service has 5 s for
/// it.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Driver `shop`.
#[derive(Debug)]
pub struct ShopDriver {
    client: Client,
    admin_url: String,
}

/// What the demo shop can have.
pub fn catalogue() -> FaultCatalogue {
    let mut services: Vec<String> = Vec::new();
    let mut faults = Vec::new();
    for fault in loadgen_shop_api::Fault::ALL {
        let possible: Vec<String> = fault.services().iter().map(ToString::to_string).collect();
        for service in &possible {
            if !services.contains(service) {
                services.push(service.clone());
            }
        }
        faults.push(CatalogueFault {
            name: fault.to_string(),
            services: possible,
            summary: fault.summary().to_owned(),
        });
    }
    FaultCatalogue {
        driver: NAME.to_owned(),
        services,
        faults,
    }
}

impl ShopDriver {
    /// A driver for the admin endpoint that `loadgen shop` printed as `admin_url`.
    pub fn new(client: Client, admin_url: impl Into<String>) -> Self {
        Self {
            client,
            admin_url: admin_url.into().trim_end_matches('/').to_owned(),
        }
    }

    /// Renews all leases of an owner. Says how many faults have one.
    ///
    /// # Errors
    /// The shop can't be reached, or its answer can't be understood.
    pub async fn renew(&self, owner: &str) -> Result<usize, FaultError> {
        let url = format!("{}/leases/{owner}", self.admin_url);
        let body = answer(self.client.post(&url), url.clone()).await?;
        let answered: Renewed = understood(&body, url)?;
        Ok(answered.renewed)
    }

    fn url(&self, fault: &Fault) -> String {
        format!("{}/faults/{}", self.admin_url, fault.fault)
    }
}

impl FaultDriver for ShopDriver {
    fn name(&self) -> &str {
        NAME
    }

    fn catalogue(&self) -> FaultCatalogue {
        catalogue()
    }

    fn reset<'a>(&'a self, owner: &'a str) -> BoxFuture<'a, Result<(), FaultError>> {
        let url = format!("{}/faults?owner={owner}", self.admin_url);
        answer(self.client.delete(&url), url)
            .map(|answered| answered.map(drop))
            .boxed()
    }

    fn inject<'a>(
        &'a self,
        fault: &'a Fault,
        owner: &'a str,
    ) -> BoxFuture<'a, Result<(), FaultError>> {
        let url = self.url(fault);
        let body = Injection {
            service: Some(fault.service.clone()),
            intensity: fault.intensity,
            owner: owner.to_owned(),
            lease_ms: None,
        };
        let request = self
            .client
            .put(&url)
            .header("content-type", "application/json")
            // Texts and numbers always become JSON.
            .body(serde_json::to_vec(&body).unwrap_or_default());
        answer(request, url)
            .map(|answered| answered.map(drop))
            .boxed()
    }

    fn clear<'a>(
        &'a self,
        fault: &'a Fault,
        owner: &'a str,
    ) -> BoxFuture<'a, Result<bool, FaultError>> {
        let service = &fault.service;
        let url = format!("{}?service={service}&owner={owner}", self.url(fault));
        let request = self.client.delete(&url);
        async move {
            let body = answer(request, url.clone()).await?;
            let cleared: Cleared = understood(&body, url)?;
            Ok(cleared.was_active)
        }
        .boxed()
    }

    fn state(&self) -> BoxFuture<'_, Result<Vec<ActiveFault>, FaultError>> {
        let url = format!("{}/faults", self.admin_url);
        let request = self.client.get(&url);
        async move {
            let body = answer(request, url.clone()).await?;
            let active: ActiveFaults = understood(&body, url)?;
            let faults = active.faults.into_iter().map(|active| ActiveFault {
                fault: active.fault.to_string(),
                service: active.service.to_string(),
                intensity: active.intensity,
                owner: active.owner,
            });
            Ok(faults.collect())
        }
        .boxed()
    }
}

/// The body of an answer that says yes.
async fn answer(request: RequestBuilder, url: String) -> Result<String, FaultError> {
    let unreachable = |source| FaultError::Unreachable {
        url: url.clone(),
        source,
    };
    let answer = request.timeout(ANSWER_LIMIT).send().await;
    let answer = answer.map_err(unreachable)?;
    let status = answer.status();
    let text = answer.text().await;
    if status.is_success() {
        return text.map_err(unreachable);
    }
    let text = text.unwrap_or_default();
    let said: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let error = said.and_then(|said| Some(said.get("error")?.as_str()?.to_owned()));
    Err(FaultError::Refused {
        url,
        status: status.as_u16(),
        message: error.unwrap_or(text),
    })
}

fn understood<T: DeserializeOwned>(body: &str, url: String) -> Result<T, FaultError> {
    serde_json::from_str(body).map_err(|error| FaultError::Unclear {
        url,
        reason: error.to_string(),
    })
}
