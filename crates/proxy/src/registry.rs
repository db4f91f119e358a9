//! All proxies with their toxics and leases, and what can be done with them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::api::body::{
    AskedClaim, ClaimView, NewToxic, ProxyChange, ProxyView, ToxicChange, ToxicView,
};
use crate::api::error::ApiError;
use crate::edge::Edge;
use crate::lease::{Claim, LeaseBook, Target};
use crate::notice::tell;
use crate::options::ProxySpec;
use crate::toxic::{Kind, Stream, TYPES, Toxic};

/// How long to wait until a fault is tried again to be taken away, where that failed.
const RETRY: Duration = Duration::from_secs(1);

/// All proxies, by name.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    edges: BTreeMap<String, Edge>,
    leases: LeaseBook,
    /// Told when a claim is entered, which may be the next to end.
    entered: Arc<Notify>,
}

impl Registry {
    /// Told when [`Registry::expire`] should look again.
    pub(crate) fn entered(&self) -> Arc<Notify> {
        Arc::clone(&self.entered)
    }

    pub(crate) fn list(&self) -> BTreeMap<&str, ProxyView> {
        let all = self.edges.iter();
        all.map(|(name, edge)| (name.as_str(), self.view(name, edge)))
            .collect()
    }

    pub(crate) fn show(&self, name: &str) -> Result<ProxyView, ApiError> {
        Ok(self.view(name, self.edge(name)?))
    }

    pub(crate) async fn create(&mut self, new: ProxySpec) -> Result<ProxyView, ApiError> {
        check(&new)?;
        if self.edges.contains_key(&new.name) {
            return Err(ApiError::ProxyExists(new.name));
        }
        self.put(&new).await?;
        self.show(&new.name)
    }

    /// Creates proxies, or puts them in the place of those of the same names. One that has these
    /// addresses already stays as it is, with its toxics and connections, up or down. After an
    /// error, those before it are there.
    pub(crate) async fn populate(
        &mut self,
        all: Vec<ProxySpec>,
    ) -> (Vec<ProxyView>, Option<ApiError>) {
        if let Some(error) = all.iter().find_map(|new| check(new).err()) {
            return (Vec::new(), Some(error));
        }
        let mut done = Vec::new();
        for new in all {
            let is_there = |edge: &Edge| edge.is_at(&new.listen, &new.upstream);
            let mut put = Ok(());
            if !self.edges.get(&new.name).is_some_and(is_there) {
                self.remove(&new.name).await;
                put = self.put(&new).await;
            }
            match put.and_then(|()| self.show(&new.name)) {
                Ok(view) => done.push(view),
                Err(error) => return (done, Some(error)),
            }
        }
        (done, None)
    }

    pub(crate) async fn update(
        &mut self,
        name: &str,
        change: ProxyChange,
        now: Instant,
    ) -> Result<ProxyView, ApiError> {
        let edge = self.edge(name)?;
        let (was_up, target) = (edge.is_up(), Target::down(name));
        let asked = change.asked;
        if asked.lease_ms.is_some() && change.enabled != Some(false) {
            let text = "`lease_ms` of a proxy needs `enabled: false`, which is what it ends";
            return Err(ApiError::BadBody(text.to_owned()));
        }
        let down = change.enabled == Some(false);
        let claim = self.claim(&target, &asked, !was_up && down)?;
        let listen = change.listen.unwrap_or_else(|| edge.listen().to_owned());
        let upstream = change
            .upstream
            .unwrap_or_else(|| edge.upstream().to_owned());
        let up = change.enabled.unwrap_or(was_up);
        let edge = self.edge_mut(name)?;
        let changed = edge.change(&listen, &upstream, up).await;
        let is_up = edge.is_up();
        match claim {
            _ if is_up => self.leases.strike(&target),
            Some(claim) if down => self.enter(target, claim, now),
            _ => {}
        }
        changed.map_err(|e| cannot_listen(&listen, &e))?;
        self.show(name)
    }

    pub(crate) async fn delete(&mut self, name: &str) -> Result<(), ApiError> {
        self.edge(name)?;
        self.remove(name).await;
        Ok(())
    }

    /// Enables all proxies and takes all toxics away, whoever made them.
    pub(crate) async fn reset(&mut self) -> Result<(), ApiError> {
        let names: Vec<String> = self.edges.keys().cloned().collect();
        for name in names {
            self.switch(&name, true).await?;
            let toxics = self.edge(&name)?.links().toxics();
            for toxic in toxics {
                self.remove_toxic(&name, &toxic.name)?;
            }
        }
        Ok(())
    }

