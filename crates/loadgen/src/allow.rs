//! Where load and faults may go: to this machine and to private networks, and elsewhere only where
//! somebody says so. A slip in an address must not become an attack on a stranger.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{ClientBuilder, Url};
use tokio::net::lookup_host;

use crate::args::Allowed;
use crate::certificates;
use crate::exit::{Exit, Failure};

/// Where an address stands, which says what has to be changed if it can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    /// On the command line.
    Typed,
    /// In a file or an environment variable.
    InInput,
}

impl Stands {
    /// Where an address stands that a flag says, or else an input.
    pub(crate) fn of_flag<T>(flag: Option<T>) -> Self {
        match flag {
            Some(_) => Self::Typed,
            None => Self::InInput,
        }
    }

    fn exit(self) -> Exit {
        match self {
            Self::Typed => Exit::Usage,
            Self::InInput => Exit::BadInput,
        }
    }
}

/// Refuses an address whose host is neither allowed by name nor resolves to loopback or private
/// addresses alone. What is not an address at all is left to whoever calls it.
///
/// # Errors
/// The host is a public one that is not allowed, or it can't be resolved: then nobody knows where
/// it would lead to later.
pub(crate) async fn check(
    what: &str,
    address: &str,
    stands: Stands,
    allowed: &[String],
) -> Result<(), Failure> {
    let Some(host) = host(address) else {
        return Ok(());
    };
    if is_named(&host, allowed) {
        return Ok(());
    }
    let addresses = lookup_host((host.as_str(), 0)).await.map_err(|error| {
        let message = format!("{what} {host} can't be found, and nothing was sent: {error}");
        Failure::new(Exit::NotReachable, message)
    })?;
    refuse_public(&host, addresses)
        .map(drop)
        .map_err(|refused| Failure::new(stands.exit(), format!("{what} {refused}")))
}

/// The host of an address as clients read it, without brackets. Schemes may be in capitals.
fn host(address: &str) -> Option<String> {
    let url = Url::parse(address.trim()).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some(host.trim_matches(['[', ']']).to_owned())
}

fn is_named(host: &str, allowed: &[String]) -> bool {
    let mut allowed = allowed.iter();
    allowed.any(|allowed| allowed.eq_ignore_ascii_case(host))
}

/// Addresses of a host, all of which are of this machine or of private networks.
fn refuse_public(
    host: &str,
    addresses: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, String> {
    let addresses: Vec<SocketAddr> = addresses.collect();
    let public = addresses.iter().map(SocketAddr::ip);
    let public: Vec<String> = public
        .filter(|ip| !is_ours(*ip))
        .map(|ip| ip.to_string())
        .collect();
    let Some(first) = public.first() else {
        return Ok(addresses);
    };
    let is = match first == host {
        true => String::new(),
        false => format!(" ({})", public.join(", ")),
    };
    Err(format!(
        "{host}{is} is neither this machine nor in a private network, and nothing was sent.\n\
         If load and faults may go there: --allow-target {host}, or LOADGEN_ALLOW_TARGET={host}"
    ))
}

/// Hosts that this process may reach although they are public.
static ALLOWED: OnceLock<Vec<String>> = OnceLock::new();

/// Says which public hosts [`client`] may reach, and which certificates it believes; the first call
/// holds.
///
/// # Errors
/// The file of certificates can't be read, or has none.
pub(crate) fn remember(allowed: &Allowed) -> Result<(), Failure> {
    ALLOWED.get_or_init(|| allowed.hosts.clone());
    certificates::remember(allowed.ca.as_deref())
}

/// The HTTP client's settings for hosts that are [checked](check). Names are checked again whenever
/// they are resolved, since what they stand for may change.
pub(crate) fn client() -> ClientBuilder {
    certificates::client().dns_resolver(Arc::new(Checked))
}

/// Resolves names as the system does, and refuses those that lead to public addresses.
#[derive(Debug)]
struct Checked;

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str();
            let addresses = lookup_host((host, 0)).await?;
            let is_allowed = ALLOWED.get().is_some_and(|allowed| is_named(host, allowed));
            let addresses = match is_allowed {
                true => addresses.collect(),
                false => refuse_public(host, addresses)?,
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Loopback, private (RFC 1918, RFC 4193), link-local, and shared (RFC 6598) addresses.
fn is_ours(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || is_shared
                || ip == Ipv4Addr::UNSPECIFIED
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip == Ipv6Addr::UNSPECIFIED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_ones_own() {
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_ours(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2001:4860::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(!is_ours(ip.parse().unwrap()), "{ip}");
        }
    }

    #[tokio::test]
    async fn a_public_address_must_be_allowed() {
        let url = "http://u:p@203.0.113.7:8080/x";
        let check = |url, allowed| check("the target", url, Stands::Typed, allowed);
        let refused = check(url, &[]).await.unwrap_err().to_string();
        assert!(refused.contains("--allow-target 203.0.113.7"), "{refused}");
        assert!(!refused.contains("u:p"), "{refused}");
        let allowed = ["203.0.113.7".to_owned()];
        assert!(check(url, &allowed).await.is_ok());
        assert!(check("http://[::1]:1", &[]).await.is_ok());
        assert!(check("nonsense", &[]).await.is_ok());
    }

    #[tokio::test]
    async fn addresses_are_read_as_clients_read_them() {
        for url in [
            "HTTP://203.0.113.7",
            "  https://203.0.113.7",
            "hTTp:203.0.113.7/x",
            "http:\\\\203.0.113.7",
            "http://3405803783",
            "http://0xcb007107",
            "http://[::ffff:203.0.113.7]:1",
            "grpc://203.0.113.7:4317",
        ] {
            for (stands, code) in [
                (Stands::InInput, Exit::BadInput),
                (Stands::Typed, Exit::Usage),
            ] {
                let refused = check("the receiver", url, stands, &[]).await;
                assert!(refused.is_err_and(|e| e.code() == code), "{url}");
            }
        }
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_not_passed() {
        let check = |url, allowed| check("the target", url, Stands::Typed, allowed);
        let refused = check("http://nowhere.invalid:1", &[]).await;
        assert!(refused.is_err_and(|e| e.code() == Exit::NotReachable));
        let allowed = ["nowhere.invalid".to_owned()];
        assert!(check("http://NOWHERE.invalid", &allowed).await.is_ok());
    }

    #[test]
    fn one_public_address_of_several_is_enough_to_refuse_a_name() {
        let addresses =
            |list: [&str; 2]| list.map(|a| a.parse::<SocketAddr>().unwrap()).into_iter();
        let ours = addresses(["127.0.0.1:0", "[fd00::1]:0"]);
        assert_eq!(refuse_public("shop", ours).unwrap().len(), 2);
        let mixed = addresses(["127.0.0.1:0", "203.0.113.7:0"]);
        let refused = refuse_public("shop", mixed).unwrap_err();
        assert!(
            refused.starts_with("shop (203.0.113.7) is neither"),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn a_name_is_checked_when_it_is_used() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let mut found = Checked.resolve(name("localhost")).await.unwrap();
        assert!(found.all(|address| is_ours(address.ip())));
        // A number is an address for the system's resolver as well.
        let refused = Checked.resolve(name("3405803783")).await;
        let refused = refused.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(refused.contains("--allow-target"), "{refused}");
    }
}
