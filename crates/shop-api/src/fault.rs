//! The shop's faults: which there are, where each is possible, and how strong. One of them is
//! harmless: a change that is made as faults are, and breaks nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::service::Service;

/// A fault that the shop can really have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShopFault {
    /// Statements do more work in the database.
    SlowQuery,
    /// The connections of the pool are held by open transactions.
    PoolExhaustion,
    /// Computation competes for the service's thread.
    CpuSaturation,
    /// Keys explode: lookups miss and entries are evicted.
    CacheMissStorm,
    /// The outside payment gateway is slow and takes few requests at a time.
    SlowGateway,
    /// Requests are accepted and not answered.
    Hang,
    /// The service cannot reach its database and answers 503.
    ErrorResponses,
    /// Calls of other services get no connection.
    NetworkPartition,
    /// Answers of other services are not accepted, and asked for again at once.
    RetryStorm,
    /// Requests leave memory behind, and go through all that was left.
    MemoryLeak,
    /// File descriptors are used up.
    FdExhaustion,
    /// Files can't be written to.
    DiskFull,
    /// Another process computes on the service's processor.
    NoisyNeighbour,
    /// Consumers of the queue stand still.
    SlowConsumer,
    /// A new release, with bugs, answers a share of the requests.
    BadDeployment,
    /// A new release, without bugs, answers a share of the requests.
    Deployment,
    /// Carts get a wrong total.
    DataCorruption,
    /// The service's clock is ahead.
    ClockSkew,
}

impl ShopFault {
    /// All of them.
    pub const ALL: [ShopFault; 18] = [
        ShopFault::SlowQuery,
        ShopFault::PoolExhaustion,
        ShopFault::CpuSaturation,
        ShopFault::CacheMissStorm,
        ShopFault::SlowGateway,
        ShopFault::Hang,
        ShopFault::ErrorResponses,
        ShopFault::NetworkPartition,
        ShopFault::RetryStorm,
        ShopFault::MemoryLeak,
        ShopFault::FdExhaustion,
        ShopFault::DiskFull,
        ShopFault::NoisyNeighbour,
        ShopFault::SlowConsumer,
        ShopFault::BadDeployment,
        ShopFault::Deployment,
        ShopFault::DataCorruption,
        ShopFault::ClockSkew,
    ];

