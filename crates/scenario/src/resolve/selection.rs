//! A run of some of a file's scenarios. The whole file is checked first, so that a file is right or
//! wrong whatever is chosen of it; then the time in which only scenarios would run that were left
//! out is cut away. So what is kept keeps its length, its overlaps and the pauses around it, and
//! windows that were apart only because of others now meet.

use super::episodes;
use crate::diagnostic::Finding;
use crate::file::ScenarioFile;
use crate::interval::{Interval, merged, without};
use crate::options::PlanOptions;
use crate::plan::PlannedScenario;

/// Finds chosen names that the file does not have.
pub(super) fn check(file: &ScenarioFile, options: &PlanOptions, findings: &mut Vec<Finding>) {
    let episodes = file.episodes.as_ref();
    let drawn = episodes.map(|_| episodes::ALL);
    for name in &options.scenarios {
        if !file.scenarios.contains_key(name) && drawn != Some(name) {
            let known = file.scenarios.keys().map(String::as_str);
            findings.push(
                Finding::of_options(format!(
                    "unknown scenario `{name}` (it was given for this run)"
                ))
                .suggest(name, known.chain(drawn)),
            );
        }
    }
    let is_chosen = |name: &str| options.scenarios.iter().any(|chosen| chosen == name);
    if let Some(episodes) = episodes
        && is_chosen(episodes::ALL)
        && !is_chosen(&episodes.over)
    {
        let message = format!(
            "`{}` without `{}` (they were given for this run)",
            episodes::ALL,
            episodes.over
        );
        findings.push(Finding::of_options(message).help(format!(
            "episodes send nothing themselves: choose `{}` as well",
            episodes.over
        )));
    }
}

/// The chosen ones of all scenarios, which are sorted by start; none chosen: all.
pub(super) fn select(all: Vec<PlannedScenario>, chosen: &[String]) -> Vec<PlannedScenario> {
    if chosen.is_empty() {
        return all;
    }
    let with_episodes = chosen.iter().any(|name| name == episodes::ALL);
    let is_kept = |scenario: &PlannedScenario| {
        let is_episode = scenario.name.starts_with(episodes::PREFIX);
        chosen.contains(&scenario.name) || with_episodes && is_episode && !scenario.executor.sends()
    };
    let (mut kept, left_out): (Vec<_>, Vec<_>) = all.into_iter().partition(is_kept);
    let windows = |of: &[PlannedScenario]| merged(of.iter().map(window));
    let cuts = without(windows(&left_out), &windows(&kept));
    for scenario in &mut kept {
        // No cut lies within a window that is kept: its end moves as its start does.
        let cut_ns: u64 = cuts
            .iter()
            .filter(|(from, _)| *from < scenario.start_ns)
            .map(|(from, to)| to - from)
            .sum();
        scenario.start_ns -= cut_ns;
        scenario.end_ns -= cut_ns;
    }
    kept
}

fn window(scenario: &PlannedScenario) -> Interval {
    (scenario.start_ns, scenario.end_ns)
}
