//! The queue between payment and dispatch: a bounded queue in the dispatch process, and the
//! publisher that sends to it.
//!
//! The transport is HTTP and leaves no spans, as a broker leaves none. A message carries its trace
//! context in headers of its own, so that the consumer's span is a child of the producer's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute as semconv;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::record::Effect;
use crate::telemetry::Telemetry;
use crate::telemetry::span::ActiveSpan;
use loadgen_shop_api::ShopFault;

/// Name of the queue.
pub(crate) const ORDERS: &str = "orders";
/// Where dispatch takes messages.
pub(crate) const PUBLISH_PATH: &str = "/queue/orders";
/// `messaging.system` of the spans.
const SYSTEM: &str = "shop_queue";
/// Messages that wait at most.
const CAPACITY: usize = 1_000;

/// A message as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Unique id.
    pub(crate) id: String,
    /// Trace context.
    pub(crate) headers: Vec<(String, String)>,
    /// What it says.
    pub(crate) body: Value,
}

fn attributes(operation: &'static str, kind: &'static str) -> Vec<KeyValue> {
    vec![
        KeyValue::new(semconv::MESSAGING_SYSTEM, SYSTEM),
        KeyValue::new(semconv::MESSAGING_DESTINATION_NAME, ORDERS),
        KeyValue::new(semconv::MESSAGING_OPERATION_NAME, operation),
        KeyValue::new(semconv::MESSAGING_OPERATION_TYPE, kind),
    ]
}

/// Sends messages.
pub(crate) struct Publisher {
    http: reqwest::Client,
    telemetry: Arc<Telemetry>,
    url: Url,
    timeout: Duration,
}

impl Publisher {
    /// `url` is that of the queue.
    pub(crate) fn new(
        http: reqwest::Client,
        telemetry: Arc<Telemetry>,
        url: Url,
        timeout: Duration,
    ) -> Self {
        Publisher {
            http,
            telemetry,
            url,
            timeout,
        }
    }

    /// Sends a message; done when the queue has it.
    pub(crate) async fn publish(&self, cx: &Context, body: Value) -> Result<(), String> {
        let id = uuid::Uuid::new_v4().to_string();
        let mut said = attributes("send", "send");
        let metric = said.clone();
        said.push(KeyValue::new(semconv::MESSAGING_MESSAGE_ID, id.clone()));
        let span = self
            .telemetry
            .start(cx, SpanKind::Producer, format!("send {ORDERS}"), said);
        let mut headers = HeaderMap::new();
        self.telemetry.inject(span.context(), &mut headers);
        let headers = headers
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        let message = Message { id, headers, body };
        let sent = match serde_json::to_vec(&message) {
            Ok(bytes) => self
                .http
                .post(self.url.clone())
                .header("content-type", "application/json")
                .timeout(self.timeout)
                .body(bytes)
                .send()
                .await
                .and_then(reqwest::Response::error_for_status)
                .map(drop)
                .map_err(|error| match error.status() {
                    Some(status) => format!("the queue answered {}", status.as_u16()),
                    None if error.is_timeout() => "the queue did not answer in time".to_owned(),
                    None => "the queue cannot be reached".to_owned(),
                }),
            Err(error) => Err(format!("the message cannot be written: {error}")),
        };
        match &sent {
            Ok(()) => self.telemetry.instruments.queue_sent.add(1, &metric),
            Err(reason) => span.fail("publish_failed", reason.clone()),
        }
        span.end();
        sent
    }
}

/// The end of the queue that takes messages in.
#[derive(Clone)]
pub(crate) struct Intake {
    sender: mpsc::Sender<(Instant, Message)>,
    depth: Arc<AtomicI64>,
}

impl Intake {
    /// A queue, and its depth as a metric.
    pub(crate) fn new(telemetry: &Arc<Telemetry>) -> (Self, Outlet) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let depth = Arc::new(AtomicI64::new(0));
        let observed = Arc::clone(&depth);
        let attributes = [
            KeyValue::new(semconv::MESSAGING_SYSTEM, SYSTEM),
            KeyValue::new(semconv::MESSAGING_DESTINATION_NAME, ORDERS),
        ];
        let _depth = telemetry
            .instruments
            .meter
            .i64_observable_up_down_counter("messaging.queue.depth")
            .with_unit("{message}")
            .with_description("Messages that wait in the queue.")
            .with_callback(move |o| o.observe(observed.load(Ordering::Relaxed), &attributes))
            .build();
        let outlet = Outlet {
            receiver: tokio::sync::Mutex::new(receiver),
            depth: Arc::clone(&depth),
            telemetry: Arc::clone(telemetry),
        };
        (Intake { sender, depth }, outlet)
    }

    /// Handler of [`PUBLISH_PATH`]: 202 when the message is queued, 503 when the queue is full.
    pub(crate) fn accept(&self, Json(message): Json<Message>) -> StatusCode {
        // Counted first: it may be taken out before this returns.
        self.depth.fetch_add(1, Ordering::Relaxed);
        match self.sender.try_send((Instant::now(), message)) {
            Ok(()) => StatusCode::ACCEPTED,
            Err(_) => {
                self.depth.fetch_sub(1, Ordering::Relaxed);
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

/// The end of the queue that consumers take messages from.
pub(crate) struct Outlet {
    receiver: tokio::sync::Mutex<mpsc::Receiver<(Instant, Message)>>,
    depth: Arc<AtomicI64>,
    telemetry: Arc<Telemetry>,
}

impl Outlet {
    /// The next message and the span of processing it; none when the queue is closed and empty.
    pub(crate) async fn next(&self) -> Option<Delivery> {
        let (queued, message) = self.receiver.lock().await.recv().await?;
        self.depth.fetch_sub(1, Ordering::Relaxed);
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        let mut said = attributes("process", "process");
        said.push(KeyValue::new(semconv::MESSAGING_MESSAGE_ID, message.id));
        said.push(KeyValue::new(
            "shop.queue.wait_ms",
            i64::try_from(queued.elapsed().as_millis()).unwrap_or(i64::MAX),
        ));
        let parent = self.telemetry.extract(&headers);
        let span = self.telemetry.start(
            &parent,
            SpanKind::Consumer,
            format!("process {ORDERS}"),
            said,
        );
        let record = &self.telemetry.record;
        if record.was_on(ShopFault::SlowConsumer, queued) {
            let (effect, took) = (Effect::Delayed, Some(queued.elapsed()));
            record.touch(ShopFault::SlowConsumer, effect, span.context(), took);
        }
        Some(Delivery {
            span,
            since: Instant::now(),
            body: message.body,
            telemetry: Arc::clone(&self.telemetry),
        })
    }
}

/// A message that is being processed.
pub(crate) struct Delivery {
    pub(crate) span: ActiveSpan,
    since: Instant,
    pub(crate) body: Value,
    telemetry: Arc<Telemetry>,
}

impl Delivery {
    /// Ends the processing.
    pub(crate) fn done(self, result: Result<(), String>) {
        let mut metric = attributes("process", "process");
        if let Err(reason) = result {
            metric.push(KeyValue::new(semconv::ERROR_TYPE, "process_failed"));
            self.span.fail("process_failed", reason);
        }
        self.telemetry
            .instruments
            .queue_duration
            .record(self.since.elapsed().as_secs_f64(), &metric);
        self.span.end();
    }
}
