//! What a service is built from: its telemetry, its faults, its folder, and clients of the services
//! that it calls.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Url;
use rusqlite::Connection;
use tokio::task::JoinSet;

use crate::cache::Cache;
use crate::error::ShopError;
use crate::fault::board::FaultBoard;
use crate::options::ServiceOptions;
use crate::queue::{PUBLISH_PATH, Publisher};
use crate::store::Database;
use crate::telemetry::Telemetry;
use crate::telemetry::client::Client;
use loadgen_shop_api::Service;

/// The parts.
#[derive(Clone)]
pub(crate) struct Kit {
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) faults: Arc<FaultBoard>,
    options: Arc<ServiceOptions>,
    http: reqwest::Client,
    background: Arc<Mutex<JoinSet<()>>>,
}

impl Kit {
    pub(crate) fn new(
        options: ServiceOptions,
        telemetry: Arc<Telemetry>,
        faults: Arc<FaultBoard>,
    ) -> Result<Self, ShopError> {
        // The client is built with TLS and wants to know whose, although the shop speaks plain
        // HTTP only. An error means that somebody has said so before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(64)
            .connect_timeout(Duration::from_secs(1))
            .user_agent(concat!("loadgen-shop/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ShopError::NotReady {
                service: options.service,
                reason: format!("no HTTP client: {error}"),
            })?;
        Ok(Kit {
            telemetry,
            faults,
            options: Arc::new(options),
            http,
            background: Arc::default(),
        })
    }

    /// Starts work that goes on beside the requests. It must end by itself when the service's
    /// routes are dropped.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.background().spawn(work);
    }

    /// Takes what [`Kit::spawn`] started, to wait for its end.
    pub(crate) fn take_background(&self) -> JoinSet<()> {
        std::mem::take(&mut *self.background())
    }

    fn background(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.background
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A client of a service it calls; a call that takes longer than `timeout` is given up.
    pub(crate) fn client(&self, peer: Service, timeout: Duration) -> Result<Client, ShopError> {
        Ok(Client::new(
            self.http.clone(),
            Arc::clone(&self.telemetry),
            Arc::clone(&self.faults),
            peer,
            self.base(peer)?,
            timeout,
        ))
    }

    /// A publisher to dispatch's queue.
    pub(crate) fn publisher(&self, timeout: Duration) -> Result<Publisher, ShopError> {
        let mut url = self.base(Service::Dispatch)?;
        url.set_path(PUBLISH_PATH);
        Ok(Publisher::new(
            self.http.clone(),
            Arc::clone(&self.telemetry),
            url,
            timeout,
        ))
    }

    fn base(&self, peer: Service) -> Result<Url, ShopError> {
        let service = self.options.service;
        let missing = |reason: String| ShopError::NotReady { service, reason };
        let url = self
            .options
            .peers
            .get(&peer)
            .ok_or_else(|| missing(format!("nobody told where {peer} is")))?;
        Url::parse(url).map_err(|error| missing(format!("{url} for {peer} is no URL: {error}")))
    }

    /// The service's database, made with `schema` where it is new.
    pub(crate) async fn database(
        &self,
        schema: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<Database, ShopError> {
        let telemetry = Arc::clone(&self.telemetry);
        let database = Database::create(telemetry, self.data_dir(), schema).await?;
        self.faults.act_on_database(database.clone());
        Ok(database)
    }

    fn data_dir(&self) -> &PathBuf {
        &self.options.data_dir
    }

    /// A cache that a storm can strike.
    pub(crate) fn cache<V: Clone + Default + Send + 'static>(
        &self,
        name: &'static str,
        capacity: NonZeroUsize,
        time_to_live: Duration,
    ) -> Arc<Cache<V>> {
        let cache = Cache::new(Arc::clone(&self.telemetry), name, capacity, time_to_live);
        self.faults.act_on_cache(Arc::clone(&cache) as _);
        cache
    }
}
