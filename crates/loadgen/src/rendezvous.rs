//! How the shards of a run find each other, and agree on the run's id and the moment of its start:
//! by files in a folder that all of them see, such as a shared volume.
//!
//! Each shard writes `shard-<i>.json` and renews it until the start. Shard 0 looks at the others'
//! files; when all are there it writes the start into its own. What each reads in the other's files
//! also bounds what their clocks differ by: nobody reads a time before it was written.
//!
//! [`Leader`] and [`Follower`] are pure; what they are told was read at a moment that they are told,
//! too. Files are replaced as wholes, so a reader sees an old one or a new one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loadgen_scenario::Shard;
use loadgen_timeline::Clock;
use loadgen_timeline::event::RunShard;
use serde::{Deserialize, Serialize};

/// The longest time between two looks at the folder, each of which renews one's own file. It varies
/// from a fifth of that on, as looks in step would always see what is equally old.
const LOOK: Duration = Duration::from_millis(100);

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
struct Note {
    index: u32,
    count: u32,
    /// The process: one that takes the place of another has its own.
    token: String,
    /// Digest of all that has to be the same.
    plan: String,
    /// By its own clock, Unix nanoseconds.
    written_ns: i64,
    /// Of shards other than 0: the most that this clock can be ahead of that of shard 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ahead_at_most_ns: Option<i64>,
    /// Of shard 0, when all are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<Start>,
}

/// What shard 0 decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Start {
    run_id: String,
    at_ns: i64,
    /// Who takes part.
    shards: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
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
struct Leader {
    note: Note,
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
    fn new(note: Note) -> Self {
        let seen = (0..note.count).map(|_| None).collect();
        Self { note, seen }
    }

    /// A note of another shard was read at `now_ns`.
    fn look(&mut self, note: &Note, now_ns: i64) -> Result<(), Refusal> {
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
    fn absent(&self, now_ns: i64) -> Vec<u32> {
        let is_there = |seen: &Seen| {
            let is_measured = seen.readings >= READINGS && seen.ahead_at_most_ns.is_some();
            is_measured && now_ns - seen.read_ns < FRESH_NS
        };
        (1..self.note.count)
            .filter(|index| !self.seen[*index as usize].as_ref().is_some_and(is_there))
            .collect()
    }

    /// All are there: the run is to begin.
    fn start(&self, run_id: String, at_ns: i64) -> Start {
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
struct Follower {
    note: Note,
    /// When the leader's note was written that was read last.
    leader_wrote_ns: Option<i64>,
}

impl Follower {
    fn new(note: Note) -> Self {
        Self {
            note,
            leader_wrote_ns: None,
        }
    }

    /// The leader's note was read at `now_ns`. Gives what was agreed on, if it was.
    fn look(&mut self, leader: &Note, now_ns: i64) -> Result<Option<Agreed>, Refusal> {
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

fn begun(index: u32, start: &Start) -> Refusal {
    let at = chrono::DateTime::from_timestamp_nanos(start.at_ns);
    Refusal::Begun {
        index,
        at: at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    }
}

/// A folder in which shards meet.
#[derive(Debug)]
pub(crate) struct Rendezvous<'r> {
    pub(crate) folder: &'r Path,
    pub(crate) shard: Shard,
    /// Digest of all that has to be the same for all shards.
    pub(crate) plan: String,
    /// The run's id; none: shard 0 makes one.
    pub(crate) run_id: Option<String>,
    /// From the moment at which all are there to the start.
    pub(crate) lead: Duration,
    /// How long to wait for the others.
    pub(crate) limit: Duration,
}

/// Why shards did not meet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotMet {
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("the rendezvous in {} can't be used: {source}", path.display())]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "waited {} s at the rendezvous for {}\nEach shard comes when it has seen the target; \
         --rendezvous-timeout is how long to wait",
        waited.as_secs(),
        names(absent)
    )]
    Absent { absent: Vec<u32>, waited: Duration },
}

fn names(absent: &[u32]) -> String {
    let numbers: Vec<String> = absent.iter().map(u32::to_string).collect();
    match absent {
        [0] => "shard 0, which is not there, or waits for others".to_owned(),
        [one] => format!("shard {one}, which is not there"),
        _ => format!("shards {}, which are not there", numbers.join(", ")),
    }
}

