//! How a run ends other than by itself.

/// A wish to end the run early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Start nothing more, let requests in flight finish.
    Gracefully,
    /// The same, because the target has gone: the run has failed.
    TargetGone,
    /// At once.
    AtOnce,
}

/// Why a run failed. The timeline says `failed` and is readable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A consumer could not do its work.
    #[error("can't write {name}: {source}; the run was stopped, what was written so far is kept")]
    Consumer {
        /// What the consumer makes.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A worker could not start or broke down.
    #[error("a worker broke down: {0}")]
    Worker(String),
    /// k6 could not start, or ended too early.
    #[error("{0}")]
    K6(String),
    /// The wish to end it came before the load began; nothing was written.
    #[error("ended by a signal before the load began")]
    NotBegun,
    /// The moment that was agreed on for the start had passed; nothing was written.
    #[error(
        "too late: the run was to start {:.1} s before this generator was ready\n\
         Start all of them anew, and give them more time.",
        by.as_secs_f64()
    )]
    Late {
        /// By how much.
        by: std::time::Duration,
    },
    /// The HTTP client can't be set up.
    #[error("can't set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}
