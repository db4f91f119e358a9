//! The file exporter: a thread for each file that writes lines in the order of their arrival.
//!
//! A sender is answered after its line has been handed to the operating system, so an
//! acknowledged line survives the death of this process, and a full disk is told to whoever sent
//! the data instead of to nobody. There is no buffer here that a flush would have to empty.

use super::rotation::LineFile;
use crate::notice::tell;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Lines that may wait for a file. The bytes in them are bounded by admission.
const QUEUE_LINES: usize = 1024;
/// A lasting failure is repeated on standard error at this interval.
const REPEAT_WARNING: Duration = Duration::from_secs(10);

/// Why a line isn't in the file.
#[derive(Clone, Debug)]
pub(crate) enum ExportError {
    /// The operating system refused it; the text says which file and why.
    Disk(Arc<str>),
    /// The exporter has been stopped.
    Stopped,
}

enum Command {
    Append {
        line: Vec<u8>,
        done: oneshot::Sender<Result<(), ExportError>>,
    },
    Stop,
}

/// The way to a file's thread.
#[derive(Clone)]
pub(crate) struct FileExporter {
    commands: mpsc::Sender<Command>,
}

/// What a file's thread has done in the end.
pub(crate) struct FileReport {
    /// Bytes written, newlines included.
    pub(crate) bytes: u64,
    /// Whether the last sync worked.
    pub(crate) synced: std::io::Result<()>,
    /// The current file.
    pub(crate) path: PathBuf,
}

impl FileExporter {
    /// Starts the thread that owns `file`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(file: LineFile) -> std::io::Result<(Self, JoinHandle<FileReport>)> {
        let (commands, queue) = mpsc::channel(QUEUE_LINES);
        let thread = thread::Builder::new()
            .name(format!(
                "file-{}",
                file.path().file_stem().unwrap_or_default().display()
            ))
            .spawn(move || write_lines(file, queue))?;
        Ok((Self { commands }, thread))
    }

    /// Appends `line`, which ends in a newline, and returns when it is in the file.
    ///
    /// # Errors
    /// When it isn't.
    pub(crate) async fn append(&self, line: Vec<u8>) -> Result<(), ExportError> {
        let (done, answer) = oneshot::channel();
        self.commands
            .send(Command::Append { line, done })
            .await
            .map_err(|_| ExportError::Stopped)?;
        answer.await.unwrap_or(Err(ExportError::Stopped))
    }

    /// Asks the thread to write what is queued, sync, and end.
    pub(crate) async fn stop(&self) {
        // An error means that it has ended already.
        let _ = self.commands.send(Command::Stop).await;
    }
}

fn write_lines(mut file: LineFile, mut queue: mpsc::Receiver<Command>) -> FileReport {
    let mut bytes = 0;
    let mut warned: Option<Instant> = None;
    while let Some(command) = queue.blocking_recv() {
        let Command::Append { line, done } = command else {
            // What was queued before the close is still received.
            queue.close();
            continue;
        };
        let result = file.append(&line).map_err(|error| {
            let text = format!("can't write {}: {error}", file.path().display());
            ExportError::Disk(text.into())
        });
        match &result {
            Ok(()) => {
                bytes += line.len() as u64;
                if warned.take().is_some() {
                    tell(format_args!(
                        "{} can be written again",
                        file.path().display()
                    ));
                }
            }
            Err(ExportError::Disk(text))
                if warned.is_none_or(|at| at.elapsed() >= REPEAT_WARNING) =>
            {
                tell(format_args!("{text}; senders are told to send again later"));
                warned = Some(Instant::now());
            }
            Err(_) => {}
        }
        // A sender that has gone away doesn't wait for the answer.
        let _ = done.send(result);
    }
    FileReport {
        bytes,
        synced: file.sync(),
        path: file.path(),
    }
}
