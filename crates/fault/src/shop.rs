//! Injects faults through the admin endpoint of the demo shop (`loadgen shop`).

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use loadgen_scenario::plan::Fault;
use reqwest::{Client, RequestBuilder};

use crate::{FaultDriver, FaultError};

/// The shop holds connections and calibrates work before it confirms; this is ample for both.
const CONFIRMATION_TIMEOUT: Duration = Duration::from_secs(10);

/// Driver `shop`.
#[derive(Debug)]
pub struct ShopDriver {
    client: Client,
    admin_url: String,
}

impl ShopDriver {
    /// A driver for the admin endpoint that `loadgen shop` printed as `admin_url`.
    pub fn new(client: Client, admin_url: impl Into<String>) -> Self {
        Self {
            client,
            admin_url: admin_url.into().trim_end_matches('/').to_owned(),
        }
    }

    fn url(&self, fault: &Fault) -> String {
        format!("{}/faults/{}", self.admin_url, fault.fault)
    }
}

impl FaultDriver for ShopDriver {
    fn name(&self) -> &str {
        "shop"
    }

    fn reset(&self) -> BoxFuture<'_, Result<(), FaultError>> {
        let url = format!("{}/faults", self.admin_url);
        confirmed(self.client.delete(&url), url).boxed()
    }

    fn inject<'a>(&'a self, fault: &'a Fault) -> BoxFuture<'a, Result<(), FaultError>> {
        let url = self.url(fault);
        let body = serde_json::json!({ "service": fault.service, "intensity": fault.intensity })
            .to_string();
        let request = self
            .client
            .put(&url)
            .header("content-type", "application/json")
            .body(body);
        confirmed(request, url).boxed()
    }

    fn clear<'a>(&'a self, fault: &'a Fault) -> BoxFuture<'a, Result<(), FaultError>> {
        let url = format!("{}?service={}", self.url(fault), fault.service);
        confirmed(self.client.delete(&url), url).boxed()
    }
}

async fn confirmed(request: RequestBuilder, url: String) -> Result<(), FaultError> {
    let answer = request.timeout(CONFIRMATION_TIMEOUT).send().await;
    let answer = answer.map_err(|source| FaultError::Unreachable {
        url: url.clone(),
        source,
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let message = answer.text().await.unwrap_or_default();
    Err(FaultError::Refused {
        url,
        status: status.as_u16(),
        message,
    })
}
