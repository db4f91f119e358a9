//! `loadgen compare`: paired runs of both engines, or two runs that are done.
//!
//! Each run is a process of its own, `loadgen run … --engine …`, so that processor time and memory
//! are cleanly those of one engine. What is complete is compared, and written, after each
//! repetition: a later failure loses nothing.

use std::fs;
use std::path::{Path, PathBuf};

use loadgen_compare::{
    Comparison, LeftOut, LoadedRun, Options, Pair, compare as compare_pairs, report,
};
use loadgen_engine::k6::{self, K6};
use loadgen_program::{Child, Input, Log, Signal};
use loadgen_scenario::{Loaded, Plan};

use super::plan;
use crate::args::CompareArgs;
use crate::display::say;
use crate::exit::{Exit, Failure};
use crate::folder;
use crate::interrupts::Interrupts;

pub(super) async fn compare(mut args: CompareArgs) -> Result<Exit, Failure> {
    args.overrides = args.overrides.with_variable();
    if !(args.tolerance.is_finite() && args.tolerance > 0.0) {
        let message = format!("--tolerance {}: give a number above 0", args.tolerance);
        return Err(Failure::new(Exit::Usage, message));
    }
    match args.paths.as_slice() {
        [a, b] => {
            let made = compare_runs(&args, a, b)?;
            show(&args, &made)?;
            Ok(Exit::Success)
        }
        [folder] if folder.is_dir() => Err(Failure::new(
            Exit::Usage,
            format!(
                "{} is a folder: give a second one to compare it with, or a scenario file",
                folder.display()
            ),
        )),
        [file] => repeat(&args, file).await,
        _ => unreachable!("clap takes one or two"),
    }
}

/// What was compared, and where it was written.
struct Made {
    comparison: Comparison,
    files: Vec<PathBuf>,
}

fn compare_runs(args: &CompareArgs, a: &Path, b: &Path) -> Result<Made, Failure> {
    let load = |folder: &Path| LoadedRun::load(folder).map_err(|e| Failure::new(Exit::BadInput, e));
    let pair = Pair {
        repetition: 1,
        a: load(a)?,
        b: load(b)?,
    };
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| folder::default_path("compare"));
    write(args, &out, &[pair], &[])
}

fn write(
    args: &CompareArgs,
    out: &Path,
    pairs: &[Pair],
    left_out: &[LeftOut],
) -> Result<Made, Failure> {
    let options = Options {
        tolerance_percent: args.tolerance,
    };
    let comparison = compare_pairs(pairs, left_out.to_vec(), &options);
    let files = report::write(out, &comparison, pairs).map_err(|e| cannot_write(out, &e))?;
    Ok(Made { comparison, files })
}

fn cannot_write(what: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("can't write {}: {error}", what.display()),
    )
}

fn show(args: &CompareArgs, made: &Made) -> Result<(), Failure> {
    if args.json {
        super::print(&super::json(&made.comparison)?)?;
        return Ok(());
    }
    let mut text = report::table(&made.comparison);
    text += "\nWritten:\n";
    for file in &made.files {
        text += &format!("  {}\n", file.display());
    }
    super::print(&text)?;
    Ok(())
}

/// An engine, by the name that `loadgen run --engine` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Rust,
    K6,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Rust => "rust",
            Side::K6 => "k6",
        }
    }
}

/// How a run ended.
enum Ended {
    Complete,
    /// By a signal, in good order.
    Interrupted,
    Failed(String),
    /// The target was not there.
    NotReachable(String),
}

async fn repeat(args: &CompareArgs, file: &Path) -> Result<Exit, Failure> {
    let plan = checked(args, file)?;
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| folder::default_path(&format!("compare-{}", folder::stem(file))));
    let interrupts = Interrupts::listen().map_err(|e| Failure::new(Exit::Failed, e))?;
    make_folder(&out)?;
    let seconds = plan.end_ns() / 1_000_000_000;
    note(
        args,
        &format!(
            "{} repetitions with both engines, each run at least {seconds} s, in {}",
            args.repetitions,
            out.display()
        ),
    );
    let mut repetitions = Repetitions {
        args,
        file,
        out: &out,
        interrupts: &interrupts,
        pairs: Vec::new(),
        left_out: Vec::new(),
        is_first_run: true,
        unreachable: false,
    };
    let mut made = None;
    for repetition in 1..=args.repetitions {
        let seed = plan.seed + u64::from(repetition) - 1;
        if !repetitions.make(repetition, seed).await? {
            break;
        }
        made = Some(repetitions.write()?);
        if interrupts.count() > 0 {
            break;
        }
    }
    let made = match made {
        // Written after the last repetition that was begun, too.
        Some(made) if made.comparison.left_out.len() == repetitions.left_out.len() => made,
        _ => repetitions.write()?,
    };
    show(args, &made)?;
    Ok(if interrupts.count() > 0 {
        Exit::Interrupted
    } else if repetitions.unreachable {
        Exit::NotReachable
    } else if repetitions.left_out.is_empty() {
        Exit::Success
    } else {
        Exit::Failed
    })
}

