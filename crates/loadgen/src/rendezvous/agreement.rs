//! How shards come to an agreement by each other's notes: pure. What [`Leader`] and [`Follower`] are
//! told was read at a moment that they are told, too.
//!
//! Shard 0 looks at the others' notes; when all are there it writes the start into its own. What each
//! reads in the other's notes also bounds what their clocks differ by: nobody reads a time before it
//! was written.

use serde::{Deserialize, Serialize};

/// A shard that has not renewed its file for so long is not there any more.
const FRESH_NS: i64 = 10_000_000_000;

/// So many different notes of each shard are read before the start, so that the bounds of its clock
/// do not hang on one that was late.
const READINGS: u32 = 12;

/// Clocks that surely differ by more than this would make wrong labels.
const MOST_OFF_NS: i64 = 250_000_000;

/// What all shards have agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) run_id: String,
    /// Zero of the plan's times, Unix nanoseconds.
    pub(crate) start_ns: i64,
    /// The least and the most that this clock can be ahead of that of shard 0.
    pub(crate) clock_ahead_ns: Option<[i64; 2]>,
}

/// Why there is no agreement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "the run of this rendezvous has already begun, at {at}, without this process as shard {index}\n\
         A shard that was lost, or is late, can't join: start all of them anew, with another folder \
         (a run has one of its own)."
    )]
    Begun { index: u32, at: String },
    #[error(
        "another process has come to the rendezvous as shard {index}, and this one gives way: each \
         shard is one process"
    )]
    Replaced { index: u32 },
    #[error(
        "shard {other} is one of {theirs}, and this one of {ours}: give all of them the same number"
    )]
    OtherCount { other: u32, theirs: u32, ours: u32 },
    #[error(
        "shard {other} is to run another plan: scenario file, seed, time scale, target, engine and \
         version of loadgen have to be the same for all"
    )]
    OtherPlan { other: u32 },
    #[error(
        "the clock of shard {other} is at least {off_ms} ms {} that of shard 0: synchronise the \
         clocks of these hosts (NTP); labels go by them",
        if *is_ahead { "ahead of" } else { "behind" }
    )]
    ClockOff {
        other: u32,
        off_ms: i64,
        is_ahead: bool,
    },
}

/// What a shard says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) index: u32,
    pub(super) count: u32,
    /// The process: one that takes the place of another has its own.
    pub(super) token: String,
    /// Digest of all that has to be the same.
    pub(super) plan: String,
    /// By its own clock, Unix nanoseconds.
    pub(super) written_ns: i64,
    /// Of shards other than 0: the most that this clock can be ahead of that of shard 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ahead_at_most_ns: Option<i64>,
    /// Of shard 0, when all are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<Start>,
}

/// What shard 0 decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Start {
    run_id: String,
    pub(super) at_ns: i64,
    /// Who takes part.
    shards: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    index: u32,
    token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock_ahead_ns: Option<[i64; 2]>,
}

impl Note {
    /// Whether another shard's note is of the same run.
    fn check(&self, other: &Note) -> Result<(), Refusal> {
        if other.count != self.count {
            return Err(Refusal::OtherCount {
                other: other.index,
                theirs: other.count,
                ours: self.count,
            });
        }
        match other.plan == self.plan {
            true => Ok(()),
            false => Err(Refusal::OtherPlan { other: other.index }),
        }
    }
}

/// Shard 0: waits for the others.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) note: Note,
    /// By shard; that of 0 stays empty.
    seen: Vec<Option<Seen>>,
}

/// What the leader has seen of a process.
#[derive(Debug)]
struct Seen {
    token: String,
    written_ns: i64,
    /// When its last note was first read, by the leader's clock.
    read_ns: i64,
    readings: u32,
    ahead_at_least_ns: i64,
    ahead_at_most_ns: Option<i64>,
}

impl Leader {
    pub(super) fn new(note: Note) -> Self {
        let seen = (0..note.count).map(|_| None).collect();
        Self { note, seen }
    }

