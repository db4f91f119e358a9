//! The recorder thread: feeds events to the consumers, one after the other.

use std::sync::mpsc;

use loadgen_timeline::event::Event;
use tokio::sync::mpsc::UnboundedSender;

use crate::error::EngineError;
use crate::event::{Consumer, EngineEvent};

/// Events that may wait for the recorder. Workers keep their records when it is full.
pub(crate) const WAITING_EVENTS: usize = 1024;

/// Runs until `run_finished` or until nobody can send any more. The first error is reported
/// through `failed` at once, which ends the run; the consumers that still work see the rest of it.
pub(crate) fn record(
    mut consumers: Vec<Box<dyn Consumer>>,
    incoming: &mpsc::Receiver<EngineEvent>,
    failed: &UnboundedSender<()>,
) -> Option<EngineError> {
    let mut error = None;
    let mut give_up = |consumer: &dyn Consumer, source| {
        let name = consumer.name().to_owned();
        error.get_or_insert(EngineError::Consumer { name, source });
        let _ = failed.send(());
    };
    for event in incoming {
        consumers.retain_mut(|consumer| {
            let taken = consumer.take(&event);
            // A worker that waits for this processor has requests to send.
            std::thread::yield_now();
            match taken {
                Ok(()) => true,
                Err(source) => {
                    give_up(consumer.as_ref(), source);
                    false
                }
            }
        });
        if matches!(event, EngineEvent::Timeline(Event::RunFinished(_))) {
            break;
        }
    }
    for mut consumer in consumers {
        if let Err(source) = consumer.finish() {
            give_up(consumer.as_ref(), source);
        }
    }
    error
}

/// Sends a line for the timeline. The other end is gone only together with the recorder, whose
/// end the run notices by itself.
pub(crate) fn send(events: &mpsc::SyncSender<EngineEvent>, line: Event) {
    let _ = events.send(EngineEvent::Timeline(line));
}
