//! The HTTP client of everything that the engine sends, and what it means when it fails.

use std::error::Error;
use std::io;

use loadgen_timeline::Failure;
use rustix::io::Errno;

/// Settings of the HTTP client: connections are kept as long as the target keeps them, as in k6,
/// and no proxy. Redirects are followed by [`exchange`](crate::exchange).
pub(crate) fn defaults() -> reqwest::ClientBuilder {
    // A second installation is refused, and the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .pool_max_idle_per_host(usize::MAX)
        .pool_idle_timeout(None)
        .redirect(reqwest::redirect::Policy::none())
        // Answers that Go's client, and so k6, takes as well.
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .no_proxy()
}

/// How an exchange without a whole answer counts.
pub(crate) fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        Failure::Timeout
    } else if error.is_connect() {
        match is_shortage(error) {
            true => Failure::Generator,
            false => Failure::Connect,
        }
    } else {
        Failure::Io
    }
}

/// Whether this machine has run out of what a connection takes: file descriptors of the process or
/// of the system, or ports.
fn is_shortage(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        let errno = io.and_then(Errno::from_io_error);
        if let Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL) = errno {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error as HTTP clients wrap those of the system.
    #[derive(Debug, thiserror::Error)]
    #[error("no connection")]
    struct Wrapped(#[source] io::Error);

    #[test]
    fn a_shortage_is_the_generators_and_a_refusal_is_not() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL] {
            assert!(is_shortage(&Wrapped(errno.into())), "{errno}");
        }
        for errno in [Errno::CONNREFUSED, Errno::CONNRESET] {
            assert!(!is_shortage(&Wrapped(errno.into())), "{errno}");
        }
        assert!(!is_shortage(&Wrapped(io::Error::other("no errno"))));
    }
}
