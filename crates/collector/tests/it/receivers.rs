//! What senders see: acknowledgement, refusal and advice to retry, over gRPC and HTTP.

use crate::otlp;
use crate::otlp::{Answer, JSON, PROTOBUF};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt as _;
use loadgen_collector::{CollectOptions, CollectReport, Collector};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

struct Running {
    folder: TempDir,
    collector: Collector,
}

impl Running {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut CollectOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let collector = start_in(folder.path(), change).await;
        Self { folder, collector }
    }

    fn http(&self) -> SocketAddr {
        self.collector.http()
    }

    async fn client(&self) -> TraceServiceClient<Channel> {
        TraceServiceClient::connect(format!("http://{}", self.collector.grpc()))
            .await
            .unwrap()
    }

    async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.collector.grpc())).unwrap();
        endpoint.connect().await.unwrap()
    }

    /// Stops the collector; its report and the content of `traces.jsonl`.
    async fn stop(self) -> (CollectReport, String) {
        let report = self.collector.stop().await.unwrap();
        (
            report,
            fs::read_to_string(self.folder.path().join("traces.jsonl")).unwrap(),
        )
    }
}

async fn start_in(folder: &Path, change: impl FnOnce(&mut CollectOptions)) -> Collector {
    let mut options = CollectOptions::new(folder);
    options.grpc.set_port(0);
    options.http.set_port(0);
    options.map_anomaly_headers = false;
    change(&mut options);
    Collector::start(options).await.unwrap()
}

/// Sends without blocking the runtime that answers.
async fn post(to: SocketAddr, path: &'static str, headers: String, body: Vec<u8>) -> Answer {
    let send = move || otlp::request(to, "POST", path, &headers, &body);
    tokio::task::spawn_blocking(send).await.unwrap()
}

async fn post_as(to: SocketAddr, mime: &str, body: impl Into<Vec<u8>>) -> Answer {
    post(
        to,
        "/v1/traces",
        format!("Content-Type: {mime}\r\n"),
        body.into(),
    )
    .await
}

/// A POST of which the server has asked for the body but hasn't got it: it has been admitted.
async fn request_under_way(to: SocketAddr, length: usize) -> TcpStream {
    let open = move || {
        let mut stream = TcpStream::connect(to).unwrap();
        write!(
            stream,
            "POST /v1/traces HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\
             Expect: 100-continue\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {length}\r\n\r\n"
        )
        .unwrap();
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).unwrap();
        assert!(go_on.starts_with(b"HTTP/1.1 100"));
        stream
    };
    tokio::task::spawn_blocking(open).await.unwrap()
}

fn named_span(name: &str) -> ExportTraceServiceRequest {
    otlp::spans(vec![Span {
        trace_id: otlp::trace_id(1),
        span_id: otlp::span_id(1),
        name: name.to_owned(),
        ..Span::default()
    }])
}

const LINE_OF_SPAN_A: &str = concat!(
    r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}}]},"#,
    r#""scopeSpans":[{"scope":{},"spans":[{"traceId":"1f202122232425262728292a2b2c2d2e","spanId":"9192939495969798","#,
    r#""name":"a","status":{}}]}]}]}"#,
    "\n"
);

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn retry_seconds(status: &Status) -> Option<u64> {
    Some(status.get_details_retry_info()?.retry_delay?.as_secs())
}

#[tokio::test]
async fn grpc_requests_are_written_with_and_without_gzip() {
    let running = Running::start().await;
    let mut plain = running.client().await;
    plain.export(named_span("a")).await.unwrap();
    let mut zipped = running
        .client()
        .await
        .send_compressed(CompressionEncoding::Gzip);
    zipped.export(named_span("a")).await.unwrap();
    let (report, text) = running.stop().await;
    assert_eq!(text, LINE_OF_SPAN_A.repeat(2));
    assert_eq!((report.spans, report.refused), (2, 0));
    assert_eq!(report.bytes, text.len() as u64);
}

