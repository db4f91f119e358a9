//! Why there is no whole answer.

use std::error::Error;
use std::io;

use loadgen_timeline::Failure;
use rustix::io::Errno;

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There was none in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection could be made.
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// What came is no answer of HTTP/1.1.
    #[error("no answer of HTTP/1.1: {0}")]
    Malformed(&'static str),
    /// The same of HTTPS.
    #[error(transparent)]
    Tls(#[from] reqwest::Error),
}

impl SendError {
    /// How it counts.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Timeout => Failure::Timeout,
            Self::Connect(_) if self.is_shortage() => Failure::Generator,
            Self::Connect(_) => Failure::Connect,
            Self::Tls(error) if error.is_timeout() => Failure::Timeout,
            Self::Tls(error) if error.is_connect() && self.is_shortage() => Failure::Generator,
            Self::Tls(error) if error.is_connect() => Failure::Connect,
            Self::Io(_) | Self::Malformed(_) | Self::Tls(_) => Failure::Io,
        }
    }

    /// Whether this machine has run out of what a connection takes: file descriptors of the process
    /// or of the system, or ports.
    fn is_shortage(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let errno = error
                .downcast_ref::<io::Error>()
                .and_then(Errno::from_io_error);
            if let Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL) = errno {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_the_generators_and_a_refusal_the_targets() {
        let connect = |errno: Errno| SendError::Connect(errno.into()).failure();
        for errno in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL] {
            assert_eq!(connect(errno), Failure::Generator, "{errno}");
        }
        assert_eq!(connect(Errno::CONNREFUSED), Failure::Connect);
        // What breaks on a connection that was made is no shortage of connections.
        let broke = SendError::Io(Errno::CONNRESET.into());
        assert_eq!(broke.failure(), Failure::Io);
    }
}
