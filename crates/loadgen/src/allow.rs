//! Where load and faults may go: to this machine and to private networks, and elsewhere only where
//! somebody says so. A slip in an address must not become an attack on a stranger.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use crate::exit::{Exit, Failure};

/// Refuses an address whose host is neither allowed by name nor resolves to loopback or private
/// addresses alone. One that can't be parsed or resolved is left to whoever calls it.
pub(crate) async fn check(what: &str, address: &str, allowed: &[String]) -> Result<(), Failure> {
    let Some(host) = Url::parse(address)
        .ok()
        .and_then(|url| Some(url.host_str()?.to_owned()))
    else {
        return Ok(());
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if allowed
        .iter()
        .any(|allowed| allowed.eq_ignore_ascii_case(bare))
    {
        return Ok(());
    }
    let Ok(addresses) = tokio::net::lookup_host((bare, 0)).await else {
        return Ok(());
    };
    let public: Vec<String> = addresses
        .map(|address| address.ip())
        .filter(|ip| !is_ours(*ip))
        .map(|ip| ip.to_string())
        .collect();
    if public.is_empty() {
        return Ok(());
    }
    let is = match public[0] == bare {
        true => String::new(),
        false => format!(" ({})", public.join(", ")),
    };
    Err(Failure::new(
        Exit::BadInput,
        format!(
            "{what} {bare}{is} is neither this machine nor in a private network, and nothing was sent.\n\
             If load and faults may go there: --allow-target {bare}, or LOADGEN_ALLOW_TARGET={bare}"
        ),
    ))
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
        let refused = check("the target", url, &[]).await.unwrap_err().to_string();
        assert!(refused.contains("--allow-target 203.0.113.7"), "{refused}");
        assert!(!refused.contains("u:p"), "{refused}");
        assert!(
            check("the target", url, &["203.0.113.7".to_owned()])
                .await
                .is_ok()
        );
        assert!(check("the target", "http://[::1]:1", &[]).await.is_ok());
        assert!(check("the target", "nonsense", &[]).await.is_ok());
    }
}
