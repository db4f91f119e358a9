//! What requests are sent by: HTTP/1.1 over plain connections of its own ([`plain`]), and reqwest
//! for HTTPS. Both keep connections as long as the target keeps them, as in k6, and use no proxy.
//! Redirects are followed by [`exchange`](crate::exchange).
//!
//! Why not reqwest for all: docs/design/0123.

mod body;
mod error;
mod message;
mod plain;

use std::time::Duration;

use futures::future::Either;
use http::{HeaderMap, StatusCode};
use reqwest::Url;
use tokio::time::{Instant, timeout_at};

pub use error::SendError;

/// Settings of reqwest's client, for HTTPS and for everything that is no load.
pub(crate) fn defaults() -> reqwest::ClientBuilder {
    // A second installation is refused, and the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .pool_max_idle_per_host(usize::MAX)
        .pool_idle_timeout(None)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
}

/// A client with connections of its own, for one thread at a time.
#[derive(Debug)]
pub struct Client {
    plain: plain::Connections,
    tls: reqwest::Client,
}

impl Client {
    /// A client without connections. `connect_timeout` is the limit for making one beside that of
    /// the whole exchange.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(connect_timeout: Option<Duration>) -> Result<Self, reqwest::Error> {
        let mut tls = defaults();
        if let Some(limit) = connect_timeout {
            tls = tls.connect_timeout(limit);
        }
        Ok(Self {
            plain: plain::Connections::new(connect_timeout),
            tls: tls.build()?,
        })
    }

    /// Sends a request and reads the head of its answer. The request's timeout holds until the
    /// answer's end.
    ///
    /// What is waited for holds no more than it needs: many virtual users wait at a time.
    pub(crate) fn send(
        &self,
        request: reqwest::Request,
    ) -> impl Future<Output = Result<Answer<'_>, SendError>> {
        let until = request.timeout().map(|limit| Instant::now() + *limit);
        match request.url().scheme() {
            "http" => {
                let prepared = self.plain.prepare(&request);
                Either::Left(async move {
                    let answer = in_time(until, self.plain.send(prepared?)).await?;
                    Ok(Answer::Plain { answer, until })
                })
            }
            _ => {
                let sent = Box::pin(self.tls.execute(request));
                Either::Right(async move { Ok(Answer::Tls(Box::new(sent.await?))) })
            }
        }
    }

    /// Gives up connections that the target has closed.
    pub(crate) fn tidy(&self) {
        self.plain.tidy();
    }
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub(crate) enum Answer<'c> {
    Plain {
        answer: plain::Answer<'c>,
        /// When its exchange has taken too long.
        until: Option<Instant>,
    },
    Tls(Box<reqwest::Response>),
}

impl Answer<'_> {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Plain { answer, .. } => answer.status(),
            Self::Tls(answer) => answer.status(),
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        match self {
            Self::Plain { answer, .. } => answer.headers(),
            Self::Tls(answer) => answer.headers(),
        }
    }

    /// Reads the body to its end and gives each piece to `take`, which may say that it has had
    /// enough: the rest is not read then.
    pub(crate) async fn read(self, mut take: impl FnMut(&[u8]) -> Enough) -> Result<(), SendError> {
        match self {
            Self::Plain { answer, until } => in_time(until, answer.read(take)).await,
            Self::Tls(mut answer) => {
                let read = async {
                    while let Some(chunk) = answer.chunk().await? {
                        if take(&chunk) == Enough::Yes {
                            break;
                        }
                    }
                    Ok(())
                };
                Box::pin(read).await
            }
        }
    }
}

async fn in_time<T>(
    until: Option<Instant>,
    what: impl Future<Output = Result<T, SendError>>,
) -> Result<T, SendError> {
    match until {
        Some(until) => timeout_at(until, what)
            .await
            .unwrap_or(Err(SendError::Timeout)),
        None => what.await,
    }
}

/// Whether whoever reads a body has had enough of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enough {
    Yes,
    NotYet,
}

/// Host and port of an address, as a connection is made to it. IPv6 addresses are in brackets in
/// one and not in the other.
fn host_and_port(url: &Url) -> Option<(&str, u16)> {
    let host = url.host_str()?;
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    Some((host, url.port_or_known_default()?))
}
