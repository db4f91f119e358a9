//! Progress of a replay: a bar on a terminal, now and then a line elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use loadgen_otlp::{OtlpProtocol, Signal};
use loadgen_replay::{Pace, Progress, Speed, Stored};

use super::say;

/// Time between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// Shows how far a replay has come.
pub(crate) enum ReplayProgress {
    Bar(ProgressBar),
    Lines { begin: Instant, next: Duration },
    Quiet,
}

impl ReplayProgress {
    /// Says what is to be sent.
    pub(crate) fn new(stored: &Stored, pace: Pace, protocol: OtlpProtocol, is_quiet: bool) -> Self {
        if is_quiet {
            return Self::Quiet;
        }
        let [_, last_ns] = stored.span_ns();
        let how_long = match pace.speed {
            Speed::Max => "as fast as it is taken".to_owned(),
            _ => format!("in {}", HumanDuration(pace.due(last_ns))),
        };
        let protocol = match protocol {
            OtlpProtocol::Grpc => "grpc",
            OtlpProtocol::HttpProtobuf => "http/protobuf",
        };
        say(format_args!(
            "sending {} spans, {} data points and {} log records in {} requests over {protocol}, {how_long}",
            stored.items(Signal::Traces),
            stored.items(Signal::Metrics),
            stored.items(Signal::Logs),
            stored.batches(),
        ));
        if !std::io::stderr().is_terminal() {
            return Self::Lines {
                begin: Instant::now(),
                next: PAUSE,
            };
        }
        let style = ProgressStyle::with_template("{bar:30.green/dim} {pos}/{len} requests  {msg}");
        let bar = ProgressBar::new(stored.batches() as u64);
        Self::Bar(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        match self {
            Self::Quiet => {}
            Self::Bar(bar) => {
                bar.set_position(progress.batches);
                bar.set_message(message(progress));
            }
            Self::Lines { begin, next } => {
                if begin.elapsed() >= *next {
                    *next = begin.elapsed() + PAUSE;
                    let Progress { batches, of, .. } = progress;
                    say(format_args!(
                        "{batches} of {of} requests, {}",
                        message(progress)
                    ));
                }
            }
        }
    }

    pub(crate) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn message(progress: Progress) -> String {
    let lost = match progress.rejected {
        0 => String::new(),
        lost => format!("{lost} items lost, "),
    };
    match progress.left {
        Some(left) => format!("{lost}{} left", HumanDuration(left)),
        None => lost,
    }
}
