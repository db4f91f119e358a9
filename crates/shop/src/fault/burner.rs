//! CPU saturation: computation on the service's own runtime thread, so that requests have to wait
//! for it as for a handler that computes too much.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::record::Record;

/// Length of one stretch of computation and the pause after it, together.
const PERIOD: Duration = Duration::from_millis(20);
/// Pause at least, so that the thread gets to its requests at all at full intensity.
const PAUSE_AT_LEAST: Duration = Duration::from_millis(1);

/// A running computation.
#[derive(Debug)]
pub(crate) struct Burner {
    duty: watch::Sender<f64>,
    task: JoinHandle<()>,
}

impl Burner {
    /// Starts computing for the share `duty` (0 to 1) of the runtime thread's time.
    pub(crate) fn start(runtime: &Handle, duty: f64, record: Record) -> Self {
        let (sender, mut receiver) = watch::channel(duty);
        let task = runtime.spawn(async move {
            let mut block = [0x9e37_79b9_7f4a_7c15_u64; 512];
            loop {
                let duty = *receiver.borrow_and_update();
                let (busy, pause) = split(duty);
                let since = SystemTime::now();
                compute(&mut block, busy);
                record.stretch(since, SystemTime::now());
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    changed = receiver.changed() => if changed.is_err() { break },
                }
            }
        });
        Burner { duty: sender, task }
    }

    /// Changes the share.
    pub(crate) fn set(&self, duty: f64) {
        self.duty.send_replace(duty);
    }

    /// Ends the computation and waits for its end.
    pub(crate) async fn stop(self) {
        drop(self.duty);
        // A panic of the computation would be its end as well.
        let _ = self.task.await;
    }
}

/// Sees when the runtime thread does not run although it should: a task of it that wants to go on
/// after each [`BEAT`], and notes when it comes much later.
#[derive(Debug)]
pub(crate) struct Heartbeat(JoinHandle<()>);

/// Time between two beats.
const BEAT: Duration = Duration::from_millis(1);
/// A beat that is so much later says that the thread stood still: timers are a millisecond late by
/// themselves.
const LATE: Duration = Duration::from_millis(3);

impl Heartbeat {
    /// Starts noting on the runtime thread.
    pub(crate) fn start(runtime: &Handle, record: Record) -> Self {
        Heartbeat(runtime.spawn(async move {
            loop {
                let due = SystemTime::now() + BEAT;
                tokio::time::sleep(BEAT).await;
                let now = SystemTime::now();
                if now.duration_since(due).is_ok_and(|late| late > LATE) {
                    record.stretch(due, now);
                }
            }
        }))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long to compute and how long to pause.
fn split(duty: f64) -> (Duration, Duration) {
    let pause = PERIOD
        .mul_f64((1.0 - duty).clamp(0.0, 1.0))
        .max(PAUSE_AT_LEAST);
    (PERIOD.saturating_sub(pause), pause)
}

/// Mixes the block over and over (xorshift-multiply rounds) until the time is over.
fn compute(block: &mut [u64], time: Duration) {
    let since = Instant::now();
    while since.elapsed() < time {
        for word in black_box(&mut *block) {
            *word ^= *word >> 27;
            *word = word.wrapping_mul(0x94d0_49bb_1331_11eb);
            *word ^= *word >> 31;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stretch_and_pause_fill_the_period(duty in 0.0..=1.0f64) {
            let (busy, pause) = split(duty);
            prop_assert_eq!(busy + pause, PERIOD);
            prop_assert!(pause >= PAUSE_AT_LEAST);
        }
    }
}
