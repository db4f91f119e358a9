//! Clients that meet a fault, and those that don't. Each iteration is a client of one of a hundred
//! cells, which its requests say; a fault may be for the clients of some cells only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::prng::{CELL_SITE, Prng};

/// How many cells there are.
pub const CELLS: u32 = 100;

/// The member of `baggage` that says the cell.
pub const CELL_KEY: &str = "client.cell";

/// The clients of some cells that follow one another; after the last cell comes the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Clients {
    /// The first cell, below [`CELLS`].
    pub from: u32,
    /// How many cells, from 1 to [`CELLS`].
    pub count: u32,
}

impl Clients {
    /// Those that make up a share (0 to 1) of all; none: it is less than one cell. They begin with
    /// the first cell.
    pub(crate) fn of_share(share: f64) -> Option<Self> {
        let count = (share * f64::from(CELLS)).round() as u32;
        (1..=CELLS)
            .contains(&count)
            .then_some(Self { from: 0, count })
    }

    /// As many, from a cell on that follows from the seed and the window that has the fault: cells
    /// that always had the faults would tell them.
    pub(crate) fn drawn(self, seed: u64, window: &str) -> Self {
        let prng = Prng::new(seed, &format!("{window}/clients"));
        Self {
            from: prng.index(0, 0, CELLS),
            ..self
        }
    }

    /// Whether a client of a cell is one of them.
    pub fn contain(&self, cell: u32) -> bool {
        cell < CELLS && (cell + CELLS).saturating_sub(self.from) % CELLS < self.count
    }
}

/// The cell of the client that an iteration is; `prng` is that of the plan's seed and the
/// scenario's name.
pub fn cell(prng: Prng, iteration: u64) -> u32 {
    prng.index(iteration, CELL_SITE, CELLS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_as_many_cells_and_begins_anywhere() {
        assert_eq!(Clients::of_share(0.004), None);
        let thirty = Clients::of_share(0.3).unwrap();
        let mut froms = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let clients = thirty.drawn(seed, "slow");
            froms.insert(clients.from);
            let met = (0..CELLS).filter(|cell| clients.contain(*cell)).count();
            assert_eq!(met, 30);
            assert!(clients.contain(clients.from));
            assert!(!clients.contain((clients.from + 30) % CELLS));
        }
        assert!(froms.len() > 60, "{froms:?}");
    }

    #[test]
    fn cells_are_as_likely_as_each_other() {
        let prng = Prng::new(7, "shoppers");
        let met = (0..10_000).filter(|n| cell(prng, *n) < 30).count();
        // Five standard deviations are 229.
        assert!((2_771..3_229).contains(&met), "{met}");
    }
}