    /// A note of another shard was read at `now_ns`.
    pub(super) fn look(&mut self, note: &Note, now_ns: i64) -> Result<(), Refusal> {
        let Some(seen) = self.seen.get_mut(note.index as usize) else {
            return Ok(());
        };
        // Not before it was written: the writer's clock is ahead by this at least.
        let at_least_ns = note.written_ns - now_ns;
        match seen {
            Some(seen) if seen.token == note.token && seen.written_ns == note.written_ns => {}
            Some(seen) if seen.token == note.token => {
                seen.written_ns = note.written_ns;
                seen.read_ns = now_ns;
                seen.readings += 1;
                seen.ahead_at_least_ns = seen.ahead_at_least_ns.max(at_least_ns);
                seen.ahead_at_most_ns = note.ahead_at_most_ns;
            }
            // One that is left over from a process that is gone does not change, and is no reason to
            // refuse anything.
            _ => {
                *seen = Some(Seen {
                    token: note.token.clone(),
                    written_ns: note.written_ns,
                    read_ns: now_ns,
                    readings: 1,
                    ahead_at_least_ns: at_least_ns,
                    ahead_at_most_ns: note.ahead_at_most_ns,
                });
                return Ok(());
            }
        }
        match seen {
            Some(seen) if seen.readings > 1 => {
                self.note.check(note)?;
                check_clock(note.index, seen)
            }
            _ => Ok(()),
        }
    }

    /// Shards that are not there at a moment.
    pub(super) fn absent(&self, now_ns: i64) -> Vec<u32> {
        let is_there = |seen: &Seen| {
            let is_measured = seen.readings >= READINGS && seen.ahead_at_most_ns.is_some();
            is_measured && now_ns - seen.read_ns < FRESH_NS
        };
        (1..self.note.count)
            .filter(|index| !self.seen[*index as usize].as_ref().is_some_and(is_there))
            .collect()
    }

    /// All are there: the run is to begin.
    pub(super) fn start(&self, run_id: String, at_ns: i64) -> Start {
        let own = Member {
            index: 0,
            token: self.note.token.clone(),
            clock_ahead_ns: Some([0, 0]),
        };
        let others = (0..).zip(&self.seen).filter_map(|(index, seen)| {
            let seen = seen.as_ref()?;
            Some(Member {
                index,
                token: seen.token.clone(),
                clock_ahead_ns: Some([seen.ahead_at_least_ns, seen.ahead_at_most_ns?]),
            })
        });
        Start {
            run_id,
            at_ns,
            shards: std::iter::once(own).chain(others).collect(),
        }
    }
}

fn check_clock(other: u32, seen: &Seen) -> Result<(), Refusal> {
    let behind_ns = seen.ahead_at_most_ns.map_or(i64::MIN, |most| -most);
    let ahead_ns = seen.ahead_at_least_ns;
    let off_ns = ahead_ns.max(behind_ns);
    match off_ns > MOST_OFF_NS {
        true => Err(Refusal::ClockOff {
            other,
            off_ms: off_ns / 1_000_000,
            is_ahead: ahead_ns > behind_ns,
        }),
        false => Ok(()),
    }
}

/// Any other shard: waits for the leader's word.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) note: Note,
    /// When the leader's note was written that was read last.
    leader_wrote_ns: Option<i64>,
}

impl Follower {
    pub(super) fn new(note: Note) -> Self {
        Self {
            note,
            leader_wrote_ns: None,
        }
    }

    /// The leader's note was read at `now_ns`. Gives what was agreed on, if it was.
    pub(super) fn look(&mut self, leader: &Note, now_ns: i64) -> Result<Option<Agreed>, Refusal> {
        let Some(start) = &leader.start else {
            // Not before it was written: this clock is ahead by so much at most. One of a process that
            // is gone only says less.
            let most_ns = now_ns - leader.written_ns;
            let known_ns = self.note.ahead_at_most_ns.unwrap_or(i64::MAX);
            self.note.ahead_at_most_ns = Some(known_ns.min(most_ns));
            let before_ns = self.leader_wrote_ns.replace(leader.written_ns);
            // One that is left over does not change, and is no reason to refuse anything.
            if before_ns.is_some_and(|before_ns| before_ns != leader.written_ns) {
                self.note.check(leader)?;
            }
            return Ok(None);
        };
        let (index, token) = (self.note.index, &self.note.token);
        let mut members = start.shards.iter();
        let own = members.find(|member| member.index == index && member.token == *token);
        match own {
            Some(own) => Ok(Some(Agreed {
                run_id: start.run_id.clone(),
                start_ns: start.at_ns,
                clock_ahead_ns: own.clock_ahead_ns,
            })),
            None => Err(begun(index, start)),
        }
    }
}

