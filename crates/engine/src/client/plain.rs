//! HTTP/1.1 over plain TCP: a connection carries one exchange at a time and waits for the next one
//! without a buffer or a task of its own, so that many virtual users fit into memory.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use reqwest::Request;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::body::{Body, Framing, Progress};
use super::message::{Head, Message};
use super::{Enough, SendError, host_and_port};

/// Bytes that are read at a time.
const READ: usize = 32 << 10;

thread_local! {
    /// Where all connections of a thread read to: what has come is used up before the next one
    /// reads.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// The connections of a client.
#[derive(Debug)]
pub(super) struct Connections {
    connect_timeout: Option<Duration>,
    /// By host and port. There is one, but for redirects.
    targets: RefCell<Vec<Target>>,
}

/// A request that is ready to be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The position of its target.
    target: usize,
    message: Message,
    method: Method,
}

/// Where connections lead to, and those that wait for their next request; the last one that came is
/// the first one to go.
#[derive(Debug)]
struct Target {
    host: Box<str>,
    port: u16,
    idle: Vec<TcpStream>,
}

impl Connections {
    pub(super) fn new(connect_timeout: Option<Duration>) -> Self {
        Self {
            connect_timeout,
            targets: RefCell::default(),
        }
    }

    /// Makes a request ready to be sent.
    pub(super) fn prepare(&self, request: &Request) -> Result<Prepared, SendError> {
        Ok(Prepared {
            target: self.target(request)?,
            message: Message::of(request),
            method: request.method().clone(),
        })
    }

    /// Sends a request and reads the head of its answer.
    pub(super) async fn send(&self, request: Prepared) -> Result<Answer<'_>, SendError> {
        let Prepared {
            target,
            message,
            method,
        } = request;
        let stream = match self.idle(target) {
            Some(stream) => stream,
            None => self.connect(target).await?,
        };
        let mut connection = Connection(stream);
        let written = connection.write(&message.bytes).await;
        let is_last = message.is_last || written.is_err();
        drop(message);
        // A target that has had enough of a request may have answered it before it ends the
        // connection.
        let read = connection.head(&method).await;
        let (head, body) = match (read, written) {
            (Ok(read), _) => read,
            (Err(_), Err(error)) => return Err(error.into()),
            (Err(error), Ok(())) => return Err(error),
        };
        Ok(Answer {
            of: self,
            target,
            connection,
            is_last: is_last || !head.keeps_connection,
            status: head.status,
            headers: head.headers,
            framing: head.framing,
            body,
        })
    }

    /// The position of a request's target.
    fn target(&self, request: &Request) -> Result<usize, SendError> {
        let none = || io::Error::other("the address has no host");
        let (host, port) =
            host_and_port(request.url()).ok_or_else(|| SendError::Connect(none()))?;
        let mut targets = self.targets.borrow_mut();
        let known = |target: &Target| target.port == port && *target.host == *host;
        if let Some(position) = targets.iter().position(known) {
            return Ok(position);
        }
        targets.push(Target {
            host: host.into(),
            port,
            idle: Vec::new(),
        });
        Ok(targets.len() - 1)
    }

    /// A connection that waits for its next request, and that the target has not ended.
    fn idle(&self, target: usize) -> Option<TcpStream> {
        let mut targets = self.targets.borrow_mut();
        let idle = &mut targets[target].idle;
        std::iter::from_fn(|| idle.pop()).find(is_open)
    }

    async fn connect(&self, target: usize) -> Result<TcpStream, SendError> {
        let (host, port) = {
            let targets = self.targets.borrow();
            (targets[target].host.clone(), targets[target].port)
        };
        let connected = TcpStream::connect((&*host, port));
        let connected = match self.connect_timeout {
            Some(limit) => timeout(limit, connected)
                .await
                .map_err(|_| SendError::Timeout)?,
            None => connected.await,
        };
        let stream = connected.map_err(SendError::Connect)?;
        // A request goes out when it is written, not when there is enough for a packet.
        stream.set_nodelay(true).map_err(SendError::Connect)?;
        Ok(stream)
    }

    /// Gives up connections that the target has ended.
    pub(super) fn tidy(&self) {
        for target in self.targets.borrow_mut().iter_mut() {
            target.idle.retain(is_open);
        }
    }
}

/// Whether a connection that waits can carry a request: nothing is to be read, not even its end.
/// Asks the system only where the event loop has seen something.
fn is_open(stream: &TcpStream) -> bool {
    let looked = stream.try_read(&mut [0]);
    looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// A connection in use.
#[derive(Debug)]
struct Connection(TcpStream);

impl Connection {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// Waits until something can be read, and gives it to `take`; none at the connection's end.
    async fn read<T>(&mut self, mut take: impl FnMut(&[u8]) -> T) -> io::Result<Option<T>> {
        poll_fn(|context| {
            BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let read = Pin::new(&mut self.0).poll_read(context, &mut buffer);
                read.map_ok(|()| match buffer.filled() {
                    [] => None,
                    bytes => Some(take(bytes)),
                })
            })
        })
        .await
    }

    /// Reads the head of an answer, and what came with it of the body.
    async fn head(&mut self, method: &Method) -> Result<(Head, Vec<u8>), SendError> {
        // What came of a head that has not come to its end.
        let mut begun: Vec<u8> = Vec::new();
        loop {
            let parsed = self.read(|bytes| {
                if begun.is_empty() {
                    let parsed = Head::parse(bytes, method)?;
                    if parsed.is_none() {
                        begun.extend_from_slice(bytes);
                    }
                    return Ok(parsed.map(|(head, length)| (head, bytes[length..].to_vec())));
                }
                begun.extend_from_slice(bytes);
                let parsed = Head::parse(&begun, method)?;
                Ok(parsed.map(|(head, length)| (head, begun[length..].to_vec())))
            });
            match parsed.await? {
                Some(Ok(Some(read))) => return Ok(read),
                Some(Ok(None)) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(ended()),
            }
        }
    }
}

fn ended() -> SendError {
    let text = "the target ended the connection before its answer was complete";
    SendError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, text))
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub(crate) struct Answer<'c> {
    of: &'c Connections,
    target: usize,
    connection: Connection,
    /// The connection ends with it.
    is_last: bool,
    status: StatusCode,
    headers: HeaderMap,
    framing: Framing,
    /// What came of the body with the head.
    body: Vec<u8>,
}

impl Answer<'_> {
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Reads the body to its end, or until `take` has had enough, and keeps the connection for the
    /// next request if it can carry one.
    pub(super) async fn read(self, mut take: impl FnMut(&[u8]) -> Enough) -> Result<(), SendError> {
        let Self {
            of,
            target,
            mut connection,
            is_last,
            framing,
            body: begun,
            ..
        } = self;
        let mut body = Body::new(framing);
        let mut given = begun.len();
        let mut progress = body.feed(&begun, &mut take)?;
        drop(begun);
        while progress == Progress::Open {
            let read = connection.read(|bytes| {
                given = bytes.len();
                body.feed(bytes, &mut take)
            });
            progress = match read.await? {
                Some(progress) => progress?,
                None if body.close() => return Ok(()),
                None => return Err(ended()),
            };
        }
        // What comes after an answer that nobody asked for would be taken for the next one.
        if progress == Progress::Ended(given) && !is_last {
            of.targets.borrow_mut()[target].idle.push(connection.0);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
