//! The HTTP client of everything that the engine sends.

/// Settings of the HTTP client: connections are kept as long as the target keeps them, as in k6,
/// and no proxy. Redirects are followed by [`exchange`](crate::exchange).
pub(crate) fn defaults() -> reqwest::ClientBuilder {
    // A second installation is refused, and the first one stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .pool_max_idle_per_host(usize::MAX)
        .pool_idle_timeout(None)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
}
