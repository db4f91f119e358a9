//! SIGINT and SIGTERM: the first ends a run in good order, the second at once, the third ends the
//! process.

use loadgen_engine::Interrupt;
use loadgen_program::Shutdown;
use tokio::sync::{mpsc, watch};

use crate::display::say;
use crate::exit::Exit;

/// Counts the signals that came.
#[derive(Debug, Clone)]
pub(crate) struct Interrupts(watch::Receiver<u32>);

impl Interrupts {
    /// Starts to listen.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Shutdown::listen(false).map(Self::count_of)
    }

    /// The end of standard input counts as a signal, too: whoever started this process is gone.
    pub(crate) fn listen_also_to_stdin() -> std::io::Result<Self> {
        Shutdown::listen(true).map(Self::count_of)
    }

    fn count_of(mut stop: Shutdown) -> Self {
        let (count, receiver) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                stop.asked().await;
                count.send_modify(|n| *n += 1);
                match *count.borrow() {
                    1 => say("stopping: requests in flight may finish; once more stops at once"),
                    2 => say("stopping at once"),
                    _ => std::process::exit(Exit::Interrupted as i32),
                }
            }
        });
        Self(receiver)
    }

    /// Signals that have come so far.
    pub(crate) fn count(&self) -> u32 {
        *self.0.borrow()
    }

    /// Waits for the n-th signal since the start.
    pub(crate) async fn nth(&self, n: u32) {
        let mut count = self.0.clone();
        if count.wait_for(|count| *count >= n).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The signals in the engine's terms.
    pub(crate) fn forward(&self, to: mpsc::UnboundedSender<Interrupt>) {
        let interrupts = self.clone();
        tokio::spawn(async move {
            interrupts.nth(1).await;
            let _ = to.send(Interrupt::Gracefully);
            interrupts.nth(2).await;
            let _ = to.send(Interrupt::AtOnce);
        });
    }
}
