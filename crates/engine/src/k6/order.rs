//! Whether the lines of a log stand in the order in which k6 wrote them, and all of them.

use std::collections::HashSet;

use super::line::LogLine;

/// Times of lines go back by no more than this in the order in which k6 writes them: VUs write at the
/// same time.
const BACK_MS: i64 = 10_000;

/// What the order of lines shows.
#[derive(Debug, Default)]
pub(super) struct Order {
    has_begun: bool,
    /// When the latest request was sent, in Unix milliseconds.
    pub(super) latest_ms: i64,
    /// Requests on their way, by key.
    in_flight: HashSet<Box<str>>,
    pub(super) ends_without_begin: u64,
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
            return Err("a line of a run that has not begun".to_owned());
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
            LogLine::End { key, .. } => {
                self.ends_without_begin += u64::from(!self.in_flight.remove(*key));
            }
            _ => {}
        }
        Ok(())
    }
}
