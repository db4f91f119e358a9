//! Whether the lines of a log stand in the order in which k6 wrote them, and all of them.

use std::collections::HashSet;

use super::line::LogLine;

/// Times of lines go back by no more than this in the order in which k6 writes them: VUs write at the
/// same time.
const BACK_MS: i64 = 10_000;

/// So few requests say nothing of an order.
const MANY: u64 = 4;

/// What the order of lines shows.
#[derive(Debug, Default)]
pub(super) struct Order {
    has_begun: bool,
    /// When the latest request was sent, in Unix milliseconds.
    pub(super) latest_ms: i64,
    /// Requests on their way, by key.
    in_flight: HashSet<Box<str>>,
    pub(super) ends_without_begin: u64,
    ends: u64,
    /// k6 has said what it counted, which it does last.
    has_ended: bool,
}

impl Order {
    /// Takes the next line.
    ///
    /// # Errors
    /// Why it can't stand where it does.
    pub(super) fn follow(&mut self, line: &LogLine<'_>) -> Result<(), String> {
        if matches!(line, LogLine::Run(_)) {
            self.has_begun = true;
        } else if !self.has_begun {
            return Err("a line of a run whose first line, `lg1 run`, is not above it".to_owned());
        }
        if self.has_ended {
            return Err("a line below k6's last one, `lg1 end`".to_owned());
        }
        match line {
            LogLine::Begin(begin) => {
                if begin.sent_ms < self.latest_ms - BACK_MS {
                    let earlier = self.latest_ms - begin.sent_ms;
                    return Err(format!(
                        "a request that was sent {earlier} ms before one above"
                    ));
                }
                self.latest_ms = self.latest_ms.max(begin.sent_ms);
                self.in_flight.insert(begin.key.into());
            }
            LogLine::Summary(_) => self.has_ended = true,
            LogLine::End { key, .. } => {
                self.ends += 1;
                self.ends_without_begin += u64::from(!self.in_flight.remove(*key));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether most requests end above the line on which they begin, or where none is.
    pub(super) fn is_upside_down(&self) -> bool {
        self.ends > MANY && 2 * self.ends_without_begin > self.ends
    }
}
