//! Other processes of this program.

use std::io;
use std::sync::OnceLock;

use tokio::process::Command;

/// A variable that all of them get.
static INHERITED: OnceLock<(&str, String)> = OnceLock::new();

/// Has each process that [`own`] is for from now on get a variable; the first call holds. Variables
/// of the environment are inherited in any case: this is for what a flag of this one says.
pub fn inherit(name: &'static str, value: String) {
    INHERITED.get_or_init(|| (name, value));
}

/// A command that starts this program once more.
///
/// # Errors
/// The system does not say where this program's file is.
pub fn own() -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    if let Some((name, value)) = INHERITED.get() {
        command.env(name, value);
    }
    Ok(command)
}