#[tokio::test]
async fn http_requests_are_written_as_protobuf_and_json_with_and_without_gzip() {
    let running = Running::start().await;
    let protobuf = named_span("a").encode_to_vec();
    let json = LINE_OF_SPAN_A.as_bytes();
    let answers = [
        post_as(running.http(), PROTOBUF, protobuf.clone()).await,
        post_as(running.http(), "Application/JSON; charset=utf-8", json).await,
        post_as(
            running.http(),
            "application/x-protobuf\r\nContent-Encoding: gzip",
            gzip(&protobuf),
        )
        .await,
        post_as(
            running.http(),
            "application/json\r\nContent-Encoding: gzip",
            gzip(json),
        )
        .await,
    ];
    for answer in &answers {
        assert_eq!(answer.code, 200, "{answer:?}");
    }
    assert!(answers[0].body.is_empty());
    assert!(
        answers[0]
            .headers
            .contains("content-type: application/x-protobuf")
    );
    assert_eq!(answers[1].body, br#"{"partialSuccess":{}}"#);
    assert!(
        answers[1]
            .headers
            .contains("content-type: application/json")
    );
    let (report, text) = running.stop().await;
    assert_eq!(text, LINE_OF_SPAN_A.repeat(4));
    assert_eq!((report.spans, report.refused), (4, 0));
}

#[tokio::test]
async fn what_an_acknowledged_sender_sent_can_be_read_at_once() {
    let running = Running::start().await;
    running
        .client()
        .await
        .export(named_span("a"))
        .await
        .unwrap();
    let text = fs::read_to_string(running.folder.path().join("traces.jsonl")).unwrap();
    assert_eq!(text, LINE_OF_SPAN_A);
    running.stop().await;
}

#[tokio::test]
async fn malformed_bodies_are_refused_for_good_in_the_form_they_came_in() {
    let running = Running::start().await;
    let to = running.http();
    let answer = post_as(to, JSON, "{\n  \"resourceSpans\": [{\"scopeSpans\": 7}]}").await;
    assert_eq!(answer.code, 400);
    let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(status["code"], 3);
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("at byte 37"), "{message}");

    let answer = post_as(to, PROTOBUF, "not protobuf").await;
    assert_eq!(answer.code, 400);
    let status = tonic_types::pb::Status::decode(answer.body.as_slice()).unwrap();
    assert_eq!(status.code, 3);
    assert!(
        status.message.contains("OTLP protobuf"),
        "{}",
        status.message
    );

    let mut short_id = named_span("a");
    short_id.resource_spans[0].scope_spans[0].spans[0]
        .trace_id
        .pop();
    let answer = post_as(to, PROTOBUF, short_id.encode_to_vec()).await;
    assert_eq!(answer.code, 400);
    let status = running.client().await.export(short_id).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(retry_seconds(&status), None);

    let answer = post_as(to, "application/json\r\nContent-Encoding: gzip", "not gzip").await;
    assert_eq!(answer.code, 400);
    for id in [
        "zz",
        "5b8efff798038103d269b633813fc6",
        "0x8efff798038103d269b633813fc60c",
    ] {
        let body = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{id}"}}]}}]}}]}}"#
        );
        assert_eq!(post_as(to, JSON, body).await.code, 400, "{id}");
    }
    let (report, text) = running.stop().await;
    assert_eq!(text, "");
    assert_eq!(report.refused, 8);
}

#[tokio::test]
async fn deep_nesting_is_refused_and_not_a_stack_overflow() {
    let running = Running::start().await;
    let depth = 100_000;
    let value = format!(
        "{}{}",
        r#"{"arrayValue":{"values":["#.repeat(depth),
        "]}}".repeat(depth)
    );
    let body = format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"k","value":{value}}}]}}}}]}}"#
    );
    assert_eq!(post_as(running.http(), JSON, body).await.code, 400);
    running.stop().await;
}

#[tokio::test]
async fn other_paths_methods_types_and_encodings_have_their_own_codes() {
    let running = Running::start().await;
    let to = running.http();
    let get = |path: &'static str| {
        tokio::task::spawn_blocking(move || otlp::request(to, "GET", path, "", b""))
    };
    assert_eq!(get("/health").await.unwrap().code, 200);
    let answer = get("/v1/traces").await.unwrap();
    assert_eq!(answer.code, 405);
    assert!(answer.headers.contains("allow: post"), "{answer:?}");
    assert_eq!(get("/").await.unwrap().code, 404);
    let json = format!("Content-Type: {JSON}\r\n");
    assert_eq!(
        post(to, "/v1/profiles", json.clone(), b"{}".to_vec())
            .await
            .code,
        404
    );
    assert_eq!(post_as(to, "text/plain", "{}").await.code, 415);
    assert_eq!(
        post(to, "/v1/traces", String::new(), b"{}".to_vec())
            .await
            .code,
        415
    );
    assert_eq!(
        post_as(to, "application/json\r\nContent-Encoding: br", "{}")
            .await
            .code,
        415
    );
    running.stop().await;
}

