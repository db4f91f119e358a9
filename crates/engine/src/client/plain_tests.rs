//! Connections to a target that says what it is told to, whatever it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use loadgen_timeline::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::Client;
use super::*;

/// A target and how many connections were made to it.
struct Target {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Target {
    /// One that answers with pieces of text, one after the other; `ends` the connection then.
    async fn new(pieces: &'static [&'static str], ends: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, SeqCst);
                tokio::spawn(answer(stream, pieces, ends));
            }
        });
        Self { url, connections }
    }

    async fn ask(&self, client: &Client) -> Result<(u16, String), SendError> {
        let mut request = Request::new(Method::GET, self.url.parse().unwrap());
        *request.timeout_mut() = Some(Duration::from_secs(60));
        let answer = client.send(request).await?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        answer
            .read(|piece| {
                body.extend_from_slice(piece);
                Enough::NotYet
            })
            .await?;
        Ok((status, String::from_utf8(body).unwrap()))
    }

    fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

async fn answer(mut stream: TcpStream, pieces: &[&str], ends: bool) {
    let mut request = Vec::new();
    loop {
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        }
        request.clear();
        for piece in pieces {
            if stream.write_all(piece.as_bytes()).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        if ends {
            return;
        }
    }
}

const OK: &[&str] = &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"];

#[tokio::test]
async fn a_connection_carries_one_exchange_after_the_other() {
    let target = Target::new(OK, false).await;
    let client = Client::new(None).unwrap();
    for _ in 0..3 {
        assert_eq!(target.ask(&client).await.unwrap(), (200, "ok".into()));
    }
    assert_eq!(target.connections(), 1);
    let at_once = futures::future::join3(
        target.ask(&client),
        target.ask(&client),
        target.ask(&client),
    );
    let (a, b, c) = at_once.await;
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(target.connections(), 3);
}

#[tokio::test]
async fn one_that_the_target_ends_is_not_used_again() {
    let said = &["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"];
    let says_so = Target::new(said, true).await;
    let does_not = Target::new(OK, true).await;
    let client = Client::new(None).unwrap();
    for target in [says_so, does_not] {
        assert_eq!(target.ask(&client).await.unwrap(), (200, "ok".into()));
        // Until the end has been seen, at once where it was announced.
        let idle = || {
            client.tidy();
            let targets = client.plain.targets.borrow();
            targets
                .iter()
                .map(|target| target.idle.len())
                .sum::<usize>()
        };
        while idle() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(target.ask(&client).await.unwrap(), (200, "ok".into()));
        assert_eq!(target.connections(), 2);
    }
}

#[tokio::test]
async fn it_does_not_matter_in_which_pieces_an_answer_comes() {
    let chunked = Target::new(
        &[
            "HTTP/1.1 200 O",
            "K\r\ntransfer-encoding: chu",
            "nked\r\n\r\n2",
            "\r\nab\r\n3\r\ncd",
            "e\r\n0\r",
            "\n\r\n",
        ],
        false,
    );
    let until_close = Target::new(&["HTTP/1.1 404 Not Found\r\n\r\n", "gone", " away"], true);
    let client = Client::new(None).unwrap();
    let chunked = chunked.await;
    for _ in 0..2 {
        assert_eq!(chunked.ask(&client).await.unwrap(), (200, "abcde".into()));
    }
    assert_eq!(chunked.connections(), 1);
    let until_close = until_close.await.ask(&client).await;
    assert_eq!(until_close.unwrap(), (404, "gone away".into()));
}

#[tokio::test]
async fn what_comes_unasked_is_not_taken_for_the_next_answer() {
    let target = Target::new(
        &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"],
        false,
    )
    .await;
    let client = Client::new(None).unwrap();
    for connections in 1..3 {
        assert_eq!(target.ask(&client).await.unwrap(), (200, "ok".into()));
        assert_eq!(target.connections(), connections);
    }
}

#[tokio::test]
async fn an_answer_that_is_none_or_not_whole_is_a_failure() {
    let client = Client::new(None).unwrap();
    for pieces in [
        &[][..],
        &["HTTP/1.1 200 OK\r\n"],
        &["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok"],
        &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n"],
        &["220 mail.example ESMTP\r\n"],
    ] {
        let target = Target::new(pieces, true).await;
        let error = target.ask(&client).await.unwrap_err();
        assert_eq!(error.failure(), Failure::Io, "{pieces:?}: {error}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = Target {
        url: format!("http://{}/", listener.local_addr().unwrap()),
        connections: Arc::default(),
    };
    drop(listener);
    let error = nobody.ask(&client).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Connect, "{error}");
}

#[tokio::test]
async fn the_limit_holds_until_the_end_of_the_body() {
    let target = Target::new(&["HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok"], false).await;
    let client = Client::new(None).unwrap();
    let mut request = Request::new(Method::GET, target.url.parse().unwrap());
    *request.timeout_mut() = Some(Duration::from_millis(200));
    let answered = async { client.send(request).await?.read(|_| Enough::NotYet).await };
    assert_eq!(answered.await.unwrap_err().failure(), Failure::Timeout);
}