impl Rendezvous<'_> {
    /// Waits until all shards are there.
    ///
    /// # Errors
    /// They do not come together.
    pub(crate) async fn meet(self) -> Result<Agreed, NotMet> {
        std::fs::create_dir_all(self.folder).map_err(|source| self.cannot(source))?;
        let note = Note {
            index: self.shard.index(),
            count: self.shard.count(),
            token: format!("{:016x}", rand::random::<u64>()),
            plan: self.plan.clone(),
            written_ns: 0,
            ahead_at_most_ns: None,
            start: None,
        };
        // A start that is there was not made with this process.
        if let Some(start) = self.read(0)?.and_then(|leader| leader.start) {
            return Err(begun(note.index, &start).into());
        }
        let mut own = Own {
            rendezvous: &self,
            token: note.token.clone(),
            is_written: false,
        };
        let agreed = match note.index {
            0 => self.lead(Leader::new(note), &mut own).await,
            _ => self.follow(Follower::new(note), &mut own).await,
        };
        if agreed.is_ok() {
            own.is_written = false;
        }
        agreed
    }

    async fn lead(&self, mut leader: Leader, own: &mut Own<'_>) -> Result<Agreed, NotMet> {
        let begin = Instant::now();
        loop {
            own.write(&mut leader.note)?;
            for index in 1..self.shard.count() {
                if let Some(note) = self.read(index)? {
                    leader.look(&note, now_ns())?;
                }
            }
            let absent = leader.absent(now_ns());
            if absent.is_empty() {
                let lead_ns = i64::try_from(self.lead.as_nanos()).unwrap_or(0);
                let run_id = self.run_id.clone().unwrap_or_else(new_run_id);
                let start = leader.start(run_id.clone(), now_ns() + lead_ns);
                let start_ns = start.at_ns;
                leader.note.start = Some(start);
                own.write(&mut leader.note)?;
                return Ok(Agreed {
                    run_id,
                    start_ns,
                    clock_ahead_ns: Some([0, 0]),
                });
            }
            self.pause(begin, || absent).await?;
        }
    }

    async fn follow(&self, mut follower: Follower, own: &mut Own<'_>) -> Result<Agreed, NotMet> {
        let begin = Instant::now();
        loop {
            own.write(&mut follower.note)?;
            if let Some(note) = self.read(0)?
                && let Some(agreed) = follower.look(&note, now_ns())?
            {
                return Ok(agreed);
            }
            self.pause(begin, || vec![0]).await?;
        }
    }

    /// Until the next look; an error when there was time enough.
    async fn pause(&self, begin: Instant, absent: impl FnOnce() -> Vec<u32>) -> Result<(), NotMet> {
        if begin.elapsed() > self.limit {
            return Err(NotMet::Absent {
                absent: absent(),
                waited: self.limit,
            });
        }
        tokio::time::sleep(LOOK.mul_f64(0.2 + 0.8 * rand::random::<f64>())).await;
        Ok(())
    }

    fn path(&self, index: u32) -> PathBuf {
        self.folder.join(format!("shard-{index}.json"))
    }

    fn read(&self, index: u32) -> Result<Option<Note>, NotMet> {
        match std::fs::read(self.path(index)) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(note) => Ok(Some(note)),
                Err(error) => Err(self.cannot(std::io::Error::other(format!(
                    "{} is no note of a shard: {error}",
                    self.path(index).display()
                )))),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.cannot(error)),
        }
    }

    fn cannot(&self, source: std::io::Error) -> NotMet {
        NotMet::Folder {
            path: self.folder.to_owned(),
            source,
        }
    }
}

/// One's own note in the folder, which is taken away again if it comes to no run.
struct Own<'r> {
    rendezvous: &'r Rendezvous<'r>,
    token: String,
    is_written: bool,
}

