//! What reading a ledger showed of the ledger itself.

use std::collections::BTreeMap;

/// A ledger in figures. Complete when all of it has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerReport {
    /// Version of its form. Of version 1 nothing can be proven: it has no checksums and names no
    /// run.
    pub schema_version: u32,
    /// The run that its batches are of, or, where there are none, that its head names.
    pub run_id: Option<String>,
    /// Batches that were read.
    pub batches: u64,
    /// Requests that were read.
    pub rows: u64,
    /// Bytes of the file that these batches take.
    pub bytes: u64,
    /// What was read, by scenario.
    pub records: BTreeMap<String, ScenarioRecords>,
    /// What was left out, or is otherwise not as it was written.
    pub damage: LedgerDamage,
    /// Whether the file breaks off before its end marker: the run was killed or still goes on.
    pub torn: bool,
    /// Bytes after the last whole batch of a file that breaks off.
    pub torn_bytes: u64,
}

impl LedgerReport {
    /// Whether what was read is proven to be what was written.
    pub fn is_proven(&self) -> bool {
        self.schema_version > 1
    }

    /// About how many requests were lost to damage: what damaged batches say of themselves, or by
    /// the number of bytes that were of no use, whichever is more.
    pub fn lost_rows(&self) -> u64 {
        let lost_bytes = u128::from(self.rows) * u128::from(self.damage.bytes);
        let by_bytes = lost_bytes.div_ceil(u128::from(self.bytes.max(1)));
        self.damage
            .rows
            .max(u64::try_from(by_bytes).unwrap_or(u64::MAX))
    }
}

/// What is damaged in a ledger. In one of version 1 most damage can't be seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerDamage {
    /// Whether its head is: what the columns are, which run it is of.
    pub head: bool,
    /// Lists of names that differ from their other copies. Batches are read with the copies that
    /// their checksums bear out.
    pub name_lists: u64,
    /// Batches that were left out, as far as they could be counted: not those after the last that
    /// could be recognised as one.
    pub batches: u64,
    /// Of these, those whose number of requests is known.
    pub batches_of_known_length: u64,
    /// Requests in them.
    pub rows: u64,
    /// Stretches of the file in which no message could be recognised.
    pub gaps: u64,
    /// Bytes that were of no use: of damaged messages and of such stretches.
    pub bytes: u64,
}

impl LedgerDamage {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// For people; none where there is none.
    pub fn describe(&self) -> Option<String> {
        let mut parts = Vec::new();
        let plural = |count: u64, one: &str, many: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {many}"),
        };
        if self.batches > 0 {
            let batches = plural(self.batches, "batch is lost", "batches are lost");
            let rows = plural(self.rows, "request", "requests");
            parts.push(match self.batches_of_known_length {
                0 => batches,
                known if known < self.batches => format!("{batches} (at least {rows})"),
                _ => format!("{batches} ({rows})"),
            });
        }
        if self.head {
            parts.push("its head is damaged".to_owned());
        }
        if self.name_lists > 0 {
            parts.push(plural(
                self.name_lists,
                "list of names is damaged",
                "lists of names are damaged",
            ));
        }
        if parts.is_empty() && self.bytes + self.gaps > 0 {
            parts.push(plural(
                self.bytes,
                "byte is of no use",
                "bytes are of no use",
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// What a ledger has of a scenario. Figures of parts of a ledger can be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScenarioRecords {
    /// Records.
    pub records: u64,
    /// Of these, requests that could not be built and were not sent.
    pub unsent: u64,
    /// The earliest send, in Unix nanoseconds.
    pub first_sent_ns: i64,
    /// The latest send, in Unix nanoseconds.
    pub last_sent_ns: i64,
}

impl ScenarioRecords {
    /// Adds the figures of another part.
    pub fn merge(&mut self, other: Self) {
        self.records += other.records;
        self.unsent += other.unsent;
        self.first_sent_ns = self.first_sent_ns.min(other.first_sent_ns);
        self.last_sent_ns = self.last_sent_ns.max(other.last_sent_ns);
    }
}
