//! What a handler answers when it cannot answer as asked.
//!
//! The originals answer 4xx with plain text; 5xx carries a JSON object with `error`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use opentelemetry::Context;
use opentelemetry::logs::Severity;
use opentelemetry_semantic_conventions::attribute as semconv;

use crate::store::DbError;
use crate::telemetry::Telemetry;
use crate::telemetry::client::{CallError, Failure};

/// A refusal or a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The request is wrong: 4xx with this text.
    Refused(StatusCode, &'static str),
    /// The service, or something that it needs, failed: 5xx with this reason.
    Failed(StatusCode, String),
}

impl Answer {
    /// 400 with a text.
    pub(crate) fn bad(text: &'static str) -> Self {
        Answer::Refused(StatusCode::BAD_REQUEST, text)
    }

    /// 404 with a text.
    pub(crate) fn not_found(text: &'static str) -> Self {
        Answer::Refused(StatusCode::NOT_FOUND, text)
    }

    /// 500 with a reason.
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Answer::Failed(StatusCode::INTERNAL_SERVER_ERROR, reason.into())
    }

    /// Turns it into a response, after a log record where it is a failure.
    pub(crate) fn logged(self, telemetry: &Telemetry, context: &Context) -> Response {
        if let Answer::Failed(status, reason) = &self {
            telemetry.log(
                context,
                Severity::Error,
                reason.clone(),
                vec![(
                    semconv::HTTP_RESPONSE_STATUS_CODE.into(),
                    i64::from(status.as_u16()).into(),
                )],
            );
        }
        self.into_response()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Answer::Refused(status, text) => (status, text).into_response(),
            Answer::Failed(status, reason) => {
                (status, axum::Json(serde_json::json!({ "error": reason }))).into_response()
            }
        }
    }
}

impl From<DbError> for Answer {
    fn from(error: DbError) -> Self {
        let status = match error {
            // The database cannot be had: try again later.
            DbError::PoolTimeout(_) | DbError::Refused(_) => StatusCode::SERVICE_UNAVAILABLE,
            DbError::Pool(_) | DbError::Statement(_) | DbError::Lost => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Answer::Failed(status, error.to_string())
    }
}

impl From<CallError> for Answer {
    fn from(error: CallError) -> Self {
        match error.failure {
            Some(Failure::Parameter) => Answer::bad("`.` and `..` name nothing here"),
            // As the originals do: whatever a dependency fails with, the caller fails with 500.
            _ => Answer::failed(error.to_string()),
        }
    }
}
