//! Progress of a run on standard error: bars on a terminal, plain lines elsewhere. Both are
//! consumers of the engine's events and know nothing else of it.

mod bars;
mod campaign;
mod plain;
pub(crate) mod replay;
mod tally;

use loadgen_engine::Consumer;
use loadgen_scenario::Plan;

pub(crate) use self::campaign::CampaignProgress;

/// Says something to the person on standard error. One that has been closed, as by `2>&1 | head`,
/// must not end a run.
pub(crate) fn say(text: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The display that suits standard error.
pub(crate) fn progress(plan: &Plan) -> Box<dyn Consumer> {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        Box::new(bars::Bars::new(plan))
    } else {
        Box::new(plain::Plain::new(plan))
    }
}
