//! A run cut into episodes, one for each window that declares an anomaly (pure).
//!
//! An episode is the normal time before the window, the window, and its recovery. What comes after
//! the last one's recovery belongs to the last. Windows that overlap are one episode. A run without
//! such a window is one episode.

use std::collections::HashMap;

/// A window, as far as episodes follow from it. Times are Unix nanoseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct EpisodeWindow {
    pub(crate) scenario: String,
    /// It declares an anomaly, or would if it were neither a sham nor harmless.
    pub(crate) declares: bool,
    pub(crate) opened_ns: i64,
    pub(crate) closed_ns: i64,
    pub(crate) cleared_ns: Option<i64>,
    pub(crate) recovered_ns: Option<i64>,
}

/// The episodes of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Episodes {
    run_id: String,
    /// Where each episode but the last ends and the next begins.
    cuts: Vec<i64>,
    /// By window: its episode.
    of_window: Vec<usize>,
    /// Episodes of windows that declare an anomaly, by the scenario; none where several episodes
    /// have windows of one name.
    by_scenario: HashMap<String, Option<usize>>,
    begin_ns: i64,
    end_ns: i64,
}

impl Episodes {
    /// `began_ns`: when the run began.
    pub(crate) fn new(run_id: &str, began_ns: i64, windows: &[EpisodeWindow]) -> Self {
        let mut declaring: Vec<usize> = (0..windows.len())
            .filter(|&window| windows[window].declares)
            .collect();
        declaring.sort_by_key(|&window| (windows[window].opened_ns, window));
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for window in declaring {
            let opened = windows[window].opened_ns;
            match groups.last_mut() {
                Some(group) if group.iter().any(|&w| windows[w].closed_ns > opened) => {
                    group.push(window);
                }
                _ => groups.push(vec![window]),
            }
        }
        let end = |group: &Vec<usize>| {
            let ends = group.iter().map(|&window| end_of(&windows[window]));
            ends.max().unwrap_or(i64::MAX)
        };
        let cuts: Vec<i64> = groups
            .windows(2)
            .map(|pair| end(&pair[0]).min(windows[pair[1][0]].opened_ns))
            .collect();
        let mut by_scenario: HashMap<String, Option<usize>> = HashMap::new();
        let mut of_window = vec![0; windows.len()];
        for (episode, group) in groups.iter().enumerate() {
            for &window in group {
                of_window[window] = episode;
                by_scenario
                    .entry(windows[window].scenario.clone())
                    .and_modify(|known| *known = known.filter(|&of| of == episode))
                    .or_insert(Some(episode));
            }
        }
        let begin_ns = windows
            .iter()
            .map(|w| w.opened_ns)
            .min()
            .unwrap_or(began_ns);
        let mut episodes = Self {
            run_id: run_id.to_owned(),
            cuts,
            of_window,
            by_scenario,
            begin_ns: begin_ns.min(began_ns),
            end_ns: windows.iter().map(end_of).max().unwrap_or(began_ns),
        };
        for (window, of) in windows.iter().enumerate().filter(|(_, w)| !w.declares) {
            episodes.of_window[window] = episodes.mostly(of.opened_ns, of.closed_ns);
        }
        episodes
    }

    /// How many there are; at least one.
    pub(crate) fn len(&self) -> usize {
        self.cuts.len() + 1
    }

    /// The name of an episode.
    pub(crate) fn id(&self, episode: usize) -> String {
        format!("{}-e{episode:04}", self.run_id)
    }

    /// The episode of a window.
    pub(crate) fn of_window(&self, window: usize) -> Option<usize> {
        self.of_window.get(window).copied()
    }

    /// When an episode begins and ends. The first begins with the run, the last ends with the last
    /// window's recovery; what lies outside belongs to them all the same.
    pub(crate) fn time(&self, episode: usize) -> (i64, i64) {
        let begin = match episode {
            0 => self.begin_ns,
            later => self.cuts[later - 1],
        };
        let end = self.cuts.get(episode).copied();
        (begin, end.unwrap_or(self.end_ns.max(begin)))
    }

    /// The episode of a moment.
    pub(crate) fn at(&self, at_ns: i64) -> usize {
        self.cuts.partition_point(|&cut| cut <= at_ns)
    }

    /// The episode of a row: by the windows that were open at its moment, as its scenario names
    /// them, where one of them declares an anomaly; else by the moment. `scenario` may be several,
    /// joined by `+`. None: neither is known.
    pub(crate) fn of_row(&self, scenario: Option<&str>, at_ns: Option<i64>) -> Option<usize> {
        let named = |name: &str| self.by_scenario.get(name).copied();
        let by_window = scenario.and_then(|text| match named(text) {
            Some(episode) => episode,
            None => text.split('+').find_map(|name| named(name).flatten()),
        });
        by_window.or_else(|| at_ns.map(|at| self.at(at)))
    }

