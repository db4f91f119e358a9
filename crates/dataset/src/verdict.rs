//! Whether the dataset as a whole is usable (pure).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::windows::{Standing, Window};

/// The share of windows whose label the evidence does not back, above which a dataset is not
/// usable.
pub const MOST_UNSUPPORTED: f64 = 0.1;

/// Intensities below this are weak on purpose, unless asked otherwise: such windows are there to
/// see where a fault stops to show. The scenarios that come with loadgen begin at 0.3.
pub const WEAK_BELOW: f64 = 0.25;

/// What the windows of all runs come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DatasetStanding {
    /// At most [`MOST_UNSUPPORTED`] of the windows that count are unsupported.
    pub usable: bool,
    /// Windows by how they count: see column `standing` of the index.
    pub windows: BTreeMap<String, u64>,
    /// Windows that count.
    pub counted: u64,
    /// Of these, those that are unsupported: run, window, scenario, type and verdict, in words.
    pub unsupported: Vec<String>,
    /// Intensities below this are weak on purpose.
    pub weak_below: f64,
}

impl DatasetStanding {
    /// The share of unsupported windows among those that count; 0 where none does.
    pub fn share(&self) -> f64 {
        match self.counted {
            0 => 0.0,
            counted => self.unsupported.len() as f64 / counted as f64,
        }
    }
}

/// Counts the windows of all runs, each with its run's id and its number.
pub(crate) fn standing_of<'w>(
    windows: impl Iterator<Item = (&'w str, usize, &'w Window)>,
    weak_below: f64,
) -> DatasetStanding {
    let mut standing = DatasetStanding {
        usable: true,
        windows: BTreeMap::new(),
        counted: 0,
        unsupported: Vec::new(),
        weak_below,
    };
    for (run, number, window) in windows {
        let of = window.standing(weak_below);
        *standing.windows.entry(of.name().to_owned()).or_default() += 1;
        standing.counted += u64::from(of.counts());
        if of == Standing::Unsupported {
            standing.unsupported.push(format!(
                "run {run}, window {number}: {} ({}): {}",
                window.time.scenario,
                window.anomaly_type,
                window.verdict.as_deref().unwrap_or("not evaluated")
            ));
        }
    }
    standing.usable = standing.share() <= MOST_UNSUPPORTED;
    standing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::EpisodeWindow;

    fn window(verdict: &str) -> Window {
        Window {
            time: EpisodeWindow {
                scenario: "slow".into(),
                declares: true,
                ..EpisodeWindow::default()
            },
            anomaly_type: "latency_spike".into(),
            sham_of: None,
            warm_up: false,
            fault: Some("slow_query".into()),
            service: Some("cart".into()),
            root_cause_service: Some("cart".into()),
            intensity: Some(0.8),
            injected_ns: Some(1),
            fault_state: "confirmed".into(),
            verdict: Some(verdict.into()),
        }
    }

    fn of_one_run(windows: &[Window]) -> DatasetStanding {
        standing_of(
            windows.iter().enumerate().map(|(n, w)| ("r", n, w)),
            WEAK_BELOW,
        )
    }

    #[test]
    fn a_tenth_may_be_unsupported_and_no_more() {
        let mut windows = vec![window("supported"); 9];
        windows.push(window("not_supported"));
        let standing = of_one_run(&windows);
        assert!(standing.usable);
        assert_eq!(
            standing.unsupported,
            ["run r, window 9: slow (latency_spike): not_supported"]
        );
        windows.pop();
        windows.extend([window("not_supported"), window("not_enough_data")]);
        assert!(!of_one_run(&windows).usable);
        assert!(of_one_run(&[]).usable);
    }

    #[test]
    fn shams_harmless_changes_weak_intensities_failed_faults_and_normal_windows_are_apart() {
        let not_supported = || window("not_supported");
        let (mut sham, mut weak, mut failed) = (not_supported(), not_supported(), not_supported());
        sham.sham_of = Some("latency_spike".into());
        let mut harmless = sham.clone();
        harmless.fault_state = "harmless".into();
        weak.intensity = Some(0.2);
        failed.fault_state = "failed".into();
        let mut normal = window("disturbed");
        normal.time.declares = false;
        let mut warm_up = normal.clone();
        (warm_up.warm_up, warm_up.verdict) = (true, None);
        let standing = of_one_run(&[
            sham,
            harmless,
            weak,
            failed,
            normal,
            warm_up,
            window("weak"),
        ]);
        assert!(standing.usable);
        assert_eq!(standing.counted, 1);
        let names: Vec<&str> = standing.windows.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "backed",
                "harmless",
                "normal",
                "sham",
                "unknown",
                "warm_up",
                "weak_intensity"
            ]
        );
        // One that nobody evaluated is backed by nothing.
        let mut without_verdict = not_supported();
        without_verdict.verdict = None;
        assert!(!of_one_run(&[without_verdict]).usable);
    }
}
