//! What the program says of its own work, on standard error: nothing unless it is asked for, by `-v` or
//! by `RUST_LOG`.

use std::io::{self, Write};
use std::str::FromStr;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::display::shown;
use crate::exit::{Exit, Failure};

/// Names levels by target, such as `info,loadgen_engine=debug`, as in other programs in Rust.
const VARIABLE: &str = "RUST_LOG";

/// Begins to log, here and in each process of this program that is started from here. `verbose`: how
/// often `-v` was given. The variable goes before it.
///
/// # Errors
/// The variable can't be understood.
pub(crate) fn begin(verbose: u8) -> Result<(), Failure> {
    let of_variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let of_flag = match verbose {
        0 => None,
        1 => Some("loadgen=info"),
        2 => Some("loadgen=debug"),
        _ => Some("loadgen=trace"),
    };
    let Some(asked) = of_variable.or(of_flag.map(str::to_owned)) else {
        return Ok(());
    };
    let targets = Targets::from_str(&asked).map_err(|error| {
        let message = format!(
            "{VARIABLE}={asked}: {error}\nWrite levels (error, warn, info, debug, trace) by target: \
             info,loadgen_engine=debug"
        );
        Failure::new(Exit::Usage, message)
    })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(|| Shown(io::stderr()));
    tracing_subscriber::registry()
        .with(lines)
        .with(targets)
        .init();
    loadgen_program::inherit(VARIABLE, asked);
    Ok(())
}

/// Writes what may be shown. Each call has whole lines.
struct Shown(io::Stderr);

impl Write for Shown {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0
            .write_all(shown(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
