//! Which clients a fault is for, where it is not for all.

use serde::{Deserialize, Serialize};

/// Clients are told apart by their cell, a number below this.
pub const CELLS: u32 = 100;

/// The member of a request's `baggage` that says the cell of its client.
pub const CELL_KEY: &str = "client.cell";

/// The clients of some cells that follow one another; after the last comes the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Cells")]
pub struct ClientCells {
    from: u32,
    count: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cells {
    from: u32,
    count: u32,
}

impl TryFrom<Cells> for ClientCells {
    type Error = String;

    fn try_from(Cells { from, count }: Cells) -> Result<Self, String> {
        ClientCells::new(from, count).ok_or_else(|| {
            format!("`clients` are {count} cells from {from}, but must be 1 to {CELLS} cells from below {CELLS}")
        })
    }
}

impl ClientCells {
    /// Those of `count` cells from `from` on; none: there are no such cells.
    pub fn new(from: u32, count: u32) -> Option<Self> {
        (from < CELLS && (1..=CELLS).contains(&count)).then_some(Self { from, count })
    }

    /// Whether a client of a cell is one of them.
    pub fn contain(self, cell: u32) -> bool {
        cell < CELLS && (cell + CELLS - self.from) % CELLS < self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_last_cell_comes_the_first() {
        let clients = ClientCells::new(90, 20).expect("cells");
        let cells: Vec<u32> = (0..200).filter(|cell| clients.contain(*cell)).collect();
        assert_eq!(cells, (0..10).chain(90..100).collect::<Vec<_>>());
        let all = ClientCells::new(7, 100).expect("cells");
        assert!((0..100).all(|cell| all.contain(cell)));
    }

    #[test]
    fn cells_that_are_none_are_not_read() {
        for (from, count) in [(100, 1), (0, 0), (0, 101)] {
            let text = format!("{{\"from\":{from},\"count\":{count}}}");
            assert!(
                serde_json::from_str::<ClientCells>(&text).is_err(),
                "{text}"
            );
        }
    }
}
