//! Whether the target is there at all, before a run of many minutes begins.

use std::time::Duration;

use loadgen_engine::BaseUrl;

use crate::allow;
use crate::exit::{Exit, Failure};

const PATIENCE: Duration = Duration::from_secs(5);

/// One request to the base URL. Any HTTP answer will do: what the flows expect is checked as they
/// run.
pub(crate) async fn check(base: &BaseUrl) -> Result<(), Failure> {
    let base_url = &base.url;
    let client = allow::client()
        .build()
        .map_err(|e| Failure::new(Exit::Failed, format!("can't set up the HTTP client: {e}")))?;
    // Not sampled: the dataset should hold no trace that is not of the run.
    let (trace, span) = (rand::random::<u128>(), rand::random::<u64>());
    let mut request = client
        .get(format!("{base_url}/"))
        .header("traceparent", format!("00-{trace:032x}-{span:016x}-00"))
        .timeout(PATIENCE);
    if let Some(authorization) = &base.authorization {
        request = request.header("authorization", authorization);
    }
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) => {
            let mut why = if error.is_timeout() {
                format!("no answer within {} s", PATIENCE.as_secs())
            } else {
                root_cause(&error)
            };
            if why.contains("certificate") {
                why += "\nThe certificates of an own authority, or the target's own, are believed where \
                        --ca FILE names them.";
            }
            Err(Failure::new(
                Exit::NotReachable,
                format!(
                    "the target {base_url} is not reachable: {why}\n\
                     No request was sent and no fault was injected. Check the address \
                     (--base-url, BASE_URL, or `base_url:` in the scenario file, in that order) \
                     and that the target runs; `target: embedded` needs none."
                ),
            ))
        }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
