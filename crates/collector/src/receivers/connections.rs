//! Connections of receivers: how many may be open, how long one may say nothing at first, and which
//! are closed when there is no room for more.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tonic::transport::server::Connected;

/// Connections that a receiver has open at most; others wait to be accepted.
pub(crate) const MOST_OPEN: usize = 1024;

/// While all are open, one that has had no request for this time is closed: it is idle, or sends a
/// head without end.
const IDLE: Duration = Duration::from_secs(30);

/// A connection must have sent its first bytes within this time. With the limits on what follows,
/// each that is silent or slow is closed, and makes room for another.
pub(crate) const FIRST_BYTES: Duration = Duration::from_secs(30);

/// The preface of HTTP/2, in bytes; no request of HTTP/1 that has a host is shorter.
const BEGINNING: usize = 24;

/// A listener that has a bounded number of connections open.
pub(crate) struct Incoming {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl Incoming {
    pub(crate) fn new(listener: TcpListener, most_open: usize) -> Self {
        let room = Arc::new(Semaphore::new(most_open));
        Self { listener, room }
    }

    /// The next connection, as soon as there is room for it.
    pub(crate) async fn accept(&self) -> Connection {
        loop {
            // It is never closed.
            let Ok(room) = self.room.clone().acquire_owned().await else {
                return std::future::pending().await;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // Only makes answers come sooner.
                    let _ = stream.set_nodelay(true);
                    return Connection {
                        stream,
                        begins: Some(Box::pin(sleep(FIRST_BYTES))),
                        received: 0,
                        look: Box::pin(sleep(IDLE)),
                        last_request: LastRequest::now(),
                        all_room: self.room.clone(),
                        _room: room,
                    };
                }
                // One that is gone already; or there are no descriptors left, and some may be soon.
                Err(error) if is_of_the_client(&error) => {}
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// When a connection had its last request: the end of a request's head, or the start of the
/// connection. It is shared by the connection and whoever answers its requests.
#[derive(Clone, Debug)]
pub(crate) struct LastRequest(Arc<Mutex<Instant>>);

impl LastRequest {
    fn now() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// A request has come.
    pub(crate) fn mark(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that was accepted.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Runs until the first bytes are there.
    begins: Option<Pin<Box<Sleep>>>,
    received: usize,
    /// Runs until it is time to see whether the connection is in use.
    look: Pin<Box<Sleep>>,
    last_request: LastRequest,
    all_room: Arc<Semaphore>,
    _room: OwnedSemaphorePermit,
}

impl Connection {
    /// What is to be marked at each request.
    pub(crate) fn last_request(&self) -> LastRequest {
        self.last_request.clone()
    }

    /// Whether it had no request for [`IDLE`] while there is no room for another connection.
    fn is_in_the_way(&mut self, cx: &mut Context<'_>) -> bool {
        while self.look.as_mut().poll(cx).is_ready() {
            let idle_at = self.last_request.at() + IDLE;
            let now = Instant::now();
            if idle_at <= now && self.all_room.available_permits() == 0 {
                return true;
            }
            let soon = now + Duration::from_secs(1);
            self.look.as_mut().reset(idle_at.max(soon));
        }
        false
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(limit) = &mut self.begins
            && limit.as_mut().poll(cx).is_ready()
        {
            let message = "the connection was silent for too long";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
        }
        if self.is_in_the_way(cx) {
            let message = "the connection had no request for too long, and others wait";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.received += buffer.filled().len() - before;
        if self.received >= BEGINNING {
            self.begins = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Connected for Connection {
    type ConnectInfo = LastRequest;

    fn connect_info(&self) -> LastRequest {
        self.last_request()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn incoming(most_open: usize) -> (Incoming, std::net::SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Incoming::new(listener, most_open), address)
    }

    #[tokio::test]
    async fn no_more_are_open_than_there_is_room_for() {
        let (incoming, address) = incoming(1).await;
        let _first = TcpStream::connect(address).await.unwrap();
        let _second = TcpStream::connect(address).await.unwrap();
        let open = incoming.accept().await;
        let mut next = Box::pin(incoming.accept());
        let looked = tokio::select! {
            biased;
            _ = &mut next => "accepted",
            () = tokio::task::yield_now() => "waits",
        };
        assert_eq!(looked, "waits");
        drop(open);
        next.await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_says_nothing_is_closed() {
        let (incoming, address) = incoming(1).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut open = incoming.accept().await;
        silent.write_all(b"PRI * HTTP").await.unwrap();
        let mut text = Vec::new();
        let ended = open.read_to_end(&mut text).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn one_without_requests_makes_room_for_others() {
        let (incoming, address) = incoming(1).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut open = incoming.accept().await;
        client.write_all(&[0; BEGINNING]).await.unwrap();
        let began = Instant::now();
        let mut text = Vec::new();
        let ended = open.read_to_end(&mut text).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(text.len(), BEGINNING);
        assert!(began.elapsed() >= IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_had_a_request_stays_and_so_does_one_that_is_in_no_ones_way() {
        for (most_open, marked) in [(1, true), (2, false)] {
            let (incoming, address) = incoming(most_open).await;
            let mut client = TcpStream::connect(address).await.unwrap();
            let mut open = incoming.accept().await;
            client.write_all(&[0; BEGINNING]).await.unwrap();
            let (requests, mut text) = (open.last_request(), Vec::new());
            let stays = tokio::select! {
                _ = open.read_to_end(&mut text) => false,
                () = async {
                    for _ in 0..10 {
                        sleep(IDLE / 2).await;
                        if marked {
                            requests.mark();
                        }
                    }
                } => true,
            };
            assert!(stays, "{most_open} may be open");
        }
    }
}
