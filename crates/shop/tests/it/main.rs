//! The shop as it really runs: nine processes, real databases, and a real OTLP receiver.

mod faults;
mod faults_of_systems;
mod lifecycle;
mod metrics;
mod receiver;
mod routes;
mod shop;
mod traces;
