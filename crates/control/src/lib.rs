//! Who may call a control port.
//!
//! A control port changes a running system, so it must not be open to everybody who can reach it.
//! On a loopback address every process of the machine may call it, but no web page that a browser
//! on the machine shows: the `Host` and `Origin` of a request must be the machine's own. On any
//! other address each request needs a token.
//!
//! ```
//! use axum::{Router, routing::get};
//! use loadgen_control::Access;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let access = Access::new("127.0.0.1".parse()?, None)?;
//! let router: Router = access.protect(Router::new().route("/health", get(async || "ok")));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri};

/// An address that others can reach, and no token that would tell them apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not a loopback address, and whoever reaches it could change the system: give a token"
)]
pub struct NeedsToken(IpAddr);

/// The rule by which requests are let in.
#[derive(Clone)]
pub struct Access {
    listen: IpAddr,
    token: Option<String>,
}

impl fmt::Debug for Access {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Access");
        text.field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// Why a request was turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Denied {
    #[error("`{0}` is not the host of this port: call it by its address, or as localhost")]
    Host(String),
    #[error("this port answers no web page of another origin: `{0}`")]
    Origin(String),
    #[error("the token is missing or wrong: send `Authorization: Bearer <token>`")]
    Token,
}

impl Access {
    /// The rule for a port that listens on this address. An empty token counts as none.
    ///
    /// # Errors
    /// Without a token the address must be a loopback one.
    pub fn new(listen: IpAddr, token: Option<String>) -> Result<Self, NeedsToken> {
        let listen = listen.to_canonical();
        let token = token.filter(|token| !token.is_empty());
        if token.is_none() && !listen.is_loopback() {
            return Err(NeedsToken(listen));
        }
        Ok(Self { listen, token })
    }

    /// The rule for a port that only takes data in: no token on any address. Beyond loopback every
    /// host is taken, since the names of this machine are not known.
    pub fn without_token(listen: IpAddr) -> Self {
        let listen = listen.to_canonical();
        Self {
            listen,
            token: None,
        }
    }

    /// The same routes for those who may call them. Others are answered 401 (the token) or 403
    /// (host or origin) with `{"error": "…", "status": 403}`.
    pub fn protect(self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(Arc::new(self), let_in))
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Denied> {
        self.check_host(uri, headers)?;
        if let Some(origin) = headers.get(ORIGIN) {
            let text = String::from_utf8_lossy(origin.as_bytes()).into_owned();
            let uri: Option<Uri> = text.parse().ok();
            let host = uri.as_ref().and_then(Uri::host);
            if !host.is_some_and(|host| self.is_own(host)) {
                return Err(Denied::Origin(text));
            }
        }
        match &self.token {
            Some(token) if !bearer(headers).is_some_and(|sent| is_same(sent, token.as_bytes())) => {
                Err(Denied::Token)
            }
            _ => Ok(()),
        }
    }

    /// A web page can give its own name the address of this machine. The browser then takes this
    /// port for a part of the page, but still sends the page's name.
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Denied> {
        let named = headers.get_all(HOST).iter();
        let mut hosts: Vec<String> = named
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        hosts.extend(uri.authority().map(ToString::to_string));
        if hosts.is_empty() {
            return Err(Denied::Host(String::new()));
        }
        for host in hosts {
            let authority: Option<Authority> = host.parse().ok();
            if !authority.is_some_and(|authority| self.is_own(authority.host())) {
                return Err(Denied::Host(host));
            }
        }
        Ok(())
    }

    /// Whether a host is this machine. One that listens on all of its addresses has names that are
    /// not known here; a token is needed there in any case.
    fn is_own(&self, host: &str) -> bool {
        let is_open = self.token.is_none() && !self.listen.is_loopback();
        if is_open || self.listen.is_unspecified() || host.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let address = host.trim_start_matches('[').trim_end_matches(']');
        let address = address.parse::<IpAddr>().map(|ip| ip.to_canonical());
        address.is_ok_and(|ip| ip.is_loopback() || ip == self.listen)
    }
}

