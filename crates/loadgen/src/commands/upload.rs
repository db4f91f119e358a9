//! `loadgen upload`.

use std::path::Path;

use crate::args::UploadArgs;
use crate::display::say;
use crate::exit::{Exit, Failure};
use crate::interrupts::Interrupts;
use crate::upload::{Place, Uploaded};

pub(super) async fn upload(args: UploadArgs) -> Result<Exit, Failure> {
    let interrupts = Interrupts::listen().map_err(|e| Failure::new(Exit::Failed, e))?;
    let uploaded = tokio::select! {
        uploaded = open_and_send(&args, &interrupts) => uploaded?,
        () = interrupts.nth(2) => return Ok(Exit::Interrupted),
    };
    if args.json {
        return super::print(&super::json(&uploaded)?);
    }
    Ok(Exit::Success)
}

async fn open_and_send(args: &UploadArgs, interrupts: &Interrupts) -> Result<Uploaded, Failure> {
    let place = Place::open(&args.url).await?;
    send(&place, &args.run, || interrupts.count() > 0).await
}

/// Uploads a folder and says so.
pub(super) async fn send(
    place: &Place,
    folder: &Path,
    stop: impl Fn() -> bool,
) -> Result<Uploaded, Failure> {
    let uploaded = place.upload(folder, stop).await?;
    say(&uploaded);
    Ok(uploaded)
}
