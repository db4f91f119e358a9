//! `loadgen detect`: telemetry that grows → features by bucket → model → scores and alerts.

use std::path::PathBuf;
use std::time::Duration;

use loadgen_detect::{Contract, Detector, Model, Scored, ScoresFile, Speaker, alert, gauge};
use loadgen_exporter::{Exporter, Outcome, Patience};
use loadgen_extract::live::{BUCKET_NS, LiveBuckets, Tail, TailError};
use loadgen_timeline::{Timeline, read_timeline};

use super::{now_ns, seconds};
use crate::allow::Stands;
use crate::args::DetectArgs;
use crate::display::say;
use crate::exit::{Exit, Failure};
use crate::folder::RunFolder;
use crate::interrupts::Interrupts;
use crate::otlp;

/// Time between two looks at the files.
const PAUSE: Duration = Duration::from_millis(500);

/// After the run's end nothing more comes when the files have not grown for so many looks: 10 s.
const SILENT_LOOKS: u32 = 20;

pub(super) async fn detect(args: DetectArgs) -> Result<Exit, Failure> {
    let interrupts = Interrupts::listen().map_err(|e| Failure::new(Exit::Failed, e))?;
    let endpoint = args.otlp_endpoint.as_deref();
    otlp::check_host(endpoint, Stands::Typed, &args.allowed).await?;
    let mut session = Session::begin(&args)?;
    let mut silent = 0;
    let exit = loop {
        let grown = session.look()?;
        silent = if grown { 0 } else { silent + 1 };
        session.read_timeline();
        let is_over = session.has_ended() && silent >= SILENT_LOOKS;
        if !args.follow || is_over {
            session.say(i64::MAX - BUCKET_NS).await?;
            break Exit::Success;
        }
        session.say(session.settled_ns()).await?;
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = interrupts.nth(1) => break Exit::Interrupted,
        }
    };
    Ok(session.end(exit))
}

/// What is looked at, by what, and where it is said.
struct Session {
    run: RunFolder,
    follow: bool,
    tail: Tail,
    timeline: Timeline,
    buckets: LiveBuckets,
    lateness_ns: i64,
    detector: Detector<Model>,
    speaker: Speaker,
    scores: ScoresFile,
    exporter: Option<Exporter>,
    said: Said,
}

/// What has been said so far.
#[derive(Debug, Default)]
struct Said {
    buckets: u64,
    alerts: u64,
    unreadable: u64,
    lost: u64,
    last_loss: Option<String>,
}