impl Own<'_> {
    /// Renews the note, unless somebody else has taken its place.
    fn write(&mut self, note: &mut Note) -> Result<(), NotMet> {
        let rendezvous = self.rendezvous;
        if self.is_written && !self.is_own()? {
            // What is there is not this process's.
            self.is_written = false;
            return Err(Refusal::Replaced { index: note.index }.into());
        }
        let cannot = |source| rendezvous.cannot(source);
        let unnamed = rendezvous.folder.join(format!(".{}.new", self.token));
        note.written_ns = now_ns();
        let text = serde_json::to_vec(note).map_err(|e| cannot(e.into()))?;
        std::fs::write(&unnamed, text).map_err(cannot)?;
        std::fs::rename(&unnamed, rendezvous.path(note.index)).map_err(cannot)?;
        self.is_written = true;
        Ok(())
    }

    fn is_own(&self) -> Result<bool, NotMet> {
        let note = self.rendezvous.read(self.rendezvous.shard.index())?;
        Ok(note.is_some_and(|note| note.token == self.token))
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        if self.is_written && self.is_own().unwrap_or(false) {
            let _ = std::fs::remove_file(self.rendezvous.path(self.rendezvous.shard.index()));
        }
    }
}

/// A new id for a run.
pub(crate) fn new_run_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn now_ns() -> i64 {
    Clock::anchored_now().now_ns()
}

/// What the timeline says of a shard.
pub(crate) fn run_shard(shard: Shard, clock_ahead_ns: Option<[i64; 2]>) -> Option<RunShard> {
    let mut of = RunShard::of(shard)?;
    of.drives_faults = shard.index() == 0;
    of.clock_ahead_ns = clock_ahead_ns;
    Some(of)
}

/// Run folders of shards in a rendezvous, in the order of their numbers.
pub(crate) fn shard_folders(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut numbers = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("shard-"));
        numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    let folders = numbers.iter().map(|n| folder.join(format!("shard-{n}")));
    Ok(folders.filter(|path| path.is_dir()).collect())
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

    fn at(folder: &Path, index: u32) -> Rendezvous<'_> {
        Rendezvous {
            folder,
            shard: Shard::new(index, 3).unwrap(),
            plan: "p".into(),
            run_id: None,
            lead: Duration::from_secs(1),
            limit: Duration::from_secs(60),
        }
    }

    #[tokio::test]
    async fn three_meet_in_a_folder_and_a_fourth_is_late() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/run");
        let met = tokio::join!(
            at(&path, 2).meet(),
            at(&path, 0).meet(),
            at(&path, 1).meet()
        );
        let (two, zero, one) = (met.0.unwrap(), met.1.unwrap(), met.2.unwrap());
        assert_eq!(zero.run_id.len(), 32);
        for other in [&two, &one] {
            assert_eq!(
                (&other.run_id, other.start_ns),
                (&zero.run_id, zero.start_ns)
            );
            let [least, most] = other.clock_ahead_ns.unwrap();
            assert!(least <= 0 && 0 <= most, "{least} to {most} with one clock");
        }
        for index in [0, 1] {
            let late = at(&path, index).meet().await.unwrap_err();
            assert!(
                matches!(late, NotMet::Refused(Refusal::Begun { .. })),
                "{late}"
            );
        }
    }

    #[tokio::test]
    async fn who_waits_in_vain_says_for_whom_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let alone = Rendezvous {
            limit: Duration::ZERO,
            ..at(folder.path(), 0)
        };
        let error = alone.meet().await.unwrap_err().to_string();
        assert!(
            error.contains("for shards 1, 2, which are not there"),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn of_two_processes_for_one_shard_the_newer_stays() {
        let folder = tempfile::tempdir().unwrap();
        let older = at(folder.path(), 1).meet();
        tokio::pin!(older);
        let newer = async {
            // The older one is there.
            while std::fs::read_dir(folder.path()).unwrap().count() == 0 {
                tokio::time::sleep(LOOK).await;
            }
            at(folder.path(), 1).meet().await
        };
        let refused = tokio::select! {
            refused = &mut older => refused.unwrap_err(),
            met = newer => panic!("{met:?}"),
        };
        assert!(
            matches!(refused, NotMet::Refused(Refusal::Replaced { index: 1 })),
            "{refused}"
        );
    }
}
