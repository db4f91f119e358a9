//! How the shards of a run find each other, and agree on the run's id and the moment of its start:
//! by files in a folder that all of them see, such as a shared volume.
//!
//! Each shard writes `shard-<i>.json` and renews it until the start. Files are replaced as wholes, so a
//! reader sees an old one or a new one. What comes of them: [`agreement`].

mod agreement;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loadgen_scenario::Shard;
use loadgen_timeline::Clock;

use self::agreement::{Agreed, Follower, Leader, Note, Refusal, begun};

/// The longest time between two looks at the folder, each of which renews one's own file. It varies
/// from a fifth of that on, as looks in step would always see what is equally old.
const LOOK: Duration = Duration::from_millis(100);

/// A folder in which shards meet.
#[derive(Debug)]
pub(crate) struct Rendezvous<'r> {
    pub(crate) folder: &'r Path,
    pub(crate) shard: Shard,
    /// Digest of all that has to be the same for all shards.
    pub(crate) plan: String,
    /// The run's id, where this is shard 0: that of the others does not count.
    pub(crate) run_id: String,
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
                let run_id = self.run_id.clone();
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

fn now_ns() -> i64 {
    Clock::anchored_now().now_ns()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(folder: &Path, index: u32) -> Rendezvous<'_> {
        Rendezvous {
            folder,
            shard: Shard::new(index, 3).unwrap(),
            plan: "p".into(),
            run_id: format!("{index:032}"),
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
        assert_eq!(zero.run_id, "0".repeat(32));
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
