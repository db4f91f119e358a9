//! The end of a replay: what became of each signal.

use std::path::Path;

use loadgen_replay::ReplayReport;

use super::{table, wrapped};

/// What was sent, and what became of it.
pub(crate) fn replayed(report: &ReplayReport, truth: Option<&Path>) -> String {
    let columns = ["signal", "stored", "sent", "accepted", "rejected"];
    let mut signals = table(&columns, &[1, 2, 3, 4]);
    for (name, of) in [
        ("spans", report.spans),
        ("data points", report.data_points),
        ("log records", report.log_records),
    ] {
        let counts = [of.stored, of.sent, of.accepted, of.rejected];
        signals.add_row(
            [name.to_owned()]
                .into_iter()
                .chain(counts.map(|count| count.to_string())),
        );
    }
    let mut out = format!(
        "{signals}\n{} of {} requests in {:.1} s",
        report.batches_sent, report.batches_stored, report.seconds
    );
    if report.late_seconds >= 1.0 {
        out += &format!("; at most {:.1} s late", report.late_seconds);
    }
    out.push('\n');
    if report.messages_unreadable > 0 {
        let count = report.messages_unreadable;
        out += &format!("{count} messages could not be read and were not sent\n");
    }
    if let Some(reason) = &report.last_reason {
        out += &wrapped(&format!("the receiver said last: {reason}"), "");
    }
    if report.interrupted {
        out += "ended early\n";
    }
    if let Some(truth) = truth {
        out += &format!("the timeline that fits is in {}\n", truth.display());
    }
    out
}