/// The plan of a file that both engines can run, with every seed.
fn checked(args: &CompareArgs, file: &Path) -> Result<Plan, Failure> {
    let Loaded { plan, notes } = plan::load_with(file, &args.overrides)?;
    plan::say_notes(&notes);
    let last_seed = plan.seed.saturating_add(u64::from(args.repetitions) - 1);
    let mut last = args.overrides.clone();
    last.seed = Some(last_seed);
    plan::load_with(file, &last)?;
    // Told now and not after the first run with the other engine.
    if let Some(reason) = k6::why_not(&plan) {
        return Err(Failure::new(Exit::BadInput, reason));
    }
    K6::find().map_err(|e| Failure::new(Exit::NotReachable, e))?;
    Ok(plan)
}

fn make_folder(out: &Path) -> Result<(), Failure> {
    let taken = [Side::Rust, Side::K6].map(|side| run_folder(out, 1, side));
    if let Some(taken) = taken.iter().find(|folder| folder.exists()) {
        let message = format!(
            "{} is there already, and a run writes nothing over; give another folder",
            taken.display()
        );
        return Err(Failure::new(Exit::Failed, message));
    }
    fs::create_dir_all(out).map_err(|e| cannot_write(out, &e))
}

/// The repetitions so far.
struct Repetitions<'c> {
    args: &'c CompareArgs,
    file: &'c Path,
    out: &'c Path,
    interrupts: &'c Interrupts,
    pairs: Vec<Pair>,
    left_out: Vec<LeftOut>,
    is_first_run: bool,
    /// The target was not there.
    unreachable: bool,
}

impl Repetitions<'_> {
    /// Makes both runs of a repetition; false: there is to be no other.
    async fn make(&mut self, repetition: u32, seed: u64) -> Result<bool, Failure> {
        let Self { args, out, .. } = *self;
        let order = match repetition % 2 {
            1 => [Side::Rust, Side::K6],
            _ => [Side::K6, Side::Rust],
        };
        for side in order {
            if !self.cool_down().await {
                if side == order[1] {
                    self.left_out.push(LeftOut {
                        repetition,
                        folder: run_folder(out, repetition, order[0]),
                        reason: "the other run of its pair was not begun".to_owned(),
                    });
                }
                return Ok(false);
            }
            let folder = run_folder(out, repetition, side);
            note(
                args,
                &format!(
                    "repetition {repetition} of {}, seed {seed}: {} → {}",
                    args.repetitions,
                    side.name(),
                    folder.display()
                ),
            );
            let ended = run(args, self.interrupts, self.file, &folder, side, seed).await?;
            let reason = match ended {
                Ended::Complete => continue,
                Ended::Interrupted => "ended early by a signal".to_owned(),
                Ended::Failed(reason) => reason,
                Ended::NotReachable(reason) => {
                    self.unreachable = true;
                    reason
                }
            };
            say(format_args!(
                "repetition {repetition} is left out: the run with {} {reason}",
                side.name()
            ));
            self.left_out.push(LeftOut {
                repetition,
                folder,
                reason,
            });
            // A pair of one is of no use. Without a target the next would fail alike.
            return Ok(self.interrupts.count() == 0 && !self.unreachable);
        }
        match load(out, repetition).await {
            Ok(pair) => self.pairs.push(pair),
            Err(unreadable) => self.left_out.push(unreadable),
        }
        Ok(true)
    }

    /// Waits before each run but the first; false: a signal came.
    async fn cool_down(&mut self) -> bool {
        if std::mem::take(&mut self.is_first_run) {
            return true;
        }
        tokio::select! {
            () = tokio::time::sleep(self.args.cool_down) => true,
            () = self.interrupts.nth(1) => false,
        }
    }

    fn write(&self) -> Result<Made, Failure> {
        write(self.args, self.out, &self.pairs, &self.left_out)
    }
}

fn run_folder(out: &Path, repetition: u32, side: Side) -> PathBuf {
    out.join(format!("rep-{repetition}-{}", side.name()))
}

