//! Waits for each request's time, sends it, and counts what became of it.

use std::time::{Duration, Instant};

use loadgen_exporter::Exporter;
use loadgen_otlp::{Signal, SignalRequest};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::pace::{Pace, Speed};
use crate::stored::{Batch, ReplayError, Stored};

/// Requests that are read ahead.
const READ_AHEAD: usize = 16;
/// No request is due later than this, 30 years: clocks end somewhere.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// What became of the items of a signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SignalReport {
    /// Items in the files.
    pub stored: u64,
    /// Items that were sent.
    pub sent: u64,
    /// Items that the receiver took.
    pub accepted: u64,
    /// Items that it did not take, or that could not be delivered.
    pub rejected: u64,
}

/// What became of a replay.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ReplayReport {
    /// Spans.
    pub spans: SignalReport,
    /// Data points of metrics.
    pub data_points: SignalReport,
    /// Log records.
    pub log_records: SignalReport,
    /// Requests in the files.
    pub batches_stored: u64,
    /// Requests that were sent.
    pub batches_sent: u64,
    /// Messages in the files that can't be read, without torn ends: nothing of them was sent.
    pub messages_unreadable: u64,
    /// What the receiver had to say last, where it did not take all in silence.
    pub last_reason: Option<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How much later than due a request was sent at most, in seconds.
    pub late_seconds: f64,
    /// It was ended before all was sent.
    pub interrupted: bool,
}

impl ReplayReport {
    /// Whether something that was to be sent did not arrive.
    pub fn has_losses(&self) -> bool {
        let signals = [self.spans, self.data_points, self.log_records];
        self.messages_unreadable > 0 || signals.iter().any(|signal| signal.rejected > 0)
    }

    fn signal(&mut self, signal: Signal) -> &mut SignalReport {
        match signal {
            Signal::Traces => &mut self.spans,
            Signal::Metrics => &mut self.data_points,
            Signal::Logs => &mut self.log_records,
        }
    }
}

/// How far a replay has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Requests that were sent.
    pub batches: u64,
    /// Requests in all.
    pub of: u64,
    /// Items that did not arrive.
    pub rejected: u64,
    /// How long the rest takes; none: that can't be said yet.
    pub left: Option<Duration>,
}

/// Sends what is stored, with all moments moved by `shift_ns`, until `stop` is done. A request that is
/// under way then is still finished.
///
/// # Errors
/// When a file can't be read, or nobody is there to take the first request.
pub async fn replay(
    stored: Stored,
    exporter: &mut Exporter,
    pace: Pace,
    shift_ns: i64,
    mut progress: impl FnMut(Progress),
    stop: impl Future<Output = ()>,
) -> Result<ReplayReport, ReplayError> {
    let mut report = expected(&stored);
    let [_, last_ns] = stored.span_ns();
    let mut batches = read_ahead(stored);
    let mut stop = std::pin::pin!(stop);
    let begin = Instant::now();
    loop {
        let batch = tokio::select! {
            batch = batches.recv() => batch,
            () = &mut stop => {
                report.interrupted = true;
                break;
            }
        };
        let Some(batch) = batch else { break };
        let Batch { at_ns, mut request } = batch?;
        let due = begin + pace.due(at_ns).min(FAR);
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            () = &mut stop => {
                report.interrupted = true;
                break;
            }
        }
        if pace.speed != Speed::Max {
            report.late_seconds = report.late_seconds.max(due.elapsed().as_secs_f64());
        }
        shift(&mut request, shift_ns);
        send(&request, exporter, &mut report).await?;
        let left = left(&report, pace, begin.elapsed(), last_ns);
        progress(progress_of(&report, left));
    }
    report.seconds = begin.elapsed().as_secs_f64();
    Ok(report)
}

fn expected(stored: &Stored) -> ReplayReport {
    let mut report = ReplayReport {
        batches_stored: stored.batches() as u64,
        ..ReplayReport::default()
    };
    let whole = stored.unreadable.iter().filter(|it| !it.skipped.torn);
    report.messages_unreadable = whole.count() as u64;
    for signal in Signal::ALL {
        report.signal(signal).stored = stored.items(signal);
    }
    report
}

fn read_ahead(stored: Stored) -> mpsc::Receiver<Result<Batch, ReplayError>> {
    let (ready, batches) = mpsc::channel(READ_AHEAD);
    tokio::task::spawn_blocking(move || {
        for batch in stored.into_batches() {
            if ready.blocking_send(batch).is_err() {
                break;
            }
        }
    });
    batches
}

/// Moves every moment that is stated.
fn shift(request: &mut SignalRequest, by_ns: i64) {
    request.each_time(&mut |time| {
        if *time != 0 {
            *time = time.saturating_add_signed(by_ns);
        }
    });
}

async fn send(
    request: &SignalRequest,
    exporter: &mut Exporter,
    report: &mut ReplayReport,
) -> Result<(), ReplayError> {
    let outcome = exporter.export(request).await;
    if outcome.is_unreachable && report.batches_sent == 0 {
        return Err(ReplayError::Unreachable {
            url: exporter.url().to_owned(),
            reason: outcome.reason.unwrap_or_default(),
        });
    }
    report.batches_sent += 1;
    report.last_reason = outcome.reason.or(report.last_reason.take());
    let signal = report.signal(request.signal());
    signal.sent += request.items();
    signal.accepted += outcome.accepted;
    signal.rejected += outcome.rejected;
    Ok(())
}

fn progress_of(report: &ReplayReport, left: Option<Duration>) -> Progress {
    let signals = [report.spans, report.data_points, report.log_records];
    Progress {
        batches: report.batches_sent,
        of: report.batches_stored,
        rejected: signals.iter().map(|signal| signal.rejected).sum(),
        left,
    }
}

/// How long the rest takes: until the last request is due, or else as long for each as so far.
fn left(report: &ReplayReport, pace: Pace, elapsed: Duration, last_ns: i64) -> Option<Duration> {
    if pace.speed != Speed::Max {
        return Some(pace.due(last_ns).saturating_sub(elapsed));
    }
    let rest = report.batches_stored.saturating_sub(report.batches_sent) as f64;
    let each = elapsed.as_secs_f64() / report.batches_sent.max(1) as f64;
    Duration::try_from_secs_f64(rest * each).ok()
}
