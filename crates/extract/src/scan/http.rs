//! HTTP and network attributes of a span, in the stable vocabulary and in the one before it.
//! Where both are there, the stable name wins, in whatever order they come.

use std::borrow::Cow;

use loadgen_otlp::view::{AnyValue, Span, SpanKind};

/// The attributes as they came, each in a slot of its meaning.
#[derive(Debug, Default)]
pub(crate) struct HttpAttributes<'a> {
    method: Ranked<&'a str>,
    status_code: Ranked<i64>,
    target: Ranked<&'a str>,
    path: Option<&'a str>,
    query: Option<&'a str>,
    full_url: Ranked<&'a str>,
    server_address: Option<&'a str>,
    server_port: Option<i64>,
    client_address: Ranked<&'a str>,
    /// `host:port` of the request.
    host_header: Option<&'a str>,
    /// This side of the connection, whichever it is.
    own_name: Ranked<&'a str>,
    own_port: Option<i64>,
    /// The other side.
    peer_name: Ranked<&'a str>,
    peer_port: Ranked<i64>,
    protocol_version: Ranked<&'a str>,
}

/// A value and how good its source is: a lower rank replaces a higher one.
#[derive(Debug)]
struct Ranked<T>(Option<(u8, T)>);

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Ranked<T> {
    fn offer(&mut self, rank: u8, value: Option<T>) {
        if let Some(value) = value
            && self.0.as_ref().is_none_or(|(held, _)| rank < *held)
        {
            self.0 = Some((rank, value));
        }
    }

    fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, value)| value)
    }
}

fn offer<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

impl<'a> HttpAttributes<'a> {
    /// Those of a span.
    pub(crate) fn of(span: &'a Span<'_>) -> Self {
        let mut http = Self::default();
        for pair in &span.attributes {
            http.take(&pair.key, &pair.value);
        }
        http
    }

    /// Looks at one attribute; the first of a key that comes twice wins.
    fn take(&mut self, key: &str, value: &'a AnyValue<'_>) {
        match key {
            "http.request.method" => self.method.offer(0, value.as_text()),
            "http.method" => self.method.offer(1, value.as_text()),
            "http.response.status_code" => self.status_code.offer(0, value.as_int()),
            "http.status_code" => self.status_code.offer(1, value.as_int()),
            "url.path" => offer(&mut self.path, value.as_text()),
            "url.query" => offer(&mut self.query, value.as_text()),
            "http.target" => self.target.offer(0, value.as_text()),
            "url.full" => self.full_url.offer(0, value.as_text()),
            "http.url" => self.full_url.offer(1, value.as_text()),
            "server.address" => offer(&mut self.server_address, value.as_text()),
            "server.port" => offer(&mut self.server_port, value.as_int()),
            "client.address" => self.client_address.offer(0, value.as_text()),
            "http.client_ip" => self.client_address.offer(1, value.as_text()),
            "http.host" => offer(&mut self.host_header, value.as_text()),
            "net.host.name" => self.own_name.offer(0, value.as_text()),
            "http.server_name" => self.own_name.offer(1, value.as_text()),
            "net.host.ip" => self.own_name.offer(2, value.as_text()),
            "net.host.port" => offer(&mut self.own_port, value.as_int()),
            "net.peer.name" => self.peer_name.offer(0, value.as_text()),
            "net.peer.ip" => self.peer_name.offer(1, value.as_text()),
            "network.peer.address" => self.peer_name.offer(2, value.as_text()),
            "net.sock.peer.addr" => self.peer_name.offer(3, value.as_text()),
            "net.peer.port" => self.peer_port.offer(0, value.as_int()),
            "network.peer.port" => self.peer_port.offer(1, value.as_int()),
            "network.protocol.version" => self.protocol_version.offer(0, value.as_text()),
            "net.protocol.version" => self.protocol_version.offer(1, value.as_text()),
            "http.flavor" => self.protocol_version.offer(2, value.as_text()),
            _ => {}
        }
    }

    /// Request method.
    pub(crate) fn method(&self) -> Option<&str> {
        self.method.get().copied()
    }

    /// Status of the answer.
    pub(crate) fn status_code(&self) -> Option<i32> {
        self.status_code
            .get()
            .and_then(|&code| i32::try_from(code).ok())
    }