    pub(crate) fn toxics(&self, proxy: &str) -> Result<Vec<ToxicView>, ApiError> {
        Ok(self.view(proxy, self.edge(proxy)?).toxics)
    }

    pub(crate) fn toxic(&self, proxy: &str, name: &str) -> Result<ToxicView, ApiError> {
        let toxic = self.find_toxic(proxy, name)?;
        Ok(self.toxic_view(proxy, toxic))
    }

    pub(crate) fn add_toxic(
        &mut self,
        proxy: &str,
        new: NewToxic,
        now: Instant,
    ) -> Result<ToxicView, ApiError> {
        let links = self.edge(proxy)?.links();
        let stream = stream(new.stream.as_deref().unwrap_or("downstream"))?;
        if !TYPES.contains(&new.kind.as_str()) {
            return Err(ApiError::InvalidType(new.kind));
        }
        let name = match new.name {
            name if name.is_empty() => format!("{}_{}", new.kind, stream.as_str()),
            name => name,
        };
        if links.toxic(&name).is_some() {
            return Err(ApiError::ToxicExists(name));
        }
        let toxic = Toxic {
            kind: Kind::read(&new.kind, new.attributes).map_err(ApiError::BadBody)?,
            toxicity: toxicity(new.toxicity.unwrap_or(1.0))?,
            name,
            stream,
        };
        let target = Target::toxic(proxy, &toxic.name);
        let claim = self.claim(&target, &new.asked, false)?;
        self.edge(proxy)?.links().add(toxic.clone());
        if let Some(claim) = claim {
            self.enter(target, claim, now);
        }
        Ok(self.toxic_view(proxy, toxic))
    }

    pub(crate) fn update_toxic(
        &mut self,
        proxy: &str,
        name: &str,
        change: ToxicChange,
        now: Instant,
    ) -> Result<ToxicView, ApiError> {
        let before = self.find_toxic(proxy, name)?;
        let target = Target::toxic(proxy, name);
        let claim = self.claim(&target, &change.asked, true)?;
        let toxic = Toxic {
            kind: before
                .kind
                .with(change.attributes)
                .map_err(ApiError::BadBody)?,
            toxicity: toxicity(change.toxicity.unwrap_or(before.toxicity))?,
            ..before
        };
        self.edge(proxy)?.links().update(toxic.clone());
        if let Some(claim) = claim {
            self.enter(target, claim, now);
        }
        Ok(self.toxic_view(proxy, toxic))
    }

    pub(crate) fn remove_toxic(&mut self, proxy: &str, name: &str) -> Result<(), ApiError> {
        self.find_toxic(proxy, name)?;
        self.edge(proxy)?.links().remove(name);
        self.leases.strike(&Target::toxic(proxy, name));
        Ok(())
    }

    /// Begins all leases of an owner anew; says how many faults are the owner's.
    pub(crate) fn renew(&mut self, owner: &str, now: Instant) -> usize {
        self.leases.renew(owner, now)
    }

    /// Takes all faults of an owner away; says how many there were. After an error, only what could
    /// not be taken away is there.
    pub(crate) async fn release(&mut self, owner: &str) -> Result<usize, ApiError> {
        let own = self.leases.of(owner);
        let mut ended = Ok(own.len());
        for target in &own {
            if let Err(error) = self.end(target).await {
                ended = Err(error);
            }
        }
        ended
    }

    /// Takes away what nobody has renewed in time; says when to look again.
    pub(crate) async fn expire(&mut self, now: Instant) -> Option<Instant> {
        let mut failed = None;
        for target in self.leases.over(now) {
            match self.end(&target).await {
                Ok(()) => tell(format_args!(
                    "{target} has ended: its lease was not renewed"
                )),
                Err(error) => {
                    tell(format_args!(
                        "{target} should end, but: {error}; trying again"
                    ));
                    failed = Some(now + RETRY);
                }
            }
        }
        failed.or(self.leases.next_end())
    }

    /// Ends all proxies.
    pub(crate) async fn stop(&mut self) {
        for edge in self.edges.values_mut() {
            edge.stop().await;
        }
    }

    async fn end(&mut self, target: &Target) -> Result<(), ApiError> {
        match &target.toxic {
            Some(toxic) => self.remove_toxic(&target.proxy, toxic),
            None => self.switch(&target.proxy, true).await,
        }
    }

    /// Puts a proxy up or down, by hand.
    async fn switch(&mut self, name: &str, up: bool) -> Result<(), ApiError> {
        let edge = self.edge_mut(name)?;
        match up {
            true => {
                let started = edge.start().await;
                started.map_err(|e| cannot_listen(edge.listen(), &e))?;
                self.leases.strike(&Target::down(name));
            }
            false => edge.stop().await,
        }
        Ok(())
    }

