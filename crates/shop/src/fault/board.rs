//! The faults of one process: what each of them acts on, and how it is put on and taken off.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use opentelemetry::Context;
use tokio::runtime::Handle;

use super::burner::{Burner, Heartbeat};
use super::dial::Dial;
use super::leak::Leak;
use super::limits::NoDisk;
use super::neighbour::Neighbour;
use super::partition::Partition;
use super::rounds::InRounds;
use crate::cache::Storm;
use crate::record::{Effect, While};
use crate::store::{Database, DbError};
use crate::telemetry::{NewRelease, Telemetry};
use loadgen_shop_api::Service;
use loadgen_shop_api::{ClientCells, Intensity, ShopFault};

/// A process's switches.
pub(crate) struct FaultBoard {
    service: Service,
    runtime: Handle,
    telemetry: Arc<Telemetry>,
    hang: Dial,
    refuse: Dial,
    /// The share of the new release with bugs.
    bad_release: Dial,
    /// The share of the new release without bugs.
    good_release: Dial,
    pub(crate) leak: Leak,
    /// Read by clients of other services.
    pub(crate) retry: Dial,
    pub(crate) partition: Partition,
    /// Read by dispatch's consumers.
    pub(crate) consumers: Dial,
    /// Read where carts are stored.
    pub(crate) corruption: Dial,
    /// What puts right in the database what the corruption has left there.
    mend: OnceLock<&'static str>,
    /// Read by the gateway's handler.
    pub(crate) gateway: Dial,
    database: OnceLock<Database>,
    caches: Mutex<Vec<Arc<dyn Storm>>>,
    burner: tokio::sync::Mutex<Option<Burner>>,
    neighbour: Neighbour,
    /// Sees when the neighbour has the processor, where a record is kept.
    heartbeat: tokio::sync::Mutex<Option<Heartbeat>>,
    disk: InRounds,
}

impl FaultBoard {
    /// `runtime` is the one that answers requests.
    pub(crate) fn new(telemetry: Arc<Telemetry>, runtime: Handle) -> Arc<Self> {
        Arc::new(FaultBoard {
            service: telemetry.service,
            runtime,
            telemetry,
            hang: Dial::default(),
            refuse: Dial::default(),
            bad_release: Dial::default(),
            good_release: Dial::default(),
            leak: Leak::default(),
            retry: Dial::default(),
            partition: Partition::default(),
            consumers: Dial::default(),
            corruption: Dial::default(),
            mend: OnceLock::new(),
            gateway: Dial::default(),
            database: OnceLock::new(),
            caches: Mutex::default(),
            burner: tokio::sync::Mutex::default(),
            neighbour: Neighbour::default(),
            heartbeat: tokio::sync::Mutex::default(),
            disk: InRounds::default(),
        })
    }

    /// Tells which database the faults act on.
    pub(crate) fn act_on_database(&self, database: Database) {
        // A service has one database; a second one would not be struck.
        let _ = self.database.set(database);
    }

    /// Tells of a cache that a storm acts on.
    pub(crate) fn act_on_cache(&self, cache: Arc<dyn Storm>) {
        self.caches().push(cache);
    }

    /// Tells the SQL that puts right what is wrong in the database after a corruption.
    pub(crate) fn mend_with(&self, sql: &'static str) {
        // As with the database.
        let _ = self.mend.set(sql);
    }

    /// Puts a fault on for some clients or for all, or changes its intensity. Returns when it is in
    /// force.
    pub(crate) async fn inject(
        &self,
        fault: ShopFault,
        intensity: Intensity,
        clients: Option<ClientCells>,
    ) -> Result<(), String> {
        self.telemetry.record.put_on(fault);
        self.telemetry.reach.limit(fault, clients);
        let injected = self.put_on(fault, intensity).await;
        if injected.is_err() {
            self.is_off(fault);
        }
        injected
    }

    async fn put_on(&self, fault: ShopFault, intensity: Intensity) -> Result<(), String> {
        let level = intensity.get();
        match fault {
            ShopFault::SlowQuery => self
                .database(fault)?
                .slow_down(level)
                .await
                .map_err(|e| e.to_string())?,
            ShopFault::PoolExhaustion => self.database(fault)?.hold(level).await,
            ShopFault::CpuSaturation => {
                let mut burner = self.burner.lock().await;
                match burner.as_ref() {
                    Some(burner) => burner.set(level),
                    None => {
                        *burner = {
                            let record = self.telemetry.record.clone();
                            Some(Burner::start(&self.runtime, level, record))
                        }
                    }
                }
            }
            ShopFault::CacheMissStorm => {
                let caches = self.caches();
                if caches.is_empty() {
                    return Err(self.impossible(fault));
                }
                caches.iter().for_each(|cache| cache.storm(level));
            }
            ShopFault::SlowGateway => self.gateway.set(level),
            ShopFault::Hang => self.hang.set(level),
            ShopFault::ErrorResponses => {
                self.database(fault)?;
                self.refuse.set(level);
            }
            ShopFault::NetworkPartition => self.partition.begin(level).await?,
            ShopFault::RetryStorm => self.retry.set(level),
            ShopFault::MemoryLeak => self.leak.begin(level),
            ShopFault::FdExhaustion => self.database(fault)?.leak(level).await,
            ShopFault::DiskFull => self.disk.on(NoDisk::new()?, level).await,
            ShopFault::NoisyNeighbour => {
                self.neighbour.begin(level).await?;
                let record = &self.telemetry.record;
                if record.is_kept() {
                    let beat = || Heartbeat::start(&self.runtime, record.clone());
                    self.heartbeat.lock().await.get_or_insert_with(beat);
                }
            }
            ShopFault::SlowConsumer => self.consumers.set(level),
            ShopFault::BadDeployment => {
                self.prepare_new_release()?;
                self.bad_release.set(level);
            }
            ShopFault::Deployment => {
                self.prepare_new_release()?;
                self.start_cold();
                self.good_release.set(level);
            }
            ShopFault::DataCorruption => self.corruption.set(level),
            ShopFault::ClockSkew => self.telemetry.skew_clock(level),
        }
        Ok(())
    }