/// Runs one engine in a process of its own.
async fn run(
    args: &CompareArgs,
    interrupts: &Interrupts,
    file: &Path,
    folder: &Path,
    side: Side,
    seed: u64,
) -> Result<Ended, Failure> {
    let failed = |what: &str, e: std::io::Error| Failure::new(Exit::Failed, format!("{what}: {e}"));
    let log = Log::create(folder.with_extension("log")).map_err(|e| failed("can't write", e))?;
    let mut child =
        start(args, file, folder, side, seed, &log).map_err(|e| failed("can't start a run", e))?;
    let mut handed_on = interrupts.count();
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            () = interrupts.nth(handed_on + 1) => {
                handed_on += 1;
                child.signal(Signal::TERM);
            }
        }
    };
    let status = status.map_err(|e| failed("a run got lost", e))?;
    const INTERRUPTED: i32 = Exit::Interrupted as i32;
    const NOT_REACHABLE: i32 = Exit::NotReachable as i32;
    const FAULT_FAILED: i32 = Exit::FaultFailed as i32;
    const NOT_USABLE: i32 = Exit::NotUsable as i32;
    // The next runs would fail alike.
    if let Some(exit) = Exit::of_a_run_not_begun(status.code()) {
        let message = format!(
            "the run with {} did not begin (exit code {}): {}",
            side.name(),
            exit as u8,
            log.last_error()
        );
        return Err(Failure::new(exit, message));
    }
    let reason = match status.code() {
        Some(0) => return Ok(Ended::Complete),
        // What was sent and measured stands, whatever the dataset is good for.
        Some(NOT_USABLE) => return Ok(Ended::Complete),
        Some(INTERRUPTED) => return Ok(Ended::Interrupted),
        Some(FAULT_FAILED) => {
            "could not inject or clear a fault, so the target was not as asked for".to_owned()
        }
        Some(NOT_REACHABLE) => {
            let reason = format!("did not begin: {}", log.last_error());
            return Ok(Ended::NotReachable(reason));
        }
        Some(code) => format!("ended with exit code {code}: {}", log.last_error()),
        None => format!("ended with {status}"),
    };
    Ok(Ended::Failed(reason))
}

fn start(
    args: &CompareArgs,
    file: &Path,
    folder: &Path,
    side: Side,
    seed: u64,
    log: &Log,
) -> std::io::Result<Child> {
    let mut command = loadgen_program::own()?;
    command
        .arg("run")
        .arg(file)
        .args(["--engine", side.name(), "--quiet"])
        .args(["--seed", &seed.to_string()])
        .args(["--time-scale", &args.overrides.time_scale.to_string()])
        .arg("--out")
        .arg(folder)
        // It ends in good order when this process is gone, however that came.
        .arg("--stop-with-stdin")
        .stdout(log.stdio()?)
        .stderr(log.stdio()?);
    if side == Side::Rust {
        // k6 uses all processors by itself.
        command.args(["--workers", &args.workers.to_string()]);
    }
    if let Some(url) = &args.overrides.base_url {
        // Not as an argument, which everybody can see: it may hold a password.
        command.env("BASE_URL", url);
    }
    if let Some(vus) = args.overrides.vus {
        command.args(["--vus", &vus.to_string()]);
    }
    if !args.overrides.scenarios.is_empty() {
        command.args(["--scenarios", &args.overrides.scenarios.join(",")]);
    }
    args.allowed.pass_on(&mut command);
    if let Some(url) = &args.admin_url {
        command.args(["--admin-url", url]);
    }
    if args.no_faults {
        command.arg("--no-faults");
    }
    if args.no_client_spans {
        command.arg("--no-client-spans");
    }
    // Signals don't reach it by themselves: they are handed on, each once.
    Child::start(command, Input::Held)
}

/// Reads both runs of a repetition.
async fn load(out: &Path, repetition: u32) -> Result<Pair, LeftOut> {
    let folders = [Side::Rust, Side::K6].map(|side| run_folder(out, repetition, side));
    let mut runs = Vec::new();
    for folder in folders {
        let at = folder.clone();
        let read = tokio::task::spawn_blocking(move || LoadedRun::load(&at)).await;
        let reason = match read {
            Ok(Ok(run)) => {
                runs.push(run);
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => format!("reading it broke down: {error}"),
        };
        return Err(LeftOut {
            repetition,
            folder,
            reason,
        });
    }
    match <[LoadedRun; 2]>::try_from(runs) {
        Ok([a, b]) => Ok(Pair { repetition, a, b }),
        Err(_) => unreachable!("two folders were read"),
    }
}

fn note(args: &CompareArgs, text: &str) {
    if !args.quiet {
        say(text);
    }
}
