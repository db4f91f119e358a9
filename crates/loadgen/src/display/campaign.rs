//! Progress of a campaign: a bar on a terminal, a line for each run elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use loadgen_campaign::journal::Ended;

use super::say;

/// Shows how far a campaign is.
pub(crate) struct CampaignProgress {
    quiet: bool,
    /// On a terminal.
    bar: Option<ProgressBar>,
    runs: usize,
    left_s: f64,
}

impl CampaignProgress {
    pub(crate) fn new(name: &str, quiet: bool, runs: usize, episodes: u64) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = "{prefix} {bar:20.green/dim} {pos} of {len} episodes, {wide_msg}";
            let style = ProgressStyle::with_template(style);
            let bar = ProgressBar::new(episodes)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        if bar.is_none() && !quiet {
            say(format_args!("{name}: {runs} runs with {episodes} episodes"));
        }
        Self {
            quiet,
            bar,
            runs,
            left_s: f64::NAN,
        }
    }

    /// So many runs and episodes are done, and about so many seconds are left.
    pub(crate) fn show(&mut self, runs: usize, episodes: u64, left_s: f64) {
        self.left_s = left_s;
        if let Some(bar) = &self.bar {
            bar.set_position(episodes);
            let all = self.runs;
            bar.set_message(format!("{runs} of {all} runs, {} left", duration(left_s)));
        }
    }

    /// A run has ended.
    pub(crate) fn ended(&self, run: &Ended) {
        if self.quiet {
            return;
        }
        let what = match &run.reason {
            None => format!("{} episodes", run.episodes),
            Some(reason) => format!("no dataset: {reason}"),
        };
        let text = format!(
            "run {} of {}, seed {}: {what} in {}; about {} left",
            run.run + 1,
            self.runs,
            run.seed,
            duration(run.seconds),
            duration(self.left_s)
        );
        match &self.bar {
            Some(bar) => bar.println(text),
            None => say(text),
        }
    }

    /// No more is shown.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn duration(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) => HumanDuration(duration).to_string(),
        Err(_) => "an unknown time".to_owned(),
    }
}