    /// Path and query of the request.
    pub(crate) fn target(&self) -> Option<Cow<'_, str>> {
        if let Some(path) = self.path {
            return Some(match self.query {
                Some(query) => Cow::Owned(format!("{path}?{}", query.trim_start_matches('?'))),
                None => Cow::Borrowed(path),
            });
        }
        let full = || self.full_url.get().map(|url| path_and_query(url));
        self.target.get().copied().or_else(full).map(Cow::Borrowed)
    }

    /// Name or address of the side that answers.
    pub(crate) fn server_address(&self, kind: SpanKind) -> Option<&str> {
        let (own, peer) = (self.own_name.get().copied(), self.peer_name.get().copied());
        let of_side = if kind == SpanKind::SERVER {
            own
        } else {
            peer.or(own)
        };
        let of_header = || self.host_header.map(|host| split_host(host).0);
        self.server_address.or(of_side).or_else(of_header)
    }

    /// Port of the side that answers.
    pub(crate) fn server_port(&self, kind: SpanKind) -> Option<i32> {
        let (own, peer) = (self.own_port, self.peer_port.get().copied());
        let of_side = if kind == SpanKind::SERVER {
            own
        } else {
            peer.or(own)
        };
        self.server_port
            .or(of_side)
            .or_else(|| split_host(self.host_header?).1)
            .and_then(|port| i32::try_from(port).ok())
    }

    /// Address of the side that asks.
    pub(crate) fn client_address(&self, kind: SpanKind) -> Option<&str> {
        let peer = if kind == SpanKind::SERVER {
            self.peer_name.get()
        } else {
            None
        };
        self.client_address.get().or(peer).copied()
    }

    /// Version of the protocol, such as `1.1`.
    pub(crate) fn protocol_version(&self) -> Option<&str> {
        self.protocol_version.get().copied()
    }
}

/// What follows the authority of an absolute URL; the text itself where it is none.
fn path_and_query(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else {
        return url;
    };
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    match rest.find(['/', '?']) {
        Some(at) => &rest[at..],
        None => "/",
    }
}

/// Host and port of a `Host` header; brackets of an IPv6 address are taken off.
fn split_host(host: &str) -> (&str, Option<i64>) {
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (
            address,
            rest.strip_prefix(':').and_then(|port| port.parse().ok()),
        );
    }
    match host.rsplit_once(':') {
        Some((name, port)) => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (host, None),
        },
        None => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `check` with what was made of the attributes.
    fn with(pairs: &[(&str, &str)], check: impl FnOnce(HttpAttributes<'_>)) {
        let values: Vec<AnyValue<'_>> = pairs
            .iter()
            .map(|(_, value)| AnyValue::Text(Cow::Borrowed(value)))
            .collect();
        let mut http = HttpAttributes::default();
        for ((key, _), value) in pairs.iter().zip(&values) {
            http.take(key, value);
        }
        check(http);
    }

    #[test]
    fn the_stable_name_wins_in_any_order() {
        let pairs = [
            ("http.request.method", "GET"),
            ("http.method", "get"),
            ("http.response.status_code", "200"),
            ("http.status_code", "500"),
            ("network.protocol.version", "2"),
            ("http.flavor", "1.1"),
        ];
        let mut reversed = pairs;
        reversed.reverse();
        for order in [pairs, reversed] {
            with(&order, |http| {
                assert_eq!(http.method(), Some("GET"));
                assert_eq!(http.status_code(), Some(200));
                assert_eq!(http.protocol_version(), Some("2"));
            });
        }
    }

    #[test]
    fn the_target_is_path_and_query_from_whichever_is_there() {
        let cases = [
            (vec![("url.path", "/a"), ("url.query", "b=1")], "/a?b=1"),
            (vec![("url.path", "/a"), ("http.target", "/old")], "/a"),
            (
                vec![("http.target", "/old?x"), ("url.full", "http://h/new")],
                "/old?x",
            ),
            (vec![("url.full", "http://h:80/new?y#z")], "/new?y"),
            (vec![("http.url", "http://h")], "/"),
            (vec![("http.url", "http://h?q=1")], "?q=1"),
        ];
        for (pairs, target) in cases {
            with(&pairs, |http| {
                assert_eq!(http.target().as_deref(), Some(target), "{pairs:?}");
            });
        }
        assert_eq!(HttpAttributes::default().target(), None);
    }

    #[test]
    fn peer_means_the_client_on_a_server_span_and_the_server_on_a_client_span() {
        let pairs = [
            ("net.host.name", "shop"),
            ("net.host.port", "8080"),
            ("net.peer.ip", "10.0.0.9"),
            ("net.peer.port", "40000"),
        ];
        with(&pairs, |http| {
            assert_eq!(http.server_address(SpanKind::SERVER), Some("shop"));
            assert_eq!(http.server_port(SpanKind::SERVER), Some(8080));
            assert_eq!(http.client_address(SpanKind::SERVER), Some("10.0.0.9"));
            assert_eq!(http.server_address(SpanKind::CLIENT), Some("10.0.0.9"));
            assert_eq!(http.server_port(SpanKind::CLIENT), Some(40000));
            assert_eq!(http.client_address(SpanKind::CLIENT), None);
        });
    }

    #[test]
    fn the_host_header_is_the_last_resort() {
        with(&[("http.host", "shop:8080")], |http| {
            assert_eq!(http.server_address(SpanKind::SERVER), Some("shop"));
            assert_eq!(http.server_port(SpanKind::SERVER), Some(8080));
        });
        assert_eq!(split_host("[::1]:80"), ("::1", Some(80)));
        assert_eq!(split_host("shop"), ("shop", None));
    }
}
