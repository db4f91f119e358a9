//! The services by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A process of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The edge: static pages, and a proxy for everything under `/api/`.
    Web,
    /// Products, categories, search, stock.
    Catalogue,
    /// Accounts, order history, ids for anonymous customers.
    User,
    /// Shopping carts.
    Cart,
    /// Countries, cities, distances and their cost.
    Shipping,
    /// Stars for products.
    Ratings,
    /// Turns a cart into an order.
    Payment,
    /// Takes orders from a queue and works through them.
    Dispatch,
    /// The outside payment gateway: no telemetry of its own, as it belongs to somebody else.
    Gateway,
}

impl Service {
    /// All of them, those first that others call.
    pub const ALL: [Service; 9] = [
        Service::Gateway,
        Service::Catalogue,
        Service::User,
        Service::Dispatch,
        Service::Cart,
        Service::Shipping,
        Service::Ratings,
        Service::Payment,
        Service::Web,
    ];

    /// Lower-case name, which is also the telemetry's `service.name`.
    pub fn as_str(self) -> &'static str {
        match self {
            Service::Web => "web",
            Service::Catalogue => "catalogue",
            Service::User => "user",
            Service::Cart => "cart",
            Service::Shipping => "shipping",
            Service::Ratings => "ratings",
            Service::Payment => "payment",
            Service::Dispatch => "dispatch",
            Service::Gateway => "gateway",
        }
    }

    /// The services it calls.
    pub fn peers(self) -> &'static [Service] {
        match self {
            Service::Web => &[
                Service::Catalogue,
                Service::User,
                Service::Cart,
                Service::Shipping,
                Service::Ratings,
                Service::Payment,
                Service::Dispatch,
            ],
            Service::Cart | Service::Ratings => &[Service::Catalogue],
            Service::Shipping => &[Service::Cart],
            Service::Payment => &[
                Service::User,
                Service::Cart,
                Service::Gateway,
                Service::Dispatch,
            ],
            Service::Catalogue | Service::User | Service::Dispatch | Service::Gateway => &[],
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Service {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Service::ALL
            .into_iter()
            .find(|s| s.as_str() == name)
            .ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for service in Service::ALL {
            assert_eq!(service.as_str().parse(), Ok(service));
            let json = serde_json::to_string(&service).expect("a name is JSON");
            assert_eq!(json, format!("\"{service}\""));
        }
        assert_eq!("Web".parse::<Service>(), Err(()));
    }

    #[test]
    fn a_service_is_started_after_those_it_calls() {
        for (position, service) in Service::ALL.iter().enumerate() {
            for peer in service.peers() {
                assert!(
                    Service::ALL[..position].contains(peer),
                    "{service} → {peer}"
                );
            }
        }
    }
}
