//! The record of what faults did to requests: who wants to know which requests a fault really touched
//! reads it there. It is apart from all telemetry, in which it would give every label away.
//!
//! Without a file to write to nothing here costs anything.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use serde::Serialize;

use loadgen_shop_api::{Service, ShopFault};

/// When a call was sent, Unix nanoseconds, in a header that only calls between services have, and
/// only while a record is kept. Without it nobody knows how long a request waited to be taken.
const SENT: &str = "x-shop-sent-ns";
/// Stretches that are remembered.
const STRETCHES: usize = 4096;
/// How long a line that can't be written waits for the next try: a fault may forbid it.
const AGAIN: Duration = Duration::from_millis(50);

/// What a fault did to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effect {
    /// It took longer.
    Delayed,
    /// It, or a part of it, failed.
    Failed,
    /// A part of it was done once more.
    Repeated,
    /// Something was not found where it should have been.
    Missed,
    /// What it stored is wrong.
    Corrupted,
    /// Its spans have a wrong time.
    Stamped,
}

/// A line of the record.
#[derive(Debug, Serialize)]
struct Touch {
    /// When it was over, Unix nanoseconds.
    at_ns: u64,
    /// The service that the fault is in.
    service: Service,
    fault: ShopFault,
    effect: Effect,
    trace_id: String,
    /// The span that was the current one.
    span_id: String,
    /// How long it took; of clocks, by how much they are ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    ns: Option<u64>,
}

/// A service's share of the record. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Record(Option<Arc<Kept>>);

struct Kept {
    service: Service,
    lines: Sender<Line>,
    /// Faults that are on (none), or when they were taken off.
    faults: Mutex<HashMap<ShopFault, Option<Instant>>>,
    /// When the thread that answers requests could not, Unix nanoseconds.
    stretches: Mutex<VecDeque<(u64, u64)>>,
}

enum Line {
    Of(Touch),
    /// All before it is to be written now.
    End(Sender<()>),
}

impl Record {
    /// Appends to a file; none: nothing is kept.
    pub(crate) fn open(service: Service, path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let file = loadgen_files::append(path)?;
        let (lines, received) = channel();
        thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || write(file, &received))?;
        Ok(Self(Some(Arc::new(Kept {
            // What the gateway does is payment's fault.
            service: match service {
                Service::Gateway => Service::Payment,
                service => service,
            },
            lines,
            faults: Mutex::default(),
            stretches: Mutex::default(),
        }))))
    }

    /// Whether a record is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Remembers that a fault is on.
    pub(crate) fn put_on(&self, fault: ShopFault) {
        if let Some(kept) = &self.0 {
            locked(&kept.faults).insert(fault, None);
        }
    }

    /// Remembers that a fault was taken off.
    pub(crate) fn took_off(&self, fault: ShopFault) {
        if let Some(kept) = &self.0
            && let Some(off) = locked(&kept.faults).get_mut(&fault)
        {
            off.get_or_insert_with(Instant::now);
        }
    }

    /// Whether a record is kept and a fault was on at any time since then.
    pub(crate) fn was_on(&self, fault: ShopFault, since: Instant) -> bool {
        self.0.as_ref().is_some_and(|kept| {
            let off = locked(&kept.faults).get(&fault).copied();
            off.is_some_and(|off| off.is_none_or(|off| off >= since))
        })
    }

    /// Writes down what a fault did in a context.
    pub(crate) fn touch(
        &self,
        fault: ShopFault,
        effect: Effect,
        context: &Context,
        took: Option<Duration>,
    ) {
        let Some(kept) = &self.0 else {
            return;
        };
        let span = context.span();
        let span = span.span_context();
        if !span.is_valid() {
            return;
        }
        let touch = Touch {
            at_ns: now_ns(),
            service: kept.service,
            fault,
            effect,
            trace_id: span.trace_id().to_string(),
            span_id: span.span_id().to_string(),
            ns: took.map(nanoseconds),
        };
        // The writer ends with the process only.
        let _ = kept.lines.send(Line::Of(touch));
    }

    /// Remembers a time in which the thread that answers requests could not.
    pub(crate) fn stretch(&self, from: SystemTime, to: SystemTime) {
        if let Some(kept) = &self.0 {
            let mut stretches = locked(&kept.stretches);
            if stretches.len() == STRETCHES {
                stretches.pop_front();
            }
            stretches.push_back((unix_ns(from), unix_ns(to)));
        }
    }

    /// How long it could not, since then.
    pub(crate) fn stood_still(&self, since_ns: u64) -> Duration {
        let now = now_ns();
        let of = self.0.as_ref().map_or(0, |kept| {
            let stretches = locked(&kept.stretches);
            let late = stretches.iter().rev().take_while(|(_, to)| *to > since_ns);
            late.map(|(from, to)| (*to).min(now).saturating_sub((*from).max(since_ns)))
                .sum()
        });
        Duration::from_nanos(of)
    }

    /// Says in a call's headers when it is sent.
    pub(crate) fn send(&self, headers: &mut HeaderMap) {
        if self.is_kept() {
            headers.insert(SENT, now_ns().into());
        }
    }

    /// When a request was sent, Unix nanoseconds; now where nobody says.
    pub(crate) fn sent(&self, headers: &HeaderMap) -> u64 {
        let sent = headers.get(SENT).and_then(|value| value.to_str().ok());
        sent.and_then(|text| text.parse().ok())
            .unwrap_or_else(now_ns)
    }

    /// Waits until all is written, for `limit` at most.
    pub(crate) fn finish(&self, limit: Duration) {
        if let Some(kept) = &self.0 {
            let (done, ended) = channel();
            if kept.lines.send(Line::End(done)).is_ok() {
                let _ = ended.recv_timeout(limit);
            }
        }
    }
}

