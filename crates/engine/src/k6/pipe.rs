//! What k6 writes to its error stream, line by line.

use std::borrow::Cow;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::process::ChildStderr;

/// How often k6's lines are read. Not as they come: to be woken for each takes k6 and this process
/// longer than to write and to read it. A pipe has room for what 80,000 requests a second log
/// meanwhile.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// Whole lines of a pipe.
#[derive(Debug)]
pub(super) struct Lines {
    pipe: OwnedFd,
    buffer: Vec<u8>,
    /// Up to here lines have been given out.
    taken: usize,
    /// Up to here there is no end of a line.
    searched: usize,
}

impl Lines {
    /// Takes the pipe away from the runtime, which would be woken for each line.
    pub(super) fn new(pipe: ChildStderr) -> io::Result<Self> {
        let pipe = pipe.into_owned_fd()?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self {
            pipe,
            buffer: Vec::with_capacity(1 << 16),
            taken: 0,
            searched: 0,
        })
    }

    /// Reads all that is there. False: nothing more will come.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        loop {
            // Lets go of what was given out.
            self.buffer.drain(..self.taken);
            self.searched -= self.taken;
            self.taken = 0;
            self.buffer.reserve(1 << 16);
            let spare = rustix::buffer::spare_capacity(&mut self.buffer);
            match rustix::io::read(&self.pipe, spare) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(true),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) fn next(&mut self) -> Option<Cow<'_, str>> {
        let end = self.buffer[self.searched..]
            .iter()
            .position(|b| *b == b'\n');
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return None;
        };
        let end = self.searched + end;
        let line = self.taken..end;
        self.taken = end + 1;
        self.searched = self.taken;
        Some(String::from_utf8_lossy(&self.buffer[line]))
    }
}
