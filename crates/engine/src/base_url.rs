//! The base URL of a target, apart from its credentials.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use reqwest::Url;

/// A base URL as it may be written down, and the credentials that were in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// Without a trailing slash and without credentials.
    pub url: String,
    /// `Authorization` header for the credentials (Basic, RFC 7617), as k6 makes of them.
    pub authorization: Option<HeaderValue>,
    /// The credentials as they were written, `user:password`, percent-encoded.
    pub credentials: Option<String>,
}

impl BaseUrl {
    /// Takes a base URL apart. One that can't be parsed comes back as it is: the first request
    /// says why.
    pub fn new(text: &str) -> Self {
        let plain = |url: &str| url.trim_end_matches('/').to_owned();
        let Ok(mut url) = Url::parse(text) else {
            return Self {
                url: plain(text),
                authorization: None,
                credentials: None,
            };
        };
        if url.username().is_empty() && url.password().is_none() {
            return Self {
                url: plain(text),
                authorization: None,
                credentials: None,
            };
        }
        let decode = |s: &str| {
            percent_encoding::percent_decode_str(s)
                .decode_utf8_lossy()
                .into_owned()
        };
        let password = url.password().unwrap_or_default().to_owned();
        let credentials = format!("{}:{}", decode(url.username()), decode(&password));
        let mut header =
            HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials))).ok();
        if let Some(header) = &mut header {
            header.set_sensitive(true);
        }
        let written = format!("{}:{password}", url.username());
        // Both can only fail for URLs without a host, which have no credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Self {
            url: plain(url.as_str()),
            authorization: header,
            credentials: Some(written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out() {
        let base = BaseUrl::new("https://us%20er:p%40ss@shop.example/x/");
        assert_eq!(base.url, "https://shop.example/x");
        assert_eq!(base.authorization.unwrap(), "Basic dXMgZXI6cEBzcw==");
        let base = BaseUrl::new("http://shop.example:8080/");
        assert_eq!(
            (base.url.as_str(), base.authorization),
            ("http://shop.example:8080", None)
        );
    }
}