    async fn put(&mut self, new: &ProxySpec) -> Result<(), ApiError> {
        let mut edge = Edge::new(&new.listen, &new.upstream);
        if new.enabled {
            edge.start()
                .await
                .map_err(|e| cannot_listen(edge.listen(), &e))?;
        }
        self.edges.insert(new.name.clone(), edge);
        Ok(())
    }

    async fn remove(&mut self, name: &str) {
        if let Some(mut edge) = self.edges.remove(name) {
            edge.stop().await;
            self.leases.strike_proxy(name);
        }
    }

    fn enter(&mut self, target: Target, claim: Claim, now: Instant) {
        self.leases.enter(target, claim, now);
        self.entered.notify_one();
    }

    /// The claim that a change leaves: what is asked for, and for the rest what was. None: as it
    /// is.
    fn claim(
        &self,
        target: &Target,
        asked: &AskedClaim,
        is_there: bool,
    ) -> Result<Option<Claim>, ApiError> {
        if asked.is_none() {
            return Ok(None);
        }
        let before = self.leases.claim(target);
        let what = || target.to_string();
        match (before, &asked.owner) {
            (Some(Claim { owner, .. }), Some(other)) if owner != other => {
                let owner = owner.clone();
                return Err(match owner.is_empty() {
                    true => ApiError::ByHand { what: what() },
                    false => ApiError::OfAnother {
                        what: what(),
                        owner,
                    },
                });
            }
            (None, _) if is_there => return Err(ApiError::ByHand { what: what() }),
            _ => {}
        }
        let owner = asked
            .owner
            .clone()
            .or(before.map(|claim| claim.owner.clone()));
        Ok(Some(Claim {
            owner: owner.unwrap_or_default(),
            lasts: asked.lasts().or(before.and_then(|claim| claim.lasts)),
        }))
    }

    fn edge(&self, name: &str) -> Result<&Edge, ApiError> {
        let edge = self.edges.get(name);
        edge.ok_or_else(|| ApiError::ProxyNotFound(name.to_owned()))
    }

    fn edge_mut(&mut self, name: &str) -> Result<&mut Edge, ApiError> {
        let edge = self.edges.get_mut(name);
        edge.ok_or_else(|| ApiError::ProxyNotFound(name.to_owned()))
    }

    fn find_toxic(&self, proxy: &str, name: &str) -> Result<Toxic, ApiError> {
        let toxic = self.edge(proxy)?.links().toxic(name);
        toxic.ok_or_else(|| ApiError::ToxicNotFound(name.to_owned()))
    }

    fn view(&self, name: &str, edge: &Edge) -> ProxyView {
        let toxics = edge.links().toxics().into_iter();
        ProxyView {
            name: name.to_owned(),
            listen: edge.listen().to_owned(),
            upstream: edge.upstream().to_owned(),
            enabled: edge.is_up(),
            toxics: toxics.map(|toxic| self.toxic_view(name, toxic)).collect(),
            claim: self.claim_view(&Target::down(name)),
        }
    }

    fn toxic_view(&self, proxy: &str, toxic: Toxic) -> ToxicView {
        let claim = self.claim_view(&Target::toxic(proxy, &toxic.name));
        ToxicView { toxic, claim }
    }

    fn claim_view(&self, target: &Target) -> ClaimView {
        self.leases
            .claim(target)
            .map(ClaimView::from)
            .unwrap_or_default()
    }
}

/// What every proxy needs.
fn check(new: &ProxySpec) -> Result<(), ApiError> {
    for (field, value) in [("name", &new.name), ("upstream", &new.upstream)] {
        if value.is_empty() {
            return Err(ApiError::MissingField(field));
        }
    }
    Ok(())
}

fn stream(name: &str) -> Result<Stream, ApiError> {
    let both = [Stream::Upstream, Stream::Downstream];
    let stream = both.into_iter().find(|stream| stream.as_str() == name);
    stream.ok_or_else(|| ApiError::InvalidStream(name.to_owned()))
}

fn toxicity(share: f64) -> Result<f64, ApiError> {
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err(ApiError::BadBody(format!(
            "`toxicity` is {share}, but must be from 0 to 1"
        ))),
    }
}

fn cannot_listen(address: &str, error: &std::io::Error) -> ApiError {
    ApiError::Listen {
        address: address.to_owned(),
        reason: error.to_string(),
    }
}
