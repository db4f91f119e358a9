//! One proxy: its listener, which is there while it is enabled, and its connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::link::Links;
use crate::relay::relay;

/// How long to wait after a failed accept. It fails mostly because no file descriptors are left,
/// and does so at once, as long as that is so.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A proxy between clients and a server.
#[derive(Debug)]
pub(crate) struct Edge {
    /// Where clients connect, as it was asked for.
    asked: String,
    /// The same as it was had: a port 0 has become the one that was chosen.
    listen: String,
    upstream: Arc<str>,
    links: Arc<Links>,
    /// None: it is down.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Edge {
    /// A proxy that is down. Without an address to listen on it gets a free port of 127.0.0.1.
    pub(crate) fn new(listen: &str, upstream: &str) -> Self {
        let asked = match listen {
            "" => "127.0.0.1:0",
            _ => listen,
        };
        Self {
            asked: asked.to_owned(),
            listen: asked.to_owned(),
            upstream: upstream.into(),
            links: Arc::default(),
            running: None,
        }
    }

    pub(crate) fn listen(&self) -> &str {
        &self.listen
    }

    pub(crate) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// Whether it has these addresses already.
    pub(crate) fn is_at(&self, listen: &str, upstream: &str) -> bool {
        (listen == self.asked || listen == self.listen) && *upstream == *self.upstream
    }

    pub(crate) fn is_up(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    /// Listens. Does nothing where it does already.
    ///
    /// # Errors
    /// The address can't be had. The proxy is down then.
    pub(crate) async fn start(&mut self) -> io::Result<()> {
        if self.is_up() {
            return Ok(());
        }
        let listener = match self.listen.strip_prefix(':') {
            // As others write it: on all addresses.
            Some(port) => TcpListener::bind(format!("[::]:{port}")).await?,
            None => TcpListener::bind(&self.listen).await?,
        };
        self.listen = listener.local_addr()?.to_string();
        let (stop, stopped) = oneshot::channel();
        let (upstream, links) = (Arc::clone(&self.upstream), Arc::clone(&self.links));
        let task = tokio::spawn(serve(listener, upstream, links, stopped));
        self.running = Some(Running { stop, task });
        Ok(())
    }

    /// Stops listening and drops all connections. Returns when both are done.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            // Both fail only when it has ended already.
            let _ = running.stop.send(());
            let _ = running.task.await;
        }
    }

    /// Goes to other addresses, which drops all connections, and is up or down then.
    ///
    /// # Errors
    /// As for [`Edge::start`].
    pub(crate) async fn change(
        &mut self,
        listen: &str,
        upstream: &str,
        up: bool,
    ) -> io::Result<()> {
        let moves = !self.is_at(listen, upstream);
        if !up || moves {
            self.stop().await;
        }
        if moves {
            self.asked = listen.to_owned();
            self.listen = listen.to_owned();
            self.upstream = upstream.into();
        }
        match up {
            true => self.start().await,
            false => Ok(()),
        }
    }
}

/// Accepts connections until it is told to stop, or nobody is there any more to tell it.
async fn serve(
    listener: TcpListener,
    upstream: Arc<str>,
    links: Arc<Links>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(relay(client, Arc::clone(&upstream), Arc::clone(&links)));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}
