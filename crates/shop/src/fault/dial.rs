//! How strong a fault is at the moment, as the code that it strikes asks for it.

use tokio::sync::watch;

/// A level from 0 (no fault) to 1, which can be waited on.
#[derive(Debug, Clone)]
pub(crate) struct Dial(watch::Sender<f64>);

impl Default for Dial {
    fn default() -> Self {
        Dial(watch::Sender::new(0.0))
    }
}

impl Dial {
    /// The level.
    pub(crate) fn level(&self) -> f64 {
        *self.0.borrow()
    }

    /// Changes the level; 0 is off.
    pub(crate) fn set(&self, level: f64) {
        self.0.send_replace(level);
    }

    /// True with a chance of the level.
    pub(crate) fn strikes(&self) -> bool {
        let level = self.level();
        level > 0.0 && rand::random::<f64>() < level
    }

    /// Waits until the level is 0.
    pub(crate) async fn off(&self) {
        self.until(|level| level == 0.0).await;
    }

    /// Waits until the level is as it is to be.
    pub(crate) async fn until(&self, is_so: impl Fn(f64) -> bool) {
        // The sender lives as long as `self`, so this can only end by the level.
        let _ = self.0.subscribe().wait_for(|level| is_so(*level)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_never_strikes_and_full_always_does() {
        let dial = Dial::default();
        assert!((0..1_000).all(|_| !dial.strikes()));
        dial.set(1.0);
        assert!((0..1_000).all(|_| dial.strikes()));
    }

    #[tokio::test]
    async fn waiting_ends_when_the_level_falls_to_zero() {
        let dial = Dial::default();
        dial.set(0.5);
        let waiting = tokio::spawn({
            let dial = dial.clone();
            async move { dial.off().await }
        });
        dial.set(0.7);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        dial.set(0.0);
        waiting.await.expect("the wait ends");
    }
}
