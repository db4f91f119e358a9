//! Calls of drivers to the HTTP APIs of what they drive.

use std::time::Duration;

use loadgen_scenario::redact;
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;
use tracing::debug;

use crate::FaultError;

/// How long an answer is waited for. The demo shop holds connections and calibrates work before it
/// confirms, and a service has 5 s for it.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The body of an answer that says yes.
pub(crate) async fn answer(request: RequestBuilder, url: &str) -> Result<String, FaultError> {
    let unreachable = |source| FaultError::Unreachable {
        url: shown(url),
        source,
    };
    let answer = request.timeout(ANSWER_LIMIT).send().await;
    debug!(
        url = shown(url),
        status = answer.as_ref().ok().map(|a| a.status().as_u16()),
        "asked"
    );
    let answer = answer.map_err(unreachable)?;
    let status = answer.status();
    let text = answer.text().await;
    if status.is_success() {
        return text.map_err(unreachable);
    }
    let text = text.unwrap_or_default();
    let said: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let error = said.and_then(|said| Some(said.get("error")?.as_str()?.to_owned()));
    Err(FaultError::Refused {
        url: shown(url),
        status: status.as_u16(),
        message: error.unwrap_or(text),
    })
}

/// An answer that says yes, read.
pub(crate) async fn read<T: DeserializeOwned>(
    request: RequestBuilder,
    url: &str,
) -> Result<T, FaultError> {
    let body = answer(request, url).await?;
    serde_json::from_str(&body).map_err(|error| FaultError::Unclear {
        url: shown(url),
        reason: error.to_string(),
    })
}

/// An address as errors have it, which go onto the timeline.
fn shown(url: &str) -> String {
    redact::addresses(url).into_owned()
}
