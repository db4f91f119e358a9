//! `loadgen`: labelled anomaly datasets from running microservices.
//!
//! Read `commands/run.rs` for the main job: scenario → plan → target → engine → telemetry →
//! dataset.

#![warn(clippy::print_stderr, clippy::print_stdout)]

mod allow;
mod args;
mod certificates;
mod commands;
mod descriptors;
mod display;
mod drivers;
mod embedded;
mod exit;
mod failed_requests;
mod folder;
mod guard;
mod interrupts;
mod logs;
mod otlp;
mod reach;
mod rendezvous;
mod secrets;
mod serve;
mod shard;
mod show;
mod tables;
#[cfg_attr(not(feature = "upload"), path = "no_upload.rs")]
mod upload;

use std::process::ExitCode;

use clap::Parser;

// musl's own has one lock for all threads, see docs/design/0095.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    descriptors::raise_limit();
    match logs::begin(args.verbose).and_then(|()| commands::dispatch(args.command)) {
        Ok(code) => code.into(),
        Err(failure) => {
            display::say(&failure);
            failure.code().into()
        }
    }
}
