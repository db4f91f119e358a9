//! The runs of a campaign, before any of them is made (pure).

use loadgen_scenario::Plan;

/// A run, by what its plan says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedRun {
    /// Seed of all its choices.
    pub seed: u64,
    /// Length of its timetable, ns.
    pub length_ns: u64,
    /// Of this, the time until the last window is closed that only warms the target up, ns.
    pub warm_up_ns: u64,
    /// Its episodes: windows that declare an anomaly, shams too; those that overlap are one.
    pub episodes: u64,
}

impl PlannedRun {
    /// The run that a plan describes.
    pub fn of(plan: &Plan) -> Self {
        let warm_ups = plan.scenarios.iter().filter(|s| s.warm_up);
        let mut windows: Vec<(u64, u64)> = plan
            .scenarios
            .iter()
            .filter(|s| !s.anomaly.is_none() || s.declared.is_some())
            .map(|s| (s.start_ns, s.end_ns))
            .collect();
        windows.sort_unstable();
        let (mut episodes, mut until) = (0, 0);
        for (start, end) in windows {
            episodes += u64::from(episodes == 0 || start >= until);
            until = until.max(end);
        }
        Self {
            seed: plan.seed,
            length_ns: plan.end_ns(),
            warm_up_ns: warm_ups.map(|s| s.end_ns).max().unwrap_or(0),
            episodes,
        }
    }
}

/// How many runs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// As many as it takes for so many episodes.
    Episodes(u64),
    /// So many.
    Runs(u64),
}

/// The first runs of an endless row of them that come to what is wanted. None: no run among the first
/// 1,000 has an episode.
///
/// # Errors
/// Those of a run that can't be planned.
pub fn take<E>(
    wanted: Wanted,
    runs: impl Iterator<Item = Result<PlannedRun, E>>,
) -> Result<Option<Vec<PlannedRun>>, E> {
    const WITHOUT: usize = 1000;
    let (mut taken, mut episodes) = (Vec::new(), 0);
    for run in runs {
        let is_enough = match wanted {
            Wanted::Runs(runs) => taken.len() as u64 >= runs,
            Wanted::Episodes(wanted) => episodes >= wanted,
        };
        if is_enough {
            break;
        }
        if matches!(wanted, Wanted::Episodes(_)) && episodes == 0 && taken.len() >= WITHOUT {
            return Ok(None);
        }
        let run = run?;
        episodes += run.episodes;
        taken.push(run);
    }
    Ok(Some(taken))
}

/// What is left to do, as time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeLeft {
    /// How much longer a run takes than its timetable, s: start, last requests, labelling, report.
    pub beyond_s: f64,
}

impl TimeLeft {
    /// The pace of runs that are done: length of the timetable and time from start to end, s each. Before
    /// the first is done a guess.
    pub fn of(done: &[(f64, f64)]) -> Self {
        const GUESS_S: f64 = 20.0;
        let beyond = done.iter().map(|(planned, took)| (took - planned).max(0.0));
        let beyond_s = match done.len() {
            0 => GUESS_S,
            n => beyond.sum::<f64>() / n as f64,
        };
        Self { beyond_s }
    }

    /// The time that is left, s: runs that have not begun, those that have with what they have done so
    /// far, s, over so many at once.
    pub fn left_s(
        &self,
        waiting: &[PlannedRun],
        begun: &[(PlannedRun, f64)],
        at_once: usize,
    ) -> f64 {
        let whole = |run: &PlannedRun| run.length_ns as f64 / 1e9 + self.beyond_s;
        let waiting: f64 = waiting.iter().map(whole).sum();
        let begun: Vec<f64> = begun
            .iter()
            .map(|(run, so_far_s)| (whole(run) - so_far_s).max(0.0))
            .collect();
        let even = (waiting + begun.iter().sum::<f64>()) / at_once.max(1) as f64;
        begun.into_iter().fold(even, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(episodes: u64) -> PlannedRun {
        PlannedRun {
            seed: 1,
            length_ns: 100_000_000_000,
            warm_up_ns: 0,
            episodes,
        }
    }

    fn taken(wanted: Wanted, episodes: &[u64]) -> Option<usize> {
        let runs = episodes.iter().map(|n| Ok::<_, ()>(run(*n)));
        take(wanted, runs).unwrap().map(|runs| runs.len())
    }

    #[test]
    fn as_many_runs_as_the_episodes_take() {
        assert_eq!(taken(Wanted::Episodes(10), &[4, 4, 4, 4]), Some(3));
        assert_eq!(taken(Wanted::Episodes(8), &[4, 4, 4, 4]), Some(2));
        assert_eq!(taken(Wanted::Episodes(9), &[0, 9, 9]), Some(2));
        assert_eq!(taken(Wanted::Runs(2), &[0, 0, 0]), Some(2));
        assert_eq!(taken(Wanted::Episodes(1), &[0; 2000]), None);
        assert_eq!(taken(Wanted::Runs(1500), &[0; 2000]), Some(1500));
    }

    #[test]
    fn a_run_that_cannot_be_planned_is_an_error_only_where_it_is_needed() {
        let runs = || [Ok(run(3)), Err("no room")].into_iter();
        assert_eq!(take(Wanted::Episodes(3), runs()).unwrap().unwrap().len(), 1);
        assert_eq!(take(Wanted::Episodes(4), runs()), Err("no room"));
    }

    #[test]
    fn the_time_left_counts_what_is_waiting_and_what_has_begun() {
        let pace = TimeLeft::of(&[(100.0, 110.0), (100.0, 130.0)]);
        assert_eq!(pace.beyond_s, 20.0);
        assert_eq!(pace.left_s(&[run(1); 3], &[], 1), 360.0);
        assert_eq!(pace.left_s(&[run(1); 3], &[(run(1), 60.0)], 2), 210.0);
        // The one that goes on decides where nothing else is left.
        assert_eq!(
            pace.left_s(&[], &[(run(1), 20.0), (run(1), 110.0)], 2),
            100.0
        );
        // One that takes longer than was thought ends at any moment.
        assert_eq!(pace.left_s(&[], &[(run(1), 500.0)], 1), 0.0);
        assert_eq!(TimeLeft::of(&[]).beyond_s, 20.0);
    }
}
