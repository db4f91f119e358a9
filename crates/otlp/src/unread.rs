//! What of a message is not read: it is passed over, counted and named.

use crate::input::{Input, Unasked};
use crate::problem::{Problem, Result, Stranger};
use crate::sink::{Owner, Sink};
use crate::view::Odd;
use crate::walk::Walk;

impl<'a, S: Sink, const LENIENT: bool> Walk<'_, 'a, S, LENIENT> {
    /// Passes over a field that is not known where it stands, and names it where items may be in
    /// it; how many things there are.
    #[cold]
    pub(crate) fn unknown<I: Input<'a>>(
        &mut self,
        input: &mut I,
        key: &I::Key,
        place: &str,
    ) -> Result<u64> {
        self.pass_over(input, || {
            format!("{} is not known in {place}: what it holds", I::name(key))
        })
    }

    /// Passes over a field that is known and not asked for, and names what does not belong there.
    pub(crate) fn unasked<I: Input<'a>>(
        &mut self,
        input: &mut I,
        key: &I::Key,
        holds: Unasked,
    ) -> Result<()> {
        let byte = input.byte();
        let parts = input.skip_unasked(holds)?;
        if parts > 0 {
            let reason = format!("{} has no place for a list: what it holds", I::name(key));
            self.unread(byte, parts, reason);
        }
        Ok(())
    }

    /// Passes over a value, and names it where items may be in it; how many things there are.
    pub(crate) fn pass_over<I: Input<'a>>(
        &mut self,
        input: &mut I,
        reason: impl FnOnce() -> String,
    ) -> Result<u64> {
        let byte = input.byte();
        let parts = input.skip_unknown()?;
        if parts > 0 {
            self.unread(byte, parts, reason());
        }
        Ok(parts)
    }

    /// Names what was passed over in a thing that was read.
    #[inline]
    pub(crate) fn name_odd(&mut self, owner: Owner) {
        if !self.odd.is_empty() {
            self.name_all_odd(owner);
        }
    }

    #[cold]
    fn name_all_odd(&mut self, owner: Owner) {
        if let (things, Some(Problem { byte, reason })) = self.odd.take() {
            self.unread(
                byte,
                things,
                format!("{reason} in {}: what it holds", owner.name()),
            );
        }
    }

    /// Names something that has nothing of what it should have.
    pub(crate) fn name_stranger(&mut self, stranger: Stranger, what: &str) {
        if let Some(byte) = stranger.is_unnamed() {
            let reason = format!("{what} without any of its own fields");
            self.unread(byte, 1, reason);
        }
    }

    /// Reads something; whether it could be read. Where that need not be, it is passed over and
    /// named: an item as one thing, and something else as what it holds.
    #[inline]
    pub(crate) fn or_pass_over<I: Input<'a>>(
        &mut self,
        input: &mut I,
        is_item: bool,
        read: impl FnOnce(&mut Self, &mut I) -> Result<()>,
    ) -> Result<bool> {
        match LENIENT {
            true => Ok(self.or_name(input, is_item, read)?.is_some()),
            false => read(self, input).map(|()| true),
        }
    }

    /// Reads something that, where it can't be read, costs itself and is named; none then. What is
    /// not even JSON costs more.
    pub(crate) fn or_name<I: Input<'a>, T>(
        &mut self,
        input: &mut I,
        is_item: bool,
        read: impl FnOnce(&mut Self, &mut I) -> Result<T>,
    ) -> Result<Option<T>> {
        let start = input.clone();
        let problem = match read(self, input) {
            Ok(read) => return Ok(Some(read)),
            Err(problem) => problem,
        };
        *input = start;
        self.odd = Odd::default();
        let things = input.skip_unknown()?.max(1);
        let Problem { byte, reason } = *problem;
        match is_item || things == 1 {
            true => self.unread.add(1, Problem { byte, reason }),
            false => self.unread(byte, things, format!("{reason}: what is there")),
        }
        Ok(None)
    }

    /// Counts and names parts of the message that are not read.
    pub(crate) fn unread(&mut self, byte: usize, parts: u64, reason: String) {
        let reason = match parts {
            1 => format!("{reason} (1 thing) is not read"),
            _ => format!("{reason} ({parts} things) is not read"),
        };
        self.unread.add(parts, Problem { byte, reason });
    }
}
