//! The edge: `/api/<service>/…` goes to the service with the prefix taken off, everything else is
//! a page, also what only looks like an API.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use opentelemetry::Context;

use crate::answer::Answer;
use crate::error::ShopError;
use crate::kit::Kit;
use crate::telemetry::client::{Client, Failure, wanders};
use crate::telemetry::server::Cx;
use loadgen_shop_api::Service;

/// How long the edge waits for a service.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Bodies above this size are refused, in bytes.
const BODY_LIMIT: usize = 1 << 20;
/// Headers that belong to one connection, and those that the edge writes itself.
const NOT_FORWARDED: [HeaderName; 11] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("traceparent"),
];

pub(super) fn routes(kit: &Kit) -> Result<Router, ShopError> {
    let mut router = Router::new()
        .route("/", get(page))
        .route("/{*path}", get(page));
    for &peer in Service::Web.peers() {
        let client = kit.client(peer, TIMEOUT)?;
        let telemetry = Arc::clone(&kit.telemetry);
        router = router.route(
            &format!("/api/{peer}/{{*path}}"),
            any(async move |cx: Cx, request: Request| {
                match forward(&client, &cx.0, peer, request).await {
                    Ok(response) => response,
                    Err(answer) => answer.logged(&telemetry, &cx.0),
                }
            }),
        );
    }
    Ok(router)
}

async fn page() -> Html<&'static str> {
    Html(include_str!("index.html"))
}

async fn forward(
    client: &Client,
    cx: &Context,
    peer: Service,
    request: Request,
) -> Result<Response, Answer> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_LIMIT).await.map_err(|_| {
        Answer::Refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than 1 MiB",
        )
    })?;
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    // Taken off the text as it came: decoding and encoding could change it.
    let path = path
        .strip_prefix("/api/")
        .and_then(|rest| rest.strip_prefix(peer.as_str()))
        .unwrap_or(path);
    if wanders(parts.uri.path()) {
        return Err(Answer::bad("the path has `.` or `..` in it"));
    }
    let client_address = parts
        .extensions
        .get::<ConnectInfo<std::net::SocketAddr>>()
        .map(|info| info.0.ip().to_string());
    let headers = onward(&parts.headers, client_address);
    match client.forward(cx, parts.method, path, headers, body).await {
        Ok(reply) => Ok(back(reply.status, &reply.headers, reply.body)),
        Err(error) => Err(Answer::Failed(
            match error.failure {
                Some(Failure::Timeout) => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::BAD_GATEWAY,
            },
            error.to_string(),
        )),
    }
}

/// The client's headers, with its address added.
fn onward(from: &HeaderMap, client_address: Option<String>) -> HeaderMap {
    let mut headers: HeaderMap = from
        .iter()
        .filter(|(name, _)| !NOT_FORWARDED.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let earlier = from.get("x-forwarded-for").and_then(|v| v.to_str().ok());
    let list = match (earlier, client_address) {
        (Some(earlier), Some(address)) => Some(format!("{earlier}, {address}")),
        (None, address) => address,
        (Some(_), None) => None,
    };
    if let Some(Ok(list)) = list.as_deref().map(HeaderValue::from_str) {
        headers.insert("x-forwarded-for", list);
    }
    headers
}

fn back(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Response {
    let mut response = (status, body).into_response();
    match headers.get(header::CONTENT_TYPE) {
        Some(kind) => response
            .headers_mut()
            .insert(header::CONTENT_TYPE, kind.clone()),
        None => response.headers_mut().remove(header::CONTENT_TYPE),
    };
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_person_go_on_and_those_of_the_connection_do_not() {
        let mut from = HeaderMap::new();
        from.insert("x-anomaly-type", HeaderValue::from_static("none"));
        from.insert("host", HeaderValue::from_static("shop"));
        from.insert("connection", HeaderValue::from_static("keep-alive"));
        from.insert("x-forwarded-for", HeaderValue::from_static("10.0.0.1"));
        let headers = onward(&from, Some("127.0.0.1".to_owned()));
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["x-anomaly-type"], "none");
        assert_eq!(headers["x-forwarded-for"], "10.0.0.1, 127.0.0.1");
    }
}
