//! Where OTLP goes, by the command line and the variables of OpenTelemetry.

use loadgen_exporter::Endpoint;
use loadgen_otlp::OtlpProtocol;

use crate::allow::{self, Stands};
use crate::args::{Allowed, Protocol};
use crate::exit::{Exit, Failure};

/// Where a receiver is unless anything else is said: the default of OTLP over HTTP.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:4318";

/// A variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// An endpoint without a scheme would be taken for one that never answers.
pub(crate) fn check_endpoint(endpoint: Option<&str>) -> Result<(), Failure> {
    match endpoint {
        Some(url) if !is_web(url) => Err(Failure::new(
            Exit::Usage,
            format!(
                "--otlp-endpoint {url}: give a URL with its scheme, such as http://127.0.0.1:4317"
            ),
        )),
        _ => Ok(()),
    }
}

fn is_web(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()))
}

/// Refuses a receiver that is neither in this machine nor in a private network, unless it is named.
pub(crate) async fn check_host(
    address: Option<&str>,
    stands: Stands,
    allowed: &Allowed,
) -> Result<(), Failure> {
    match address {
        Some(url) => allow::check("the receiver", url, stands, &allowed.hosts).await,
        None => Ok(()),
    }
}

/// The transport: as it was asked for on the command line, as `variable` says, or as the address
/// suggests.
pub(crate) fn protocol(
    asked: Option<Protocol>,
    variable: Option<&str>,
    address: Option<&str>,
) -> OtlpProtocol {
    let has_grpc_port = address.is_some_and(|url| url.trim_end_matches('/').ends_with("4317"));
    match (asked, variable) {
        (Some(Protocol::Grpc), _) | (None, Some("grpc")) => OtlpProtocol::Grpc,
        (None, None) if has_grpc_port => OtlpProtocol::Grpc,
        _ => OtlpProtocol::HttpProtobuf,
    }
}

/// Where all signals go.
pub(crate) fn endpoint(
    address: Option<&str>,
    asked: Option<Protocol>,
) -> Result<Endpoint, Failure> {
    check_endpoint(address)?;
    let address = address.map(str::to_owned);
    let address = address.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let said = variable("OTEL_EXPORTER_OTLP_PROTOCOL");
    let protocol = protocol(asked, said.as_deref(), address.as_deref());
    let address = address.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
    let mut endpoint = Endpoint::new(address, protocol);
    if let Some(list) = variable("OTEL_EXPORTER_OTLP_HEADERS") {
        endpoint.headers = headers(&list)?;
    }
    Ok(endpoint)
}

/// `name=value` pairs with commas between, values percent-encoded.
fn headers(list: &str) -> Result<Vec<(String, String)>, Failure> {
    let wrong = |pair: &str| {
        let message = format!("OTEL_EXPORTER_OTLP_HEADERS: {pair} is not name=value");
        Failure::new(Exit::BadInput, message)
    };
    let pairs = list
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty());
    let header = |pair: &str| {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong(pair))?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8();
        let value = value.map_err(|_| wrong(pair))?;
        Ok((name.trim().to_owned(), value.into_owned()))
    };
    pairs.map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_is_that_which_is_asked_for_or_that_of_the_port() {
        let grpc = Some("http://host:4317/");
        for (asked, variable, address, expected) in [
            (None, None, grpc, OtlpProtocol::Grpc),
            (
                None,
                None,
                Some("http://host:4318"),
                OtlpProtocol::HttpProtobuf,
            ),
            (None, None, None, OtlpProtocol::HttpProtobuf),
            (
                None,
                Some("http/protobuf"),
                grpc,
                OtlpProtocol::HttpProtobuf,
            ),
            (None, Some("grpc"), None, OtlpProtocol::Grpc),
            (
                Some(Protocol::HttpProtobuf),
                Some("grpc"),
                grpc,
                OtlpProtocol::HttpProtobuf,
            ),
            (
                Some(Protocol::Grpc),
                Some("http/protobuf"),
                None,
                OtlpProtocol::Grpc,
            ),
        ] {
            assert_eq!(protocol(asked, variable, address), expected);
        }
    }

    #[test]
    fn headers_are_pairs_with_encoded_values() {
        let pairs = headers("api-key=a%3Db, x = y ,").map_err(|e| e.to_string());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs, Ok(vec![pair("api-key", "a=b"), pair("x", "y")]));
        assert!(headers("nothing").is_err());
    }
}