    /// Takes a fault off. Returns when it is gone. Taking off what is not on changes nothing.
    pub(crate) async fn clear(&self, fault: ShopFault) -> Result<(), String> {
        let cleared = self.take_off(fault).await;
        if cleared.is_ok() {
            self.is_off(fault);
        }
        cleared
    }

    fn is_off(&self, fault: ShopFault) {
        self.telemetry.record.took_off(fault);
        self.telemetry.reach.limit(fault, None);
    }

    async fn take_off(&self, fault: ShopFault) -> Result<(), String> {
        match fault {
            ShopFault::SlowQuery => {
                if let Some(database) = self.database.get() {
                    database.speed_up();
                }
            }
            ShopFault::PoolExhaustion => {
                if let Some(database) = self.database.get() {
                    database.release().await;
                }
            }
            ShopFault::CpuSaturation => {
                let burner = self.burner.lock().await.take();
                if let Some(burner) = burner {
                    burner.stop().await;
                }
            }
            ShopFault::CacheMissStorm => self.caches().iter().for_each(|cache| cache.storm(0.0)),
            ShopFault::SlowGateway => self.gateway.set(0.0),
            ShopFault::Hang => self.hang.set(0.0),
            ShopFault::ErrorResponses => self.refuse.set(0.0),
            ShopFault::NetworkPartition => self.partition.end(),
            ShopFault::RetryStorm => self.retry.set(0.0),
            ShopFault::MemoryLeak => self.leak.end(),
            ShopFault::FdExhaustion => {
                if let Some(database) = self.database.get() {
                    database.stop_leak().await;
                }
            }
            ShopFault::DiskFull => self.disk.off().await,
            ShopFault::NoisyNeighbour => {
                self.neighbour.end().await?;
                self.heartbeat.lock().await.take();
            }
            ShopFault::SlowConsumer => self.consumers.set(0.0),
            ShopFault::BadDeployment => self.bad_release.set(0.0),
            ShopFault::Deployment => self.good_release.set(0.0),
            ShopFault::DataCorruption => {
                self.corruption.set(0.0);
                if let (Some(database), Some(sql)) = (self.database.get(), self.mend.get()) {
                    database.mend(sql).await.map_err(|e| e.to_string())?;
                }
            }
            ShopFault::ClockSkew => self.telemetry.skew_clock(0.0),
        }
        Ok(())
    }

    /// A request waits here while the service hangs. Those that still wait when the fault is taken
    /// off go on.
    pub(crate) async fn hang_point(&self, context: &Context) {
        if self.meets(ShopFault::Hang, context) && self.hang.strikes() {
            let _recorded = While::new(&self.telemetry.record, ShopFault::Hang, context);
            self.hang.off().await;
        }
    }

    /// The error of a request that the database refuses; none as a rule.
    pub(crate) async fn refusal(&self, context: &Context) -> Option<DbError> {
        if !self.meets(ShopFault::ErrorResponses, context) || !self.refuse.strikes() {
            return None;
        }
        let refused = self.database.get()?.refused(context).await;
        if refused.is_some() {
            self.telemetry
                .record
                .touch(ShopFault::ErrorResponses, Effect::Failed, context, None);
        }
        refused
    }

    /// Whether a fault is for the client of a request.
    pub(crate) fn meets(&self, fault: ShopFault, context: &Context) -> bool {
        self.telemetry.reach.meets(fault, context)
    }

    /// The new release that answers a request, where it is not the old one.
    pub(crate) fn release_for(&self, context: &Context) -> Option<NewRelease> {
        let answers = |fault, share: &Dial| self.meets(fault, context) && share.strikes();
        if answers(ShopFault::BadDeployment, &self.bad_release) {
            return Some(NewRelease { has_bugs: true });
        }
        answers(ShopFault::Deployment, &self.good_release).then_some(NewRelease { has_bugs: false })
    }

    fn prepare_new_release(&self) -> Result<(), String> {
        let prepared = self.telemetry.prepare_new_release();
        prepared.map_err(|e| e.to_string())
    }

    /// A release that has just started has nothing in its caches, and opens its connections when
    /// they are first needed.
    fn start_cold(&self) {
        self.caches().iter().for_each(|cache| cache.empty());
        if let Some(database) = self.database.get() {
            database.close_idle();
        }
    }

    fn database(&self, fault: ShopFault) -> Result<&Database, String> {
        self.database.get().ok_or_else(|| self.impossible(fault))
    }

    fn caches(&self) -> std::sync::MutexGuard<'_, Vec<Arc<dyn Storm>>> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn impossible(&self, fault: ShopFault) -> String {
        format!("{fault} is not possible in {}", self.service)
    }
}
