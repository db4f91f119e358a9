//! Reads on one thread, decodes on several, and hands the results to the caller.
//!
//! A fixed number of units goes round between reader and workers, and workers wait for the caller
//! when it is behind. That bounds the memory, however uneven the stages are. Results come in any
//! order.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use loadgen_otlp::source::{Source, Unit};

/// Why a run through the files ended early.
#[derive(Debug)]
pub(crate) enum PipelineError<E> {
    /// A file could not be read; its position in the list.
    Read(usize, io::Error),
    /// The caller's own error.
    Consumer(E),
}

/// A unit and its place.
#[derive(Debug, Default)]
pub(crate) struct Placed {
    /// Position of its file in the list.
    pub(crate) file: usize,
    /// Its number over all files, the same each time they are gone through.
    pub(crate) number: u64,
    pub(crate) unit: Unit,
}

/// What a worker hands its results to.
pub(crate) struct Results<'s, T> {
    file: usize,
    sender: &'s SyncSender<(usize, Worked<T>)>,
}

type Worked<T> = Result<T, Box<dyn Any + Send>>;

impl<T> Results<'_, T> {
    /// Hands over a result, and waits while the caller is behind. Once the caller has ended early
    /// results are lost.
    pub(crate) fn send(&self, result: T) {
        let _ = self.sender.send((self.file, Ok(result)));
    }
}

/// Goes through the files: `work` sees each unit on some thread and hands over any number of
/// results, which `consume` gets on the calling thread, with their file. Stops at the first error.
pub(crate) fn for_each_unit<T, E>(
    sources: &mut [Source],
    workers: usize,
    work: impl Fn(&Placed, &Results<'_, T>) + Sync,
    mut consume: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), PipelineError<E>>
where
    T: Send,
    E: Send,
{
    // One for each worker, one on its way to it.
    let in_flight = 2 * workers;
    let (spare_sender, spare) = sync_channel::<Placed>(in_flight);
    let (filled_sender, filled) = sync_channel::<Placed>(in_flight);
    let (done_sender, done) = sync_channel::<(usize, Worked<T>)>(workers);
    for _ in 0..in_flight {
        // The channel holds as many and its receiver is alive.
        let _ = spare_sender.send(Placed::default());
    }
    let filled = Mutex::new(filled);
    thread::scope(|scope| {
        let reader = scope.spawn(move || fill(sources, &spare, &filled_sender));
        for _ in 0..workers {
            let (sender, spare) = (done_sender.clone(), spare_sender.clone());
            let (filled, work) = (&filled, &work);
            scope.spawn(move || {
                while let Some(placed) = take(filled) {
                    let results = Results {
                        file: placed.file,
                        sender: &sender,
                    };
                    let worked = catch_unwind(AssertUnwindSafe(|| work(&placed, &results)));
                    if let Err(panic) = worked {
                        let _ = sender.send((placed.file, Err(panic)));
                        return;
                    }
                    // Fails when the reader is at the end and needs no more.
                    let _ = spare.send(placed);
                }
            });
        }
        // Without these the reader sees when no worker is left, and the caller likewise.
        drop((done_sender, spare_sender));

        let mut outcome = Ok(());
        let mut bug = None;
        for (file, worked) in &done {
            match worked.map(|result| consume(file, result)) {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => outcome = Err(PipelineError::Consumer(error)),
                Err(panic) => bug = Some(panic),
            }
            break;
        }
        // What comes now is of no use, but whoever sends it must not wait.
        drop(done);
        match (reader.join(), bug) {
            (Err(panic), _) | (_, Some(panic)) => resume_unwind(panic),
            (Ok(Err(error)), None) if outcome.is_ok() => Err(error),
            (Ok(_), None) => outcome,
        }
    })
}

fn take(filled: &Mutex<Receiver<Placed>>) -> Option<Placed> {
    // A poisoned lock means that another worker panicked; the scope passes that on.
    filled.lock().ok()?.recv().ok()
}

fn fill<E>(
    sources: &mut [Source],
    spare: &Receiver<Placed>,
    filled: &SyncSender<Placed>,
) -> Result<(), PipelineError<E>> {
    let mut number = 0;
    // Held over from one file to the next, so that the end of a file takes none out of the round.
    let mut empty = None;
    for (file, source) in sources.iter_mut().enumerate() {
        loop {
            let mut placed: Placed = match empty.take() {
                Some(placed) => placed,
                None => match spare.recv() {
                    Ok(placed) => placed,
                    Err(_) => return Ok(()),
                },
            };
            let more = source.next_unit(&mut placed.unit);
            if !more.map_err(|error| PipelineError::Read(file, error))? {
                empty = Some(placed);
                break;
            }
            (placed.file, placed.number) = (file, number);
            if filled.send(placed).is_err() {
                return Ok(());
            }
            number += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use loadgen_otlp::source::decode;
    use loadgen_otlp::{Counts, Signal, Sink};

    use super::*;

    struct Nothing;

    impl Sink for Nothing {}

    fn sources(lines: &[usize]) -> Vec<Source> {
        let of = |lines: &usize| {
            let content = "{\"resourceSpans\":[]}\n".repeat(*lines);
            Source::from_reader(io::Cursor::new(content)).expect("a source")
        };
        lines.iter().map(of).collect()
    }

    fn count(placed: &Placed, results: &Results<'_, Counts>) {
        results.send(decode(&placed.unit, &mut Nothing).counts);
    }

    #[test]
    fn every_unit_of_every_file_is_seen_once() {
        // More files than units go round, some of them empty.
        let mut lines = vec![2, 0, 200_000];
        lines.extend((0..40).map(|n| n % 3));
        let mut read = vec![0; lines.len()];
        let consume = |file: usize, counts: Counts| {
            read[file] += counts.messages(Signal::Traces) as usize;
            Ok::<(), ()>(())
        };
        for_each_unit(&mut sources(&lines), 3, count, consume).expect("read");
        assert_eq!(read, lines);
    }

    #[test]
    fn an_error_of_the_caller_ends_the_run() {
        let mut seen = 0;
        let outcome = for_each_unit(&mut sources(&[1; 100]), 2, count, |_, _| {
            seen += 1;
            if seen == 5 { Err("disk full") } else { Ok(()) }
        });
        assert!(matches!(outcome, Err(PipelineError::Consumer("disk full"))));
        assert_eq!(seen, 5);
    }

    #[test]
    #[should_panic(expected = "a bug")]
    fn a_panic_of_a_worker_reaches_the_caller() {
        let work = |placed: &Placed, _: &Results<'_, ()>| assert!(placed.file != 3, "a bug");
        let _ = for_each_unit(&mut sources(&[1; 100]), 2, work, |_, ()| Ok::<(), ()>(()));
    }
}