#[tokio::test]
async fn requests_beyond_the_size_limit_are_refused_for_good() {
    let running = Running::with(|options| options.max_request_bytes = 100_000).await;
    let to = running.http();
    let large = named_span(&"x".repeat(200_000));
    assert_eq!(post_as(to, PROTOBUF, large.encode_to_vec()).await.code, 413);
    // Small on the wire, large when unpacked.
    let bomb = gzip(&large.encode_to_vec());
    assert!(bomb.len() < 1_000);
    let answer = post_as(to, "application/x-protobuf\r\nContent-Encoding: gzip", bomb).await;
    assert_eq!(answer.code, 413);
    for encoding in [None, Some(CompressionEncoding::Gzip)] {
        let mut client = running.client().await;
        if let Some(encoding) = encoding {
            client = client.send_compressed(encoding);
        }
        let status = client.export(large.clone()).await.unwrap_err();
        // Without RetryInfo, clients don't send it again.
        assert_eq!(
            (status.code(), retry_seconds(&status)),
            (Code::ResourceExhausted, None)
        );
    }
    let (report, text) = running.stop().await;
    assert_eq!((report.refused, text.as_str()), (4, ""));
}

#[tokio::test]
async fn requests_of_too_many_spans_are_refused_for_good() {
    let running = Running::start().await;
    let to = running.http();
    let mut many = named_span("x");
    let spans = &mut many.resource_spans[0].scope_spans[0].spans;
    spans.resize(1 << 16, Span::default());
    assert_eq!(post_as(to, PROTOBUF, many.encode_to_vec()).await.code, 200);
    many.resource_spans[0].scope_spans[0]
        .spans
        .push(Span::default());
    assert_eq!(post_as(to, PROTOBUF, many.encode_to_vec()).await.code, 413);
    let status = running.client().await.export(many).await.unwrap_err();
    // Without RetryInfo, clients don't send it again.
    let said = (status.code(), retry_seconds(&status));
    assert_eq!(said, (Code::ResourceExhausted, None));
    let (report, _) = running.stop().await;
    assert_eq!((report.refused, report.spans), (2, 1 << 16));
}

