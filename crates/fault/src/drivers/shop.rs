//! Injects faults through the admin endpoint of the demo shop (`loadgen shop`).

use async_trait::async_trait;
use loadgen_scenario::plan::{Clients, Fault, Parameters};
use loadgen_scenario::{CatalogueFault, FaultCatalogue, Parameter, ParameterKind};
use loadgen_shop_api::{ActiveFaults, ClearAnswer, ClientCells, InjectRequest};
use reqwest::Client;

use super::LEASE_MS;
use crate::http::{answer, read};
use crate::{ActiveFault, Cleared, Confirmation, FaultDriver, FaultError, Injection};

/// Name of the driver.
pub(super) const NAME: &str = "shop";

/// Driver `shop`.
#[derive(Debug)]
pub struct ShopDriver {
    client: Client,
    admin_url: String,
}

/// What the demo shop can have.
pub(super) fn catalogue() -> FaultCatalogue {
    let mut services: Vec<String> = Vec::new();
    let mut faults = Vec::new();
    for fault in loadgen_shop_api::ShopFault::ALL {
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
            parameters: vec![],
            harmless: fault.is_harmless(),
            by_client: fault.is_by_client(),
        });
    }
    FaultCatalogue {
        driver: NAME.to_owned(),
        services,
        faults,
        settings: vec![Parameter::optional(
            "admin_url",
            ParameterKind::Text,
            "The URL that `loadgen shop` prints as `admin_url`; `--admin-url` overrides it.",
        )],
    }
}

/// As the shop has them.
fn of_shop(clients: Clients) -> Option<ClientCells> {
    ClientCells::new(clients.from, clients.count)
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

    async fn faults(&self) -> Result<ActiveFaults, FaultError> {
        let url = format!("{}/faults", self.admin_url);
        read(self.client.get(&url), &url).await
    }
}

#[async_trait]
impl FaultDriver for ShopDriver {
    fn name(&self) -> &str {
        NAME
    }

    fn catalogue(&self) -> FaultCatalogue {
        catalogue()
    }

    async fn version(&self) -> Result<String, FaultError> {
        self.faults().await?;
        Ok(String::new())
    }

    async fn reset(&self, owner: &str) -> Result<(), FaultError> {
        let url = format!("{}/faults?owner={owner}", self.admin_url);
        answer(self.client.delete(&url), &url).await.map(drop)
    }

    async fn inject(&self, injection: &Injection) -> Result<Confirmation, FaultError> {
        let url = self.url(&injection.fault);
        let body = InjectRequest {
            service: Some(injection.fault.service.clone()),
            intensity: injection.fault.intensity,
            owner: injection.owner.clone(),
            clients: injection.fault.clients.and_then(of_shop),
            lease_ms: Some(LEASE_MS),
        };
        let read_back = read(self.client.put(&url).json(&body), &url).await?;
        Ok(Confirmation {
            how: "the service's answer".to_owned(),
            read_back,
        })
    }

    async fn clear(&self, injection: &Injection) -> Result<Cleared, FaultError> {
        let Injection { fault, owner, .. } = injection;
        let url = format!(
            "{}?service={}&owner={owner}",
            self.url(fault),
            fault.service
        );
        let cleared: ClearAnswer = read(self.client.delete(&url), &url).await?;
        Ok(Cleared {
            was_in_force: cleared.was_active,
            confirmation: Confirmation {
                how: "the service's answer".to_owned(),
                read_back: serde_json::to_value(&cleared).unwrap_or_default(),
            },
        })
    }

    async fn state(&self, _held: &[Injection]) -> Result<Vec<ActiveFault>, FaultError> {
        let active = self.faults().await?;
        let faults = active.faults.into_iter().map(|active| ActiveFault {
            fault: Fault {
                driver: NAME.to_owned(),
                fault: active.fault.to_string(),
                service: active.service.to_string(),
                intensity: active.intensity,
                sham: false,
                harmless: false,
                clients: None,
                parameters: Parameters::new(),
            },
            owner: active.owner,
        });
        Ok(faults.collect())
    }

    async fn renew(&self, owner: &str) -> Result<(), FaultError> {
        let url = format!("{}/leases/{owner}", self.admin_url);
        answer(self.client.post(&url), &url).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_plan_and_the_shop_tell_clients_apart_alike() {
        assert_eq!(loadgen_scenario::CELLS, loadgen_shop_api::CELLS);
        assert_eq!(loadgen_scenario::CELL_KEY, loadgen_shop_api::CELL_KEY);
    }
}