async fn let_in(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match access.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(denied) => denied.into_response(),
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let status = match self {
            Denied::Host(_) | Denied::Origin(_) => StatusCode::FORBIDDEN,
            Denied::Token => StatusCode::UNAUTHORIZED,
        };
        let body = serde_json::json!({ "error": self.to_string(), "status": status.as_u16() });
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let value = http::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        response
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

/// Takes as long for a token that is nearly right as for one that is all wrong.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |found, (a, b)| found | (a ^ b));
    a.len() == b.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use tower::ServiceExt;

    fn loopback() -> Access {
        Access::new("127.0.0.1".parse().unwrap(), None).unwrap()
    }

    fn guarded(listen: &str) -> Access {
        Access::new(listen.parse().unwrap(), Some("secret".to_owned())).unwrap()
    }

    fn check(access: &Access, headers: &[(&'static str, &str)]) -> Result<(), Denied> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        access.check(&"/proxies".parse().unwrap(), &map)
    }

    #[test]
    fn other_addresses_than_loopback_need_a_token() {
        let with = |address: &str, token: Option<&str>| {
            Access::new(address.parse().unwrap(), token.map(str::to_owned)).is_ok()
        };
        for address in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(with(address, None), "{address}");
        }
        for address in ["0.0.0.0", "::", "192.168.1.5", "::ffff:10.0.0.1"] {
            assert!(!with(address, None), "{address}");
            assert!(!with(address, Some("")), "{address}");
            assert!(with(address, Some("secret")), "{address}");
        }
    }

    #[test]
    fn a_name_that_somebody_gave_to_loopback_is_not_taken() {
        let access = loopback();
        for host in [
            "127.0.0.1",
            "127.0.0.1:8474",
            "localhost:8474",
            "LocalHost",
            "[::1]:8474",
            "127.1.2.3",
        ] {
            assert_eq!(check(&access, &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "shop.example",
            "shop.example:8474",
            "localhost.example",
            "127.0.0.1.example",
            "127.0.0.1@shop.example",
            "192.168.1.5:8474",
            "0.0.0.0:8474",
            "",
        ] {
            let denied = check(&access, &[("host", host)]);
            assert!(matches!(denied, Err(Denied::Host(_))), "{host}: {denied:?}");
        }
        assert!(check(&access, &[]).is_err());
        assert!(check(&access, &[("host", "localhost"), ("host", "shop.example")]).is_err());
        let uri: Uri = "http://shop.example/proxies".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "localhost".parse().unwrap());
        assert!(access.check(&uri, &headers).is_err());
    }

    #[test]
    fn a_port_without_a_token_knows_its_hosts_on_loopback_only() {
        let of = |address: &str| Access::without_token(address.parse().unwrap());
        let host = [("host", "shop.example:4318")];
        assert!(matches!(
            check(&of("127.0.0.1"), &host),
            Err(Denied::Host(_))
        ));
        assert!(matches!(check(&of("::1"), &host), Err(Denied::Host(_))));
        assert_eq!(
            check(&of("127.0.0.1"), &[("host", "localhost:4318")]),
            Ok(())
        );
        for beyond in ["0.0.0.0", "192.168.1.5"] {
            assert_eq!(check(&of(beyond), &host), Ok(()), "{beyond}");
        }
    }

    #[test]
    fn a_web_page_may_not_call_even_by_the_right_host() {
        let host = ("host", "127.0.0.1:8474");
        for origin in [
            "http://shop.example",
            "null",
            "https://localhost.example:1",
            "",
        ] {
            let denied = check(&loopback(), &[host, ("origin", origin)]);
            assert!(
                matches!(denied, Err(Denied::Origin(_))),
                "{origin}: {denied:?}"
            );
        }
        assert_eq!(
            check(&loopback(), &[host, ("origin", "http://localhost:3000")]),
            Ok(())
        );
    }

    #[test]
    fn where_a_token_is_set_it_is_asked_for() {
        for listen in ["127.0.0.1", "192.168.1.5", "0.0.0.0"] {
            let access = guarded(listen);
            let host = ("host", if listen == "0.0.0.0" { "proxy" } else { listen });
            assert_eq!(
                check(&access, &[host, ("authorization", "Bearer secret")]),
                Ok(())
            );
            assert_eq!(
                check(&access, &[host, ("authorization", "bearer secret")]),
                Ok(())
            );
            assert_eq!(check(&access, &[host]), Err(Denied::Token));
            for wrong in [
                "Bearer secre",
                "Bearer secrets",
                "Bearer",
                "Bearer ",
                "Basic secret",
                "secret",
            ] {
                let denied = check(&access, &[host, ("authorization", wrong)]);
                assert_eq!(denied, Err(Denied::Token), "{wrong}");
            }
        }
        let right = ("authorization", "Bearer secret");
        let denied = check(&guarded("192.168.1.5"), &[("host", "shop.example"), right]);
        assert!(matches!(denied, Err(Denied::Host(_))), "{denied:?}");
    }

    #[tokio::test]
    async fn who_is_turned_away_is_told_why() {
        let routes = Router::new().route("/health", get(async || "ok"));
        let router = guarded("127.0.0.1").protect(routes);
        let ask = async |path: &str, host: &str, token: &str| {
            let request = Request::get(path)
                .header(HOST, host)
                .header(AUTHORIZATION, format!("Bearer {token}"));
            let request = request.body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            let status = answer.status().as_u16();
            let body = to_bytes(answer.into_body(), 1000).await.unwrap();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        let ok = ask("/health", "localhost", "secret").await;
        assert_eq!(ok, (200, "ok".to_owned()));
        for path in ["/health", "/nothing"] {
            let (status, body) = ask(path, "localhost", "guess").await;
            assert_eq!(status, 401, "{path}");
            assert!(
                body.contains("Bearer") && body.contains(r#""status":401"#),
                "{body}"
            );
            let (status, body) = ask(path, "shop.example", "secret").await;
            assert_eq!(status, 403, "{path}");
            assert!(body.contains("shop.example"), "{body}");
        }
    }
}
