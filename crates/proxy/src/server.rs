//! A running proxy: the API, what it manages, and who takes away what was leased.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use loadgen_control::Access;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::body::ProxyView;
use crate::api::{self, Shared};
use crate::error::ProxyError;
use crate::options::ProxyOptions;
use crate::registry::Registry;

/// A proxy that listens. Dropping it ends everything at once; [`ProxyServer::stop`] also waits
/// until all is closed.
#[derive(Debug)]
pub struct ProxyServer {
    address: SocketAddr,
    registry: Shared,
    tasks: JoinSet<()>,
}

impl ProxyServer {
    /// Sets up the proxies, listens, and serves in the background of the current tokio runtime.
    ///
    /// # Errors
    /// When an address can't be had, or the API would be open to everybody.
    pub async fn start(options: ProxyOptions) -> Result<Self, ProxyError> {
        let address = options.listen;
        let access = Access::new(address.ip(), options.token);
        let access = access.map_err(|source| ProxyError::Open { address, source })?;
        let failed = |source| ProxyError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;

        let mut registry = Registry::default();
        if let (_, Some(error)) = registry.populate(options.proxies).await {
            return Err(ProxyError::Proxy {
                reason: error.to_string(),
            });
        }
        let entered = registry.entered();
        let registry = Arc::new(Mutex::new(registry));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(
            listener,
            access.protect(api::routes(Arc::clone(&registry))),
        ));
        tasks.spawn(end_leases(Arc::clone(&registry), entered));
        Ok(Self {
            address,
            registry,
            tasks,
        })
    }

    /// The address of the API.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All proxies by name, as the API shows them.
    pub(crate) async fn proxies(&self) -> Vec<ProxyView> {
        self.registry.lock().await.list().into_values().collect()
    }

    /// Closes the API and all proxies; drops their connections.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.registry.lock().await.stop().await;
    }
}

async fn serve(listener: TcpListener, router: Router) {
    // It returns never: errors of single connections are theirs.
    let _ = axum::serve(listener, router).await;
}

/// Takes faults away whose leases have ended.
async fn end_leases(registry: Shared, entered: Arc<Notify>) {
    loop {
        let next = registry.lock().await.expire(Instant::now()).await;
        tokio::select! {
            () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
            () = entered.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    // The clock is tokio's, which stands still but for those who wait for it.
    #[tokio::test(start_paused = true)]
    async fn a_lease_ends_when_nobody_has_renewed_it_for_its_time() {
        let ms = Duration::from_millis;
        let mut registry = Registry::default();
        let spec = json!({"name": "db", "upstream": "127.0.0.1:1", "enabled": false});
        let spec = serde_json::from_value(spec).unwrap();
        registry.create(spec).await.unwrap();
        let entered = registry.entered();
        let registry = Arc::new(Mutex::new(registry));
        tokio::spawn(end_leases(Arc::clone(&registry), entered));
        let add = async |name: &str, lease_ms: u64| {
            let new = json!({"name": name, "type": "latency", "owner": "a", "lease_ms": lease_ms});
            let new = serde_json::from_value(new).unwrap();
            let mut registry = registry.lock().await;
            registry.add_toxic("db", new, Instant::now()).unwrap();
        };
        let toxics = async || registry.lock().await.toxics("db").unwrap().len();
        add("long", 5_000).await;
        // The second one is to end before the first, which is waited for already.
        tokio::time::sleep(ms(10)).await;
        add("short", 1_000).await;
        for _ in 0..5 {
            tokio::time::sleep(ms(900)).await;
            assert_eq!(registry.lock().await.renew("a", Instant::now()), 2);
        }
        tokio::time::sleep(ms(999)).await;
        assert_eq!(toxics().await, 2);
        tokio::time::sleep(ms(2)).await;
        assert_eq!(toxics().await, 1);
        tokio::time::sleep(ms(4_000)).await;
        assert_eq!(toxics().await, 0);
        assert_eq!(registry.lock().await.renew("a", Instant::now()), 0);
    }
}
