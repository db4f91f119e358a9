//! A program and whoever started it.
//!
//! What each program of loadgen's does: it says in one line of JSON on standard output that it is
//! ready ([`say_ready`]), and ends at SIGINT, SIGTERM or, where asked for, when its standard input
//! does ([`Shutdown`]), so that it does not outlive its starter, however that ends.
//!
//! What a starter does with a [`Child`], of loadgen or any other: hold its standard input, wait for
//! the ready line, keep what it says ([`Log`]), stop it, say how it ended.

mod child;
mod log;
mod own;

use std::io::{self, Read, Write};

pub use child::{Child, Input, NotReady, kill_group};
pub use log::Log;
pub use own::{inherit, own};
pub use rustix::process::Signal;
use serde::Serialize;
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::oneshot;

/// Prints the line on standard output that says that the program is ready.
///
/// # Errors
/// Standard output can't be written.
pub fn say_ready(ready: &impl Serialize) -> io::Result<()> {
    write_line(&mut io::stdout().lock(), ready)
}

fn write_line(to: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Calls `then` when standard input ends or can't be read any more.
///
/// On a plain thread: a runtime would wait for the read at its own end, and could not see the end
/// of the input while something keeps it busy.
///
/// # Errors
/// The thread can't be started.
pub fn at_end_of_stdin(then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let watch = move || {
        let mut buffer = [0; 64];
        let mut stdin = io::stdin().lock();
        loop {
            match stdin.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        then();
    };
    let thread = std::thread::Builder::new().name("stdin".to_owned());
    thread.spawn(watch).map(drop)
}

/// A oneshot that is sent when standard input ends.
fn end_of_stdin() -> io::Result<oneshot::Receiver<()>> {
    let (ended, receiver) = oneshot::channel();
    at_end_of_stdin(move || {
        // Nobody listens any more when the program ends for another reason.
        let _ = ended.send(());
    })?;
    Ok(receiver)
}

/// The wishes that a program should end.
#[derive(Debug)]
pub struct Shutdown {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    stdin: Option<oneshot::Receiver<()>>,
}

impl Shutdown {
    /// Listens from now on: a signal that comes right after the ready line is not lost if this was
    /// called before it. `with_stdin`: to the end of standard input, too.
    ///
    /// # Errors
    /// The system gives no signals, or no thread.
    pub fn listen(with_stdin: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            stdin: with_stdin.then(end_of_stdin).transpose()?,
        })
    }

    /// Waits for the next wish. The end of standard input is one only once.
    pub async fn asked(&mut self) {
        let stdin = &mut self.stdin;
        let stdin_ends = async {
            match stdin {
                Some(ended) => _ = ended.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = stdin_ends => self.stdin = None,
        }
    }
}
