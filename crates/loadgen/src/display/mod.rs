//! Progress of a run on standard error: bars on a terminal, plain lines elsewhere. Both are
//! consumers of the engine's events and know nothing else of it.

mod bars;
mod plain;
mod tally;

use loadgen_engine::Consumer;
use loadgen_scenario::Plan;

/// The display that suits standard error.
pub(crate) fn progress(plan: &Plan) -> Box<dyn Consumer> {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        Box::new(bars::Bars::new(plan))
    } else {
        Box::new(plain::Plain::new(plan))
    }
}
