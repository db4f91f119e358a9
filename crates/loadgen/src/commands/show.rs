//! `loadgen show`.

use crate::args::ShowArgs;
use crate::exit::{Exit, Failure};
use crate::show;

pub(super) fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let mut shown = show::load(&args.dir, args.stamp.as_deref())?;
    if let Some(number) = args.window {
        let windows = shown.windows.len();
        shown.windows.retain(|window| window.number == number);
        if shown.windows.is_empty() {
            let message = match windows {
                0 => "--window: the dataset has no windows".to_owned(),
                _ => format!("--window {number}: there are windows 0 to {}", windows - 1),
            };
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    match args.json {
        true => super::print(&super::json(&shown)?),
        false => super::print(&show::text(&shown, args.window.is_some())),
    }
}
