//! Connections of receivers: how many may be open, and how long one may say nothing at first.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Connections that a receiver has open at most; others wait to be accepted.
pub(crate) const MOST_OPEN: usize = 1024;

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

/// A connection that was accepted.
pub(crate) struct Connection {
    stream: TcpStream,
    /// Runs until the first bytes are there.
    begins: Option<Pin<Box<Sleep>>>,
    received: usize,
    _room: OwnedSemaphorePermit,
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
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
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
}
