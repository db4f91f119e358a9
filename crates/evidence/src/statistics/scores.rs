//! Scores: what is summed up over the blocks of a side, and has to be large to be called a
//! difference.

/// The scores of a stratum's values, block by block: their ranks, or how far totals are from what
/// they would be if nothing differed. All scores together are 0.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scores {
    /// Blocks that have values.
    pub(super) blocks: Vec<InBlock>,
    /// How many values there are.
    pub(super) n: f64,
    /// Sum of the squares of all scores.
    pub(super) squares: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct InBlock {
    pub(super) block: usize,
    /// Sum of the scores.
    pub(super) sum: f64,
    /// How many values.
    pub(super) count: f64,
}

impl Scores {
    /// Ranks, counted from their mean, of pairs of a value and its block; equal values share
    /// theirs.
    pub(crate) fn ranks(mut pairs: Vec<(f64, usize)>) -> Self {
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n = pairs.len() as f64;
        let mut squares = 0.0;
        let mut before = 0.0;
        let mut ranks: Vec<(usize, f64)> = Vec::with_capacity(pairs.len());
        for same in pairs.chunk_by(|a, b| a.0 == b.0) {
            let equal = same.len() as f64;
            let rank = before + (equal + 1.0) / 2.0 - (n + 1.0) / 2.0;
            ranks.extend(same.iter().map(|(_, block)| (*block, rank)));
            squares += equal * rank * rank;
            before += equal;
        }
        ranks.sort_by_key(|(block, _)| *block);
        let in_block = |same: &[(usize, f64)]| InBlock {
            block: same[0].0,
            sum: same.iter().map(|(_, rank)| rank).sum(),
            count: same.len() as f64,
        };
        Self {
            blocks: ranks.chunk_by(|a, b| a.0 == b.0).map(in_block).collect(),
            n,
            squares,
        }
    }

    /// Whether anything differs from anything.
    pub(crate) fn vary(&self) -> bool {
        self.squares > 0.0
    }

    /// Of totals a block, over what they are a total of (requests, lookups, seconds): how far each
    /// is from its share. Whatever the load, a block's score is 0 on average if nothing differs,
    /// which is not so of ratios: with few requests in a block these are mostly 0 or large.
    pub(crate) fn totals(totals: &[Total], kind: TotalKind) -> Self {
        let sum = |of: fn(&Total) -> f64| totals.iter().map(of).sum::<f64>();
        let of = sum(|total| total.of);
        let ratio = if of > 0.0 {
            sum(|total| total.sum) / of
        } else {
            0.0
        };
        let blocks: Vec<InBlock> = totals
            .iter()
            .map(|total| InBlock {
                block: total.block,
                sum: total.sum - ratio * total.of,
                count: total.of,
            })
            .collect();
        Self {
            n: of,
            squares: match kind {
                TotalKind::Events => of * ratio * (1.0 - ratio),
                TotalKind::Amounts => blocks.iter().map(|block| block.sum * block.sum).sum(),
            },
            blocks,
        }
    }
}

/// A total in a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Total {
    pub(crate) block: usize,
    /// The total.
    pub(crate) sum: f64,
    /// What it is a total of: requests, lookups, seconds. Above 0.
    pub(crate) of: f64,
}

/// What is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TotalKind {
    /// Things that happen or don't.
    Events,
    /// Amounts of something.
    Amounts,
}