/// The run of a start goes on without a process.
pub(super) fn begun(index: u32, start: &Start) -> Refusal {
    let at = chrono::DateTime::from_timestamp_nanos(start.at_ns);
    Refusal::Begun {
        index,
        at: at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn note(index: u32, token: &str, written_ns: i64) -> Note {
        Note {
            index,
            count: 3,
            token: token.into(),
            plan: "p".into(),
            written_ns,
            ahead_at_most_ns: (index > 0).then_some(30 * MS),
            start: None,
        }
    }

    /// Notes of a shard each 100 ms, read a while after they were written.
    fn looks(leader: &mut Leader, index: u32, token: &str, ahead_ms: i64) -> Result<(), Refusal> {
        for n in 0..i64::from(READINGS) {
            let true_ns = n * 100 * MS;
            let written = note(index, token, true_ns + ahead_ms * MS);
            leader.look(&written, true_ns + (n % 3) * 7 * MS + 2 * MS)?;
        }
        Ok(())
    }

    #[test]
    fn the_run_begins_when_all_are_there() {
        let mut leader = Leader::new(note(0, "l", 0));
        assert_eq!(leader.absent(0), [1, 2]);
        looks(&mut leader, 1, "a", 0).unwrap();
        assert_eq!(leader.absent(1200 * MS), [2]);
        looks(&mut leader, 2, "b", 5).unwrap();
        assert!(leader.absent(1200 * MS).is_empty());
        // Who does not go on renewing is gone.
        assert_eq!(leader.absent(1200 * MS + FRESH_NS), [1, 2]);

        let start = leader.start("r".into(), 77);
        let bounds = |index: usize| start.shards[index].clock_ahead_ns.unwrap();
        assert_eq!([bounds(0), bounds(1)], [[0, 0], [-2 * MS, 30 * MS]]);
        assert_eq!(bounds(2), [3 * MS, 30 * MS]);

        let mut said = note(0, "l", 0);
        said.start = Some(start);
        let mut of_it = Follower::new(note(2, "b", 0));
        let agreed = of_it.look(&said, 0).unwrap().unwrap();
        assert_eq!((agreed.run_id.as_str(), agreed.start_ns), ("r", 77));
        assert_eq!(agreed.clock_ahead_ns, Some([3 * MS, 30 * MS]));
        // Another process in the same place comes too late.
        let mut late = Follower::new(note(2, "c", 0));
        let refusal = late.look(&said, 0).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Begun { index: 2, .. }),
            "{refusal}"
        );
    }

    #[test]
    fn a_process_that_takes_the_place_of_another_is_waited_for_anew() {
        let mut leader = Leader::new(note(0, "l", 0));
        looks(&mut leader, 1, "a", 0).unwrap();
        looks(&mut leader, 2, "b", 0).unwrap();
        leader.look(&note(1, "again", 900 * MS), 901 * MS).unwrap();
        assert_eq!(leader.absent(902 * MS), [1]);
    }

    #[test]
    fn a_follower_learns_the_most_that_its_clock_is_ahead() {
        let mut follower = Follower::new(note(1, "a", 0));
        follower.note.ahead_at_most_ns = None;
        for (written, read) in [(0, 40), (100, 112), (200, 290)] {
            let leader = note(0, "l", written * MS);
            assert_eq!(follower.look(&leader, read * MS), Ok(None));
        }
        assert_eq!(follower.note.ahead_at_most_ns, Some(12 * MS));
    }

    #[test]
    fn clocks_that_surely_differ_are_refused() {
        let mut leader = Leader::new(note(0, "l", 0));
        let refusal = looks(&mut leader, 1, "a", 400).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the clock of shard 1 is at least 398 ms ahead of that of shard 0: synchronise the clocks \
             of these hosts (NTP); labels go by them"
        );
        let mut behind = note(2, "b", 100 * MS);
        behind.ahead_at_most_ns = Some(-300 * MS);
        leader.look(&behind, 400 * MS).unwrap();
        behind.written_ns += 100 * MS;
        let refusal = leader.look(&behind, 500 * MS).unwrap_err().to_string();
        assert!(refusal.contains("at least 300 ms behind"), "{refusal}");
    }

    #[test]
    fn others_of_another_run_are_refused_once_they_are_known_to_live() {
        let mut leader = Leader::new(note(0, "l", 0));
        let mut other = note(1, "a", 0);
        other.plan = "q".into();
        // It may be left over from an attempt before.
        assert_eq!(leader.look(&other, 1), Ok(()));
        other.written_ns = 5;
        assert_eq!(leader.look(&other, 6), Err(Refusal::OtherPlan { other: 1 }));
        let mut follower = Follower::new(note(1, "a", 0));
        let mut leader = note(0, "l", 0);
        leader.count = 4;
        assert_eq!(follower.look(&leader, 1), Ok(None));
        leader.written_ns = 5;
        let refusal = follower.look(&leader, 6).unwrap_err();
        assert!(matches!(
            refusal,
            Refusal::OtherCount {
                theirs: 4,
                ours: 3,
                ..
            }
        ));
    }
}
