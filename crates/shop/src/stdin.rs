//! The end of standard input, by which whoever started a process says that it is no longer wanted.

use std::io::{ErrorKind, Read};

/// Calls `then` when standard input ends or cannot be read any more.
///
/// On a plain thread: a runtime would wait for the read at its own end, and could not see the end
/// of the input while a fault keeps it busy.
pub(crate) fn at_end(then: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 64];
        let mut input = std::io::stdin().lock();
        loop {
            match input.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        then();
    });
}