/// Writes lines as they come, until nobody can send any more.
fn write(mut file: File, lines: &Receiver<Line>) {
    let mut text = Vec::new();
    loop {
        let mut next = match text.is_empty() {
            true => lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => lines.recv_timeout(AGAIN),
        };
        if matches!(next, Err(RecvTimeoutError::Disconnected)) && text.is_empty() {
            return;
        }
        let mut waiting = Vec::new();
        while let Ok(line) = next {
            match line {
                Line::Of(touch) => {
                    // Writing to memory does not fail.
                    let _ = serde_json::to_writer(&mut text, &touch);
                    text.push(b'\n');
                }
                Line::End(done) => waiting.push(done),
            }
            next = lines.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
        // Whole lines in one piece: all services append to the same file.
        if text.is_empty() || file.write_all(&text).is_ok() {
            text.clear();
        }
        for done in waiting {
            let _ = done.send(());
        }
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unix_ns(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, nanoseconds)
}

/// Now, Unix nanoseconds.
pub(crate) fn now_ns() -> u64 {
    unix_ns(SystemTime::now())
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Something that a fault does for a while: written down when it is dropped, also when that is
/// because the caller went away.
pub(crate) struct While<'a> {
    record: &'a Record,
    fault: ShopFault,
    context: &'a Context,
    since: Instant,
}

impl<'a> While<'a> {
    pub(crate) fn new(record: &'a Record, fault: ShopFault, context: &'a Context) -> Self {
        Self {
            record,
            fault,
            context,
            since: Instant::now(),
        }
    }
}

impl Drop for While<'_> {
    fn drop(&mut self) {
        let took = Some(self.since.elapsed());
        self.record
            .touch(self.fault, Effect::Delayed, self.context, took);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    fn context() -> Context {
        let (trace, span) = (TraceId::from(0xabc), SpanId::from(0x12));
        let remote = SpanContext::new(
            trace,
            span,
            TraceFlags::SAMPLED,
            true,
            TraceState::default(),
        );
        Context::new().with_remote_span_context(remote)
    }

    #[test]
    fn lines_of_several_services_are_in_one_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record.jsonl");
        let cart = Record::open(Service::Cart, Some(&path)).expect("opened");
        let gateway = Record::open(Service::Gateway, Some(&path)).expect("opened");
        let cx = context();
        cart.touch(ShopFault::Hang, Effect::Failed, &cx, None);
        cart.finish(Duration::from_secs(5));
        let took = Some(Duration::from_micros(3));
        gateway.touch(ShopFault::SlowGateway, Effect::Delayed, &cx, took);
        gateway.touch(
            ShopFault::SlowGateway,
            Effect::Delayed,
            &Context::new(),
            took,
        );
        gateway.finish(Duration::from_secs(5));
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let [hang, slow] = &lines[..] else {
            panic!("{text}");
        };
        assert_eq!(hang["service"], "cart");
        assert_eq!(hang["effect"], "failed");
        assert_eq!(hang["trace_id"], "00000000000000000000000000000abc");
        assert_eq!(hang["span_id"], "0000000000000012");
        assert!(hang.get("ns").is_none());
        assert_eq!(slow["service"], "payment");
        assert_eq!(slow["ns"], 3000);
    }

    #[test]
    fn a_fault_was_on_until_it_is_taken_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record.jsonl");
        let record = Record::open(Service::Cart, Some(&path)).expect("opened");
        let before = Instant::now();
        assert!(!record.was_on(ShopFault::Hang, before));
        record.put_on(ShopFault::Hang);
        assert!(record.was_on(ShopFault::Hang, Instant::now()));
        record.took_off(ShopFault::Hang);
        assert!(record.was_on(ShopFault::Hang, before));
        thread::sleep(Duration::from_millis(1));
        assert!(!record.was_on(ShopFault::Hang, Instant::now()));
        assert!(!Record::default().was_on(ShopFault::Hang, before));
    }

    #[test]
    fn only_the_part_of_a_stretch_since_then_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("record.jsonl");
        let record = Record::open(Service::Cart, Some(&path)).expect("opened");
        let at = |ms: u64| UNIX_EPOCH + Duration::from_millis(1_000_000 + ms);
        record.stretch(at(0), at(10));
        record.stretch(at(20), at(30));
        assert_eq!(record.stood_still(unix_ns(at(25))).as_millis(), 5);
        assert_eq!(record.stood_still(unix_ns(at(4))).as_millis(), 16);
        assert_eq!(record.stood_still(unix_ns(at(31))).as_millis(), 0);
    }
}