#[tokio::test]
async fn at_overload_senders_are_told_to_come_back() {
    let running = Running::with(|options| {
        options.max_bytes_in_flight = options.max_request_bytes;
        options.admission_wait = Duration::from_millis(50);
    })
    .await;
    let to = running.http();
    // One request that doesn't send its body keeps the only place.
    let body = named_span("a").encode_to_vec();
    let mut slow = request_under_way(to, body.len()).await;
    let refused = post_as(to, PROTOBUF, body.clone()).await;
    assert_eq!(refused.code, 429);
    assert!(refused.headers.contains("retry-after: 1"), "{refused:?}");
    let status = running
        .client()
        .await
        .export(named_span("a"))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), retry_seconds(&status)),
        (Code::ResourceExhausted, Some(1))
    );

    slow.write_all(&body).unwrap();
    let finished = tokio::task::spawn_blocking(move || otlp::answer(&mut slow))
        .await
        .unwrap();
    assert_eq!(finished.code, 200);
    running
        .client()
        .await
        .export(named_span("a"))
        .await
        .unwrap();
    let (report, _) = running.stop().await;
    assert_eq!(report.refused, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_makes_room_for_others() {
    let one_at_a_time = |options: &mut CollectOptions| options.max_bytes_in_flight = 1;
    let running = Running::with(one_at_a_time).await;
    let body = named_span("a").encode_to_vec();
    let mut slow = request_under_way(running.http(), body.len()).await;
    let mut client = running.client().await;
    client.export(named_span("a")).await.unwrap();
    let told = tokio::task::spawn_blocking(move || otlp::answer(&mut slow))
        .await
        .unwrap();
    assert_eq!(told.code, 429);

    // The same over gRPC: a message, and then neither another one nor an end.
    let mut without_end = tonic::client::Grpc::new(running.channel().await);
    without_end.ready().await.unwrap();
    let slow = tokio::spawn(async move {
        let messages = futures::stream::once(async { named_span("a") });
        let messages = messages.chain(futures::stream::pending());
        let codec =
            tonic_prost::ProstCodec::<ExportTraceServiceRequest, ExportTraceServiceResponse>::new();
        let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let request = tonic::Request::new(messages);
        without_end
            .client_streaming(request, path.parse().unwrap(), codec)
            .await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = post_as(running.http(), PROTOBUF, body).await;
    assert_eq!(answer.code, 200);
    let status = slow.await.unwrap().unwrap_err();
    assert_eq!(
        (status.code(), retry_seconds(&status)),
        (Code::ResourceExhausted, Some(1))
    );
    let (report, _) = running.stop().await;
    assert_eq!((report.spans, report.refused), (2, 2));
}

#[tokio::test]
async fn a_full_disk_is_told_to_the_sender() {
    let folder = tempfile::tempdir().unwrap();
    // The kernel's always-full device stands for a full disk.
    std::os::unix::fs::symlink("/dev/full", folder.path().join("traces.jsonl")).unwrap();
    let collector = start_in(folder.path(), |_| {}).await;
    let answer = post_as(collector.http(), PROTOBUF, named_span("a").encode_to_vec()).await;
    assert_eq!(answer.code, 503);
    assert!(answer.headers.contains("retry-after: 5"), "{answer:?}");
    let address = format!("http://{}", collector.grpc());
    let mut client = TraceServiceClient::connect(address).await.unwrap();
    let status = client.export(named_span("a")).await.unwrap_err();
    assert_eq!(
        (status.code(), retry_seconds(&status)),
        (Code::Unavailable, Some(5))
    );
    assert!(
        status.message().contains("traces.jsonl"),
        "{}",
        status.message()
    );
    assert_eq!(
        (collector.so_far().spans, collector.so_far().refused),
        (0, 2)
    );
    // The other files are not concerned.
    let logs = include_bytes!("otlp/logs.json").to_vec();
    let json = format!("Content-Type: {JSON}\r\n");
    assert_eq!(
        post(collector.http(), "/v1/logs", json, logs).await.code,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_many_senders_are_all_there_and_whole() {
    let running = Running::start().await;
    let senders = (0..8).map(|sender| {
        let address = format!("http://{}", running.collector.grpc());
        tokio::spawn(async move {
            let mut client = TraceServiceClient::connect(address).await.unwrap();
            for n in 0..50 {
                client
                    .export(named_span(&format!("{sender}-{n}")))
                    .await
                    .unwrap();
            }
        })
    });
    for sender in senders.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
    let (report, text) = running.stop().await;
    assert_eq!(report.spans, 400);
    let mut names: Vec<String> = text
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let span = &line["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
            span["name"].as_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 400);
}

#[tokio::test]
async fn stopping_answers_what_is_under_way_and_then_refuses_connections() {
    let running = Running::start().await;
    let to = running.http();
    let body = named_span("a").encode_to_vec();
    let mut slow = request_under_way(to, body.len()).await;
    let stopping = tokio::spawn(running.stop());
    while tokio::net::TcpStream::connect(to).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    slow.write_all(&body).unwrap();
    let finished = tokio::task::spawn_blocking(move || otlp::answer(&mut slow))
        .await
        .unwrap();
    assert_eq!(finished.code, 200);
    let (report, text) = stopping.await.unwrap();
    assert_eq!((report.spans, text.as_str()), (1, LINE_OF_SPAN_A));
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_says_so_and_touches_no_file() {
    let running = Running::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut options = CollectOptions::new(folder.path());
    options.grpc = running.collector.grpc();
    let error = Collector::start(options).await.unwrap_err().to_string();
    assert!(
        error.contains(&running.collector.grpc().to_string()),
        "{error}"
    );
    assert!(error.contains("port 0"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_that_names_this_machine_as_its_own_is_refused() {
    let running = Running::start().await;
    let body = named_span("a").encode_to_vec();
    for (header, status) in [
        ("Host: shop.example\r\n", 403),
        ("Origin: http://shop.example\r\n", 403),
        ("Origin: http://localhost:3000\r\n", 200),
    ] {
        let headers = format!("Content-Type: {PROTOBUF}\r\n{header}");
        let answer = post(running.http(), "/v1/traces", headers, body.clone()).await;
        assert_eq!(answer.code, status, "{header}");
    }
    let (report, _) = running.stop().await;
    assert_eq!(report.spans, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_end_their_headers_keep_nobody_out_and_do_not_hold_up_the_end() {
    let running = Running::start().await;
    let to = running.http();
    let slow: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(to).unwrap();
            write!(stream, "POST /v1/traces HTTP/1.1\r\nHost: {to}\r\nX-Slow: ").unwrap();
            stream
        })
        .collect();
    let answer = post_as(to, PROTOBUF, named_span("a").encode_to_vec()).await;
    assert_eq!(answer.code, 200);
    let (report, text) = running.stop().await;
    assert_eq!(report.spans, 1);
    assert!(text.contains(r#""name":"a""#), "{text}");
    drop(slow);
}
