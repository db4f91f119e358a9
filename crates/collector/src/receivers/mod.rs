//! Where data enters the collector: OTLP over gRPC and over HTTP, and the bound on how much of it
//! may be inside.

pub(crate) mod admission;
mod body;
pub(crate) mod connections;
pub(crate) mod grpc;
pub(crate) mod http;
