//! Network partition: connections to other services are not made, as over a cut network. They go to a
//! listener that accepts nobody and has no room left for those who wait, so the system drops their
//! first packet and they time out. Those that were there before are not used.

use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::dial::Dial;

/// How long a connection may take that is made. On one machine it takes far less.
const MADE_WITHIN: Duration = Duration::from_millis(200);
/// Connections that a listener with room for one may take all the same.
const ROOM: usize = 16;

/// The network between this service and those that it calls.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    share: Dial,
    hole: Mutex<Option<Hole>>,
}

/// A place that no connection can be made to.
#[derive(Debug)]
struct Hole {
    port: u16,
    _listener: TcpListener,
    /// All that there is room for.
    _waiting: Vec<TcpStream>,
}

impl Hole {
    async fn dig() -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = socket.listen(1)?;
        let address = listener.local_addr()?;
        let mut waiting = Vec::new();
        while waiting.len() < ROOM {
            let connecting = TcpStream::connect(address);
            match tokio::time::timeout(MADE_WITHIN, connecting).await {
                Ok(connection) => waiting.push(connection?),
                Err(_) => {
                    return Ok(Hole {
                        port: address.port(),
                        _listener: listener,
                        _waiting: waiting,
                    });
                }
            }
        }
        Err(std::io::Error::other(
            "the system accepts connections by itself",
        ))
    }
}

impl Partition {
    /// Cuts the network for a share (0 to 1) of the calls. Says why that is not possible.
    pub(crate) async fn begin(&self, share: f64) -> Result<(), String> {
        if self.hole().is_none() {
            let hole = Hole::dig().await.map_err(|error| error.to_string())?;
            *self.hole() = Some(hole);
        }
        self.share.set(share);
        Ok(())
    }

    /// Mends the network. Connections that are being made fail.
    pub(crate) fn end(&self) {
        self.share.set(0.0);
        self.hole().take();
    }

    /// The port to which a call goes instead; none as a rule.
    pub(crate) fn strikes(&self) -> Option<u16> {
        match self.share.strikes() {
            true => self.hole().as_ref().map(|hole| hole.port),
            false => None,
        }
    }

    fn hole(&self) -> std::sync::MutexGuard<'_, Option<Hole>> {
        self.hole.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_connection_is_made_while_the_network_is_cut() {
        let partition = Partition::default();
        assert_eq!(partition.strikes(), None);
        partition.begin(1.0).await.expect("sockets");
        let port = partition.strikes().expect("each call is struck");
        let connecting = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        let made = tokio::time::timeout(Duration::from_millis(300), connecting);
        assert!(made.await.is_err(), "neither made nor refused");
        partition.end();
        assert_eq!(partition.strikes(), None);
        let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        assert!(refused.is_err());
    }
}
