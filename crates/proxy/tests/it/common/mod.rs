//! What the tests use: a client of the API, a server behind the proxy, and a connection to it.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Much longer than anything takes here, and much shorter than [`AGES_MS`].
const LIMIT: Duration = Duration::from_secs(60);
/// A delay that no test waits for: what comes in spite of it was not delayed.
pub(crate) const AGES_MS: u64 = 600_000;

/// Waits for something that must happen.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, happens).await {
        Ok(value) => value,
        Err(_) => panic!("waited {LIMIT:?} in vain: {what}"),
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    soon(what, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// The API of a proxy.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
}

impl Api {
    /// Sends a request with these header lines; the answer's status and body.
    pub(crate) async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> (u16, String) {
        let request = format!(
            "{method} {path} HTTP/1.0\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = soon("an answer of the API", async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        })
        .await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }

    /// Sends JSON (`null`: nothing) and reads JSON (`null`: something else).
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let host = format!("Host: {}\r\n", self.address);
        let (status, answer) = self.raw(method, path, &host, &body).await;
        (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call("POST", path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.call("DELETE", path, Value::Null).await
    }

    /// Makes a proxy named `edge` before a server, on a free port; where it listens.
    pub(crate) async fn edge(&self, server: SocketAddr) -> SocketAddr {
        let upstream = server.to_string();
        let body = json!({"name": "edge", "listen": "127.0.0.1:0", "upstream": upstream});
        let (status, answer) = self.post("/proxies", body).await;
        assert_eq!(status, 201, "{answer}");
        answer["listen"].as_str().unwrap().parse().unwrap()
    }

    /// Makes a proxy named `edge`; both ends of a connection through it, the client's first.
    pub(crate) async fn both_ends(&self) -> (Wire, Wire) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = self.edge(listener.local_addr().unwrap()).await;
        let client = Wire::open(address).await;
        let accepted = soon("the proxy's connection", listener.accept()).await;
        (client, Wire(accepted.unwrap().0))
    }

    /// Adds a toxic to `edge`; its name.
    pub(crate) async fn toxic(&self, body: Value) -> String {
        let (status, answer) = self.post("/proxies/edge/toxics", body).await;
        assert_eq!(status, 200, "{answer}");
        answer["name"].as_str().unwrap().to_owned()
    }

    /// Changes a toxic of `edge`.
    pub(crate) async fn update_toxic(&self, name: &str, body: Value) -> Value {
        let (status, answer) = self
            .post(&format!("/proxies/edge/toxics/{name}"), body)
            .await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Takes a toxic of `edge` away.
    pub(crate) async fn remove_toxic(&self, name: &str) {
        let (status, answer) = self.delete(&format!("/proxies/edge/toxics/{name}")).await;
        assert_eq!(status, 204, "{answer}");
    }
}

/// A server that sends back what it gets. It ends a connection when it has got a `!`, or when the
/// client has ended it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(echo(stream));
            }
        });
        Self { address, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn echo(mut stream: TcpStream) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..n]).await.is_err() || buffer[..n].contains(&b'!') {
            return;
        }
    }
}

/// How a connection came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Closed,
    Reset,
}

/// A connection through a proxy.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(address))
            .await
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// A connection that is known to be through to the server.
    pub(crate) async fn through(address: SocketAddr) -> Self {
        let mut wire = Self::open(address).await;
        wire.ask(b"hello").await;
        wire
    }

    pub(crate) async fn send(&mut self, data: &[u8]) {
        self.0.write_all(data).await.unwrap();
    }

    /// Sends something and waits until all of it has come back; how long that took.
    pub(crate) async fn ask(&mut self, data: &[u8]) -> Duration {
        let begin = Instant::now();
        let (mut reader, mut writer) = self.0.split();
        let mut answer = vec![0; data.len()];
        soon("an echo", async {
            let (sent, got) = tokio::join!(writer.write_all(data), reader.read_exact(&mut answer));
            sent.unwrap();
            got.unwrap();
        })
        .await;
        assert!(answer == data, "the echo is something else");
        begin.elapsed()
    }

    /// Waits until exactly this has come.
    pub(crate) async fn comes(&mut self, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        let read = soon("what was sent", self.0.read_exact(&mut got)).await;
        read.unwrap();
        assert_eq!(got, expected);
    }

    /// Waits for the end of the connection; what came before it.
    pub(crate) async fn end(&mut self) -> (Vec<u8>, Ended) {
        let mut all = Vec::new();
        let ended = soon("the end of a connection", self.0.read_to_end(&mut all)).await;
        let ended = match ended {
            Ok(_) => Ended::Closed,
            Err(_) => Ended::Reset,
        };
        (all, ended)
    }

    /// Nothing comes for a while, and the connection stays open.
    pub(crate) async fn is_silent(&mut self) {
        let mut byte = [0];
        let quiet = tokio::time::timeout(Duration::from_millis(200), self.0.read(&mut byte));
        assert!(quiet.await.is_err(), "something came");
    }
}

/// Nobody accepts connections there.
pub(crate) async fn is_refused(address: SocketAddr) -> bool {
    soon("a connection", TcpStream::connect(address))
        .await
        .is_err()
}