    /// Name in snake case, as scenarios and the admin API have it.
    pub fn as_str(self) -> &'static str {
        match self {
            ShopFault::SlowQuery => "slow_query",
            ShopFault::PoolExhaustion => "pool_exhaustion",
            ShopFault::CpuSaturation => "cpu_saturation",
            ShopFault::CacheMissStorm => "cache_miss_storm",
            ShopFault::SlowGateway => "slow_gateway",
            ShopFault::Hang => "hang",
            ShopFault::ErrorResponses => "error_responses",
            ShopFault::NetworkPartition => "network_partition",
            ShopFault::RetryStorm => "retry_storm",
            ShopFault::MemoryLeak => "memory_leak",
            ShopFault::FdExhaustion => "fd_exhaustion",
            ShopFault::DiskFull => "disk_full",
            ShopFault::NoisyNeighbour => "noisy_neighbour",
            ShopFault::SlowConsumer => "slow_consumer",
            ShopFault::BadDeployment => "bad_deployment",
            ShopFault::Deployment => "deployment",
            ShopFault::DataCorruption => "data_corruption",
            ShopFault::ClockSkew => "clock_skew",
        }
    }

    /// The services in which it is possible.
    pub fn services(self) -> &'static [Service] {
        use Service::{Cart, Catalogue, Dispatch, Payment, Ratings, Shipping, User, Web};
        match self {
            ShopFault::SlowQuery
            | ShopFault::PoolExhaustion
            | ShopFault::FdExhaustion
            | ShopFault::DiskFull => &[Catalogue, User, Cart, Shipping, Ratings, Dispatch],
            ShopFault::CpuSaturation | ShopFault::NoisyNeighbour | ShopFault::ClockSkew => &[
                Web, Catalogue, User, Cart, Shipping, Ratings, Payment, Dispatch,
            ],
            ShopFault::CacheMissStorm => &[Catalogue, Shipping],
            ShopFault::SlowGateway => &[Payment],
            ShopFault::Hang => &[Catalogue, User, Cart, Shipping, Ratings, Payment],
            ShopFault::ErrorResponses | ShopFault::BadDeployment | ShopFault::Deployment => {
                &[Catalogue, User, Cart, Shipping, Ratings]
            }
            ShopFault::NetworkPartition | ShopFault::RetryStorm => {
                &[Web, Cart, Shipping, Ratings, Payment]
            }
            ShopFault::MemoryLeak => &[Web, Catalogue, User, Cart, Shipping, Ratings, Payment],
            ShopFault::SlowConsumer => &[Dispatch],
            ShopFault::DataCorruption => &[Cart],
        }
    }

    /// What happens, in a sentence.
    pub fn summary(self) -> &'static str {
        match self {
            ShopFault::SlowQuery => "Statements do more work in the database, one after the other.",
            ShopFault::PoolExhaustion => {
                "The connections of the database pool are held by open transactions."
            }
            ShopFault::CpuSaturation => "Computation competes for the service's thread.",
            ShopFault::CacheMissStorm => "Keys explode: lookups miss, and entries are evicted.",
            ShopFault::SlowGateway => {
                "The outside payment gateway is slow, and works on few requests at a time."
            }
            ShopFault::Hang => "Requests are accepted and not answered.",
            ShopFault::ErrorResponses => "The service can't open its database and answers 503.",
            ShopFault::NetworkPartition => {
                "The service's calls of others get no connection, as over a cut network."
            }
            ShopFault::RetryStorm => {
                "The service does not accept answers of others and asks again at once, up to ten times."
            }
            ShopFault::MemoryLeak => {
                "Each request leaves memory behind, and goes through all that was left."
            }
            ShopFault::FdExhaustion => {
                "Open files use up the process's file descriptors: no connection can be opened or accepted."
            }
            ShopFault::DiskFull => {
                "The process may not write to its disk any more: statements that change something fail."
            }
            ShopFault::NoisyNeighbour => {
                "Another process computes on the processor on which the service answers requests."
            }
            ShopFault::SlowConsumer => {
                "Consumers of the queue stand still, so that messages pile up."
            }
            ShopFault::BadDeployment => {
                "A new release answers a share of the requests: it asks the database too often, and fails."
            }
            ShopFault::Deployment => {
                "A new release answers a share of the requests as the old one does; it begins with empty caches and no connections."
            }
            ShopFault::DataCorruption => {
                "Carts are stored and answered with a wrong total, and can't be used afterwards."
            }
            ShopFault::ClockSkew => {
                "The clock by which the service stamps its spans and log records is ahead."
            }
        }
    }

    /// Whether it breaks nothing: data of its time is normal.
    pub fn is_harmless(self) -> bool {
        self == ShopFault::Deployment
    }

    /// Whether it acts on single requests, so that it can be for some clients only.
    pub fn is_by_client(self) -> bool {
        use ShopFault::{
            BadDeployment, DataCorruption, Deployment, ErrorResponses, Hang, MemoryLeak,
            NetworkPartition, RetryStorm, SlowQuery,
        };
        matches!(
            self,
            SlowQuery
                | Hang
                | ErrorResponses
                | NetworkPartition
                | RetryStorm
                | MemoryLeak
                | BadDeployment
                | Deployment
                | DataCorruption
        )
    }

    /// The process in which it takes place: the gateway for what payment suffers from it, and the
    /// service itself for all else.
    pub fn process(self, service: Service) -> Service {
        match self {
            ShopFault::SlowGateway => Service::Gateway,
            _ => service,
        }
    }
}

impl fmt::Display for ShopFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ShopFault {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        ShopFault::ALL
            .into_iter()
            .find(|f| f.as_str() == name)
            .ok_or(())
    }
}

/// How strong a fault is: above 0, up to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Intensity(f64);

impl Intensity {
    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Intensity {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if value > 0.0 && value <= 1.0 {
            Ok(Intensity(value))
        } else {
            Err(format!(
                "intensity is {value}, but must be above 0 and at most 1"
            ))
        }
    }
}

impl From<Intensity> for f64 {
    fn from(intensity: Intensity) -> f64 {
        intensity.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_back() {
        for fault in ShopFault::ALL {
            assert_eq!(fault.as_str().parse(), Ok(fault));
            let json = serde_json::to_string(&fault).expect("a name is JSON");
            assert_eq!(json, format!("\"{fault}\""));
        }
        assert_eq!("slow-query".parse::<ShopFault>(), Err(()));
    }

    #[test]
    fn nan_is_no_intensity() {
        assert!(Intensity::try_from(f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn intensity_is_above_zero_up_to_one(value in -2.0..2.0f64) {
            let valid = value > 0.0 && value <= 1.0;
            prop_assert_eq!(Intensity::try_from(value).is_ok(), valid);
        }
    }
}