impl Session {
    fn begin(args: &DetectArgs) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::fmt::Display| Failure::new(Exit::BadInput, error);
        let beside = args.model.with_extension("json");
        let contract = Contract::read(args.contract.as_ref().unwrap_or(&beside));
        let mut contract = contract.map_err(|e| wrong(&e))?;
        contract.threshold = args.threshold.unwrap_or(contract.threshold);
        let model = Model::load(&args.model, &contract).map_err(|e| wrong(&e))?;
        let lateness = seconds("--lateness", args.lateness)?;
        let exporter = match &args.otlp_endpoint {
            Some(url) => {
                let endpoint = otlp::endpoint(Some(url), args.otlp_protocol)?;
                // Scores that come late are of little use.
                let limit = Duration::from_secs(2);
                let exporter = Exporter::new(&endpoint, Patience { limit });
                Some(exporter.map_err(|e| wrong(&e))?)
            }
            None => None,
        };
        let scores = match &args.out {
            Some(path) => ScoresFile::create(path)
                .map_err(|e| wrong(&format!("can't write {}: {e}", path.display())))?,
            None => ScoresFile::lines(std::io::stdout()),
        };
        let (run, telemetry) = place(&args.dir);
        let timeline = read_timeline(&run.timeline()).unwrap_or_default();
        let of_run = timeline.run.as_ref();
        let name = args.model.file_name().unwrap_or_default();
        Ok(Self {
            buckets: LiveBuckets::new(of_run.map(|run| run.at_ns)),
            speaker: Speaker {
                run_id: of_run.map(|run| run.run_id.clone()).unwrap_or_default(),
                model: name.to_string_lossy().into_owned(),
                threshold: contract.threshold,
            },
            tail: Tail::new(vec![telemetry]),
            run,
            follow: args.follow,
            timeline,
            lateness_ns: i64::try_from(lateness.as_nanos()).unwrap_or(i64::MAX),
            detector: Detector::new(model, &contract),
            scores,
            exporter,
            said: Said::default(),
        })
    }

    /// Reads what is new; whether there was anything.
    fn look(&mut self) -> Result<bool, Failure> {
        let (buckets, said) = (&mut self.buckets, &mut self.said);
        let looked = self.tail.look(|unit| {
            said.unreadable += buckets.read(unit)?.len() as u64;
            Ok(())
        });
        match looked {
            Ok(bytes) => Ok(bytes > 0),
            // A Collector may not have written anything yet.
            Err(TailError::Read { source, .. })
                if self.follow && source.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(false)
            }
            Err(error) => Err(super::extract::failure(error)),
        }
    }

    fn read_timeline(&mut self) {
        if self.timeline.finished.is_none()
            && let Ok(timeline) = read_timeline(&self.run.timeline())
        {
            self.timeline = timeline;
        }
        if self.speaker.run_id.is_empty()
            && let Some(run) = &self.timeline.run
        {
            self.speaker.run_id.clone_from(&run.run_id);
        }
    }

    fn has_ended(&self) -> bool {
        self.timeline.finished.is_some()
    }

    /// Up to when all that is to come has come. A clock that is ahead moves it no further than to now.
    fn settled_ns(&self) -> i64 {
        let latest = self.buckets.latest_ns().unwrap_or(0).min(now_ns());
        latest.saturating_sub(self.lateness_ns)
    }

    /// Scores the buckets that are over, and says so.
    async fn say(&mut self, until_ns: i64) -> Result<(), Failure> {
        let mut scored = Vec::new();
        let latest_ns = self.buckets.latest_ns().unwrap_or(0);
        let until_ns = until_ns.min(latest_ns.saturating_add(BUCKET_NS));
        for bucket in self.buckets.close(until_ns) {
            let of_run = self.timeline.finished.as_ref();
            if of_run.is_some_and(|end| bucket.start_ns >= end.at_ns) {
                continue;
            }
            let score = self.detector.score(&bucket);
            scored.push(score.map_err(|e| Failure::new(Exit::Failed, e))?);
        }
        let now_ns = now_ns();
        for of in &scored {
            let written = self.scores.write(&self.speaker.run_id, of, now_ns);
            written.map_err(|e| Failure::new(Exit::Failed, format!("can't write scores: {e}")))?;
            self.said.buckets += 1;
            self.said.alerts += u64::from(of.alert);
        }
        self.export(&scored, now_ns).await;
        Ok(())
    }

    async fn export(&mut self, scored: &[Scored], now_ns: i64) {
        let (Some(exporter), false) = (&mut self.exporter, scored.is_empty()) else {
            return;
        };
        let mut requests = vec![gauge(&self.speaker, scored)];
        let alerts = scored.iter().filter(|of| of.alert);
        requests.extend(alerts.map(|of| alert(&self.speaker, of, now_ns)));
        for request in &requests {
            let Outcome {
                rejected, reason, ..
            } = exporter.export(request).await;
            self.said.lost += rejected;
            if rejected > 0 {
                self.said.last_loss = reason;
            }
        }
    }

    /// The end, in words.
    fn end(self, exit: Exit) -> Exit {
        let Said {
            buckets,
            alerts,
            unreadable,
            lost,
            last_loss,
        } = self.said;
        say(format_args!(
            "{buckets} buckets scored, {alerts} of them alerts"
        ));
        let late = self.buckets.late();
        if late > 0 {
            say(format_args!(
                "warning: {late} spans and log records came after their bucket had been scored; --lateness \
                 waits longer"
            ));
        }
        if unreadable > 0 {
            say(format_args!("warning: {unreadable} messages can't be read"));
        }
        if lost == 0 {
            return exit;
        }
        say(format_args!(
            "{lost} scores and alerts were not taken by the OTLP receiver: {}",
            last_loss.unwrap_or_default()
        ));
        Exit::Failed
    }
}

/// The folder of the run, and where its telemetry is.
fn place(dir: &std::path::Path) -> (RunFolder, PathBuf) {
    let run = RunFolder::of(dir);
    if run.telemetry().is_dir() || run.timeline().is_file() {
        let telemetry = run.telemetry();
        return (run, telemetry);
    }
    let above = dir.parent().map(RunFolder::of);
    let above = above.filter(|above| above.timeline().is_file());
    (above.unwrap_or(run), dir.to_owned())
}