    /// The episode in which the larger part of a time lies, of two the earlier.
    fn mostly(&self, from: i64, to: i64) -> usize {
        let mut best = (self.at(from), 0);
        for episode in self.at(from)..=self.at(to) {
            let begin = episode
                .checked_sub(1)
                .map_or(i64::MIN, |before| self.cuts[before]);
            let end = self.cuts.get(episode).copied().unwrap_or(i64::MAX);
            let part = to.min(end).saturating_sub(from.max(begin));
            if part > best.1 {
                best = (episode, part);
            }
        }
        best.0
    }
}

/// When the system is back at its normal after a window, as far as is known.
fn end_of(window: &EpisodeWindow) -> i64 {
    let ends = [window.cleared_ns, window.recovered_ns];
    let last = ends.into_iter().flatten().max();
    window.closed_ns.max(last.unwrap_or(i64::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(name: &str, declares: bool, from: i64, to: i64) -> EpisodeWindow {
        EpisodeWindow {
            scenario: name.into(),
            declares,
            opened_ns: from,
            closed_ns: to,
            ..EpisodeWindow::default()
        }
    }

    #[test]
    fn an_episode_is_normal_time_window_and_recovery() {
        let mut slow = window("slow", true, 100, 200);
        (slow.cleared_ns, slow.recovered_ns) = (Some(205), Some(230));
        let windows = [
            window("base", false, 0, 100),
            slow,
            window("calm", false, 200, 300),
            window("errors", true, 300, 400),
            window("end", false, 400, 500),
        ];
        let of = Episodes::new("r", -10, &windows);
        assert_eq!((of.len(), of.id(1)), (2, "r-e0001".to_owned()));
        assert_eq!([of.time(0), of.time(1)], [(-10, 230), (230, 500)]);
        // The calm window is mostly in the second, which has it as its normal time.
        assert_eq!(
            (0..5).map(|w| of.of_window(w)).collect::<Vec<_>>(),
            [Some(0), Some(0), Some(1), Some(1), Some(1)]
        );
        assert_eq!(
            [of.at(-99), of.at(229), of.at(230), of.at(9999)],
            [0, 0, 1, 1]
        );
        // A request of the window whose spans began later is still the window's.
        assert_eq!(of.of_row(Some("slow"), Some(231)), Some(0));
        assert_eq!(of.of_row(Some("calm+errors"), Some(299)), Some(1));
        assert_eq!(of.of_row(Some("calm"), Some(229)), Some(0));
        assert_eq!(of.of_row(None, None), None);
    }

    #[test]
    fn the_next_window_ends_a_recovery_and_overlapping_windows_are_one_episode() {
        let mut slow = window("slow", true, 0, 100);
        slow.recovered_ns = Some(150);
        let windows = [
            slow,
            window("errors", true, 100, 200),
            window("both", true, 150, 250),
            window("again", true, 250, 300),
        ];
        let of = Episodes::new("r", 0, &windows);
        assert_eq!(of.len(), 3);
        assert_eq!(
            [of.time(0), of.time(1), of.time(2)],
            [(0, 100), (100, 250), (250, 300)]
        );
        assert_eq!(of.of_row(Some("errors+both"), Some(0)), Some(1));
    }

    #[test]
    fn a_run_without_an_anomaly_is_one_episode_and_names_that_come_twice_decide_nothing() {
        let of = Episodes::new("r", 5, &[window("base", false, 7, 9)]);
        assert_eq!(
            (of.len(), of.time(0), of.of_row(Some("base"), None)),
            (1, (5, 9), None)
        );
        assert_eq!(Episodes::new("r", 5, &[]).time(0), (5, 5));
        let twice = [window("a", true, 0, 10), window("a", true, 20, 30)];
        let of = Episodes::new("r", 0, &twice);
        assert_eq!(
            (
                of.of_row(Some("a"), Some(25)),
                of.of_row(Some("a"), Some(3))
            ),
            (Some(1), Some(0))
        );
    }

    proptest! {
        #[test]
        fn each_moment_is_in_one_episode_and_windows_are_in_theirs(
            spans in prop::collection::vec((0i64..1000, 1i64..100, any::<bool>(), 0i64..80), 0..12),
        ) {
            let windows: Vec<EpisodeWindow> = spans
                .iter()
                .enumerate()
                .map(|(number, &(from, length, declares, recovery))| EpisodeWindow {
                    recovered_ns: Some(from + length + recovery),
                    ..window(&number.to_string(), declares, from, from + length)
                })
                .collect();
            let of = Episodes::new("r", 0, &windows);
            for episode in 0..of.len() {
                let (begin, end) = of.time(episode);
                prop_assert!(begin <= end);
                if begin < end {
                    prop_assert_eq!(of.at(begin.max(0)), episode);
                }
            }
            for (number, window) in windows.iter().enumerate().filter(|(_, w)| w.declares) {
                let episode = of.of_window(number).expect("a window");
                prop_assert_eq!(of.at(window.opened_ns), episode);
                prop_assert_eq!(of.at(window.closed_ns - 1), episode);
                prop_assert_eq!(of.of_row(Some(&window.scenario), None), Some(episode));
            }
        }
    }
}
