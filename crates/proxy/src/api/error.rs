//! What the API answers when it can't do as it is told.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use crate::toxic::TYPES;

/// An error of the API. The first words are Toxiproxy's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("bad request body: {0}")]
    BadBody(String),
    #[error("missing required field: {0}")]
    MissingField(&'static str),
    #[error("proxy not found: there is no `{0}`")]
    ProxyNotFound(String),
    #[error("proxy already exists: `{0}`")]
    ProxyExists(String),
    #[error("stream was invalid, can be either upstream or downstream: `{0}` is neither")]
    InvalidStream(String),
    #[error("invalid toxic type: `{0}` is none of {all}", all = TYPES.join(", "))]
    InvalidType(String),
    #[error("toxic already exists: `{0}`")]
    ToxicExists(String),
    #[error("toxic not found: there is no `{0}`")]
    ToxicNotFound(String),
    #[error("{what} is of the owner `{owner}`, and stays as it is for others that name an owner")]
    OfAnother { what: String, owner: String },
    #[error("{what} was made by hand, and gets no owner afterwards")]
    ByHand { what: String },
    #[error("can't listen on {address}: {reason}")]
    Listen { address: String, reason: String },
    #[error("the change broke down: {0}")]
    Broken(String),
    #[error("user agent not allowed: browsers may not change anything here")]
    Browser,
    #[error("no such route; docs/proxy.md lists them")]
    NoRoute,
}

impl ApiError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadBody(_)
            | Self::MissingField(_)
            | Self::InvalidStream(_)
            | Self::InvalidType(_) => StatusCode::BAD_REQUEST,
            Self::ProxyNotFound(_) | Self::ToxicNotFound(_) | Self::NoRoute => {
                StatusCode::NOT_FOUND
            }
            Self::ProxyExists(_)
            | Self::ToxicExists(_)
            | Self::OfAnother { .. }
            | Self::ByHand { .. } => StatusCode::CONFLICT,
            Self::Browser => StatusCode::FORBIDDEN,
            Self::Listen { .. } | Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer's body.
    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody {
            error: self.to_string(),
            status: self.status().as_u16(),
        }
    }
}

/// The body of an answer that is an error.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody {
    pub(crate) error: String,
    pub(crate) status: u16,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status(), Json(self.body())).into_response()
    }
}
