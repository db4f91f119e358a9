//! `loadgen faults`: what runs that were killed have left in their targets.

use std::io;
use std::path::{Path, PathBuf};

use loadgen_fault::journal::{self, Found};
use loadgen_fault::{Undoing, Undone};
use reqwest::Client;

use crate::args::{FaultsClearArgs, FaultsCommand};
use crate::display::say;
use crate::exit::{Exit, Failure};

pub(super) async fn faults(command: FaultsCommand) -> Result<Exit, Failure> {
    match command {
        FaultsCommand::List => list(),
        FaultsCommand::Clear(args) => clear(args).await,
    }
}

fn list() -> Result<Exit, Failure> {
    let mut text = String::new();
    for path in journals()? {
        let name = run_id_of(&path);
        match journal::read(&path).map_err(|e| unreadable(&path, &e))? {
            Found::Nothing => {}
            Found::Locked => text += &format!("{name}: runs, or is being undone\n"),
            Found::Leftover(leftover) => {
                text += &format!("{name}: {}\n", leftover.header.timeline.display());
                for injection in leftover.open.values() {
                    let fault = &injection.fault;
                    let (name, service) = (&fault.fault, &fault.service);
                    text += &format!("  {name} in {service}, by the driver {}\n", fault.driver);
                }
            }
        }
    }
    if text.is_empty() {
        text += "No run has left a fault behind.\n";
    }
    super::print(&text)
}

async fn clear(args: FaultsClearArgs) -> Result<Exit, Failure> {
    let paths = match args.runs.is_empty() {
        true => journals()?,
        false => args
            .runs
            .iter()
            .map(|run| journal_of(run))
            .collect::<Result<_, _>>()?,
    };
    let client = super::client()?;
    let mut exit = Exit::Success;
    for path in paths {
        let found = journal::read(&path).map_err(|e| unreadable(&path, &e))?;
        let name = run_id_of(&path);
        match found {
            Found::Nothing => say(format_args!("{name} has left nothing behind")),
            Found::Locked => {
                say(format_args!(
                    "{name} still runs, or its guard is clearing its faults: wait, or end it"
                ));
                exit = Exit::FaultFailed;
            }
            Found::Leftover(leftover) => {
                let mut undoing = Undoing::new(leftover, &client);
                let is_done = undo(&mut undoing)
                    .await
                    .map_err(|e| unreadable(&path, &e))?;
                if is_done || args.forget {
                    undoing.finish().map_err(|e| unreadable(&path, &e))?;
                } else {
                    exit = Exit::FaultFailed;
                }
            }
        }
    }
    Ok(exit)
}

/// Undoes what runs before this one have left behind. What can't be undone is told, and stands in
/// nobody's way: its target may be gone for good.
pub(crate) async fn undo_leftovers(client: &Client) -> Result<(), Failure> {
    for path in journals()? {
        // One that can't be read is told by `faults list`.
        let Ok(Found::Leftover(leftover)) = journal::read(&path) else {
            continue;
        };
        let mut undoing = Undoing::new(leftover, client);
        let is_done = undo(&mut undoing)
            .await
            .map_err(|e| unreadable(&path, &e))?;
        if is_done {
            undoing.finish().map_err(|e| unreadable(&path, &e))?;
        } else {
            let run = undoing.run_id();
            say(format_args!(
                "`loadgen faults clear {run}` tries again; with --forget it is not tried any more"
            ));
        }
    }
    Ok(())
}

/// Tries to undo all, and says what came of it. Whether all is undone.
async fn undo(undoing: &mut Undoing) -> io::Result<bool> {
    for Undone { injection, result } in undoing.attempt().await? {
        let (fault, service) = (&injection.fault.fault, &injection.fault.service);
        let run = &injection.owner;
        match result {
            Ok(cleared) if cleared.was_in_force => {
                say(format_args!(
                    "{fault} in {service}, left behind by the run {run}, is cleared"
                ));
            }
            Ok(_) => {
                say(format_args!(
                    "{fault} in {service}, of the run {run}, was gone already"
                ));
            }
            Err(error) => say(format_args!(
                "warning: {fault} in {service}, left behind by the run {run}, can't be cleared: {error}"
            )),
        }
    }
    Ok(undoing.is_done())
}

fn journals() -> Result<Vec<PathBuf>, Failure> {
    journal::all().map_err(|e| unreadable(&journal::folder(), &e))
}

/// The journal of a run that is given by its folder or its id.
fn journal_of(run: &Path) -> Result<PathBuf, Failure> {
    let timeline = run.join("timeline.jsonl");
    if !timeline.exists() {
        return Ok(journal::path_of(&run.to_string_lossy()));
    }
    let read = loadgen_timeline::read_timeline(&timeline);
    let read = read.map_err(|e| Failure::new(Exit::BadInput, e))?;
    let started = read.run.ok_or_else(|| {
        let message = format!("{} does not say which run it is", timeline.display());
        Failure::new(Exit::BadInput, message)
    })?;
    Ok(journal::path_of(&started.run_id))
}

fn run_id_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {error}", path.display()))
}
