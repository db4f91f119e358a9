//! The cases. Each takes a proxy that has nothing yet, by its API.

pub(crate) mod api;
pub(crate) mod proxies;
pub(crate) mod toxics;

use std::net::SocketAddr;
use std::time::Duration;

use crate::common::{Api, Server, Wire};

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A server, a proxy before it, and a connection that is open already.
async fn edge(api: &Api) -> (Server, SocketAddr, Wire) {
    let server = Server::start().await;
    let address = api.edge(server.address).await;
    let wire = Wire::through(address).await;
    (server, address, wire)
}
