//! Reads on one thread, parses on several, and hands the results on in the order of the input.
//!
//! A fixed number of blocks goes round: reader, worker, caller, reader. That bounds the memory,
//! however uneven the stages are, and the blocks' memory is used again.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::input::{Block, Input};

/// Why a run through the files ended early.
#[derive(Debug)]
pub(crate) enum PipelineError<E> {
    /// A file could not be read; its position in the list.
    Read(usize, io::Error),
    /// The caller's own error.
    Consumer(E),
}

/// Goes through the files: `work` sees each block on some thread, `consume` gets the results on
/// the calling thread, in the order of the input. Stops at the first error.
pub(crate) fn for_each_block<T, E>(
    inputs: &[Input],
    workers: usize,
    work: impl Fn(&Block) -> T + Sync,
    mut consume: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), PipelineError<E>>
where
    T: Send,
    E: Send,
{
    // Two for each worker, one being filled, one being consumed.
    let in_flight = 2 * workers + 2;
    let (spare_sender, spare) = sync_channel::<Block>(in_flight);
    let (filled_sender, filled) = sync_channel::<Block>(in_flight);
    let (done_sender, done) = sync_channel::<(Block, thread::Result<T>)>(in_flight);
    for _ in 0..in_flight {
        // The channel holds as many and its receiver is alive.
        let _ = spare_sender.send(Block::default());
    }
    let filled = Mutex::new(filled);
    thread::scope(|scope| {
        let reader = scope.spawn(move || fill(inputs, &spare, &filled_sender));
        for _ in 0..workers {
            let done_sender = done_sender.clone();
            let (filled, work) = (&filled, &work);
            scope.spawn(move || {
                while let Some(block) = take(filled) {
                    // A panic goes to the caller: without it the caller would wait for ever for
                    // the result that is missing.
                    let result = catch_unwind(AssertUnwindSafe(|| work(&block)));
                    if done_sender.send((block, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done_sender);

        let mut early = BTreeMap::new();
        let mut next = 0;
        let mut outcome = Ok(());
        let mut bug = None;
        'received: for (block, result) in &done {
            early.insert(block.sequence, (block, result));
            while let Some((block, result)) = early.remove(&next) {
                next += 1;
                let result = match result {
                    Ok(result) => result,
                    Err(panic) => {
                        bug = Some(panic);
                        break 'received;
                    }
                };
                if let Err(error) = consume(block.file, result) {
                    outcome = Err(PipelineError::Consumer(error));
                    break 'received;
                }
                // Fails when the reader is at the end and needs no more blocks.
                let _ = spare_sender.send(block);
            }
        }
        // Without these the reader and the workers see that nobody waits for them.
        drop((spare_sender, done));
        match (reader.join(), bug) {
            (Err(panic), _) | (_, Some(panic)) => resume_unwind(panic),
            (Ok(Err(error)), None) if outcome.is_ok() => Err(error),
            (Ok(_), None) => outcome,
        }
    })
}

fn take(filled: &Mutex<Receiver<Block>>) -> Option<Block> {
    // A poisoned lock means that another worker panicked; the scope passes that on.
    filled.lock().ok()?.recv().ok()
}

fn fill<E>(
    inputs: &[Input],
    spare: &Receiver<Block>,
    filled: &SyncSender<Block>,
) -> Result<(), PipelineError<E>> {
    let mut sequence = 0;
    // Held over from one file to the next, so that the end of a file takes no block out of the
    // round.
    let mut empty = None;
    for (index, input) in inputs.iter().enumerate() {
        let mut blocks = input.blocks().map_err(|e| PipelineError::Read(index, e))?;
        loop {
            let mut block = match empty.take() {
                Some(block) => block,
                None => match spare.recv() {
                    Ok(block) => block,
                    Err(_) => return Ok(()),
                },
            };
            if !blocks
                .next_into(&mut block)
                .map_err(|e| PipelineError::Read(index, e))?
            {
                empty = Some(block);
                break;
            }
            block.file = index;
            block.sequence = sequence;
            if filled.send(block).is_err() {
                return Ok(());
            }
            sequence += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn inputs(dir: &tempfile::TempDir, contents: &[Vec<u8>]) -> Vec<Input> {
        let write = |(index, bytes): (usize, &Vec<u8>)| {
            let path: PathBuf = dir.path().join(index.to_string());
            std::fs::write(&path, bytes).expect("written");
            Input::open(&path, dir.path()).expect("opened")
        };
        contents.iter().enumerate().map(write).collect()
    }

    #[test]
    fn results_come_in_the_order_of_the_input_over_many_files() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let big: Vec<u8> = (0..400_000u32)
            .flat_map(|n| format!("{n}\n").into_bytes())
            .collect();
        // More files than blocks go round, some of them empty.
        let mut contents = vec![b"1\n2".to_vec(), Vec::new(), big];
        contents.extend((0..40u8).map(|n| vec![b'0' + n % 10; usize::from(n) % 3]));
        let inputs = inputs(&dir, &contents);
        let mut read = vec![Vec::new(); contents.len()];
        let mut last = 0;
        for_each_block(
            &inputs,
            3,
            |block| block.bytes.clone(),
            |file, bytes| {
                assert!(file >= last);
                last = file;
                read[file].extend(bytes);
                Ok::<(), ()>(())
            },
        )
        .expect("read");
        assert_eq!(read, contents);
    }

    #[test]
    fn an_error_of_the_caller_ends_the_run() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let contents: Vec<Vec<u8>> = (0..100).map(|n| format!("{n}\n").into_bytes()).collect();
        let inputs = inputs(&dir, &contents);
        let mut seen = 0;
        let outcome = for_each_block(
            &inputs,
            2,
            |_| (),
            |_, ()| {
                seen += 1;
                if seen == 5 { Err("disk full") } else { Ok(()) }
            },
        );
        assert!(matches!(outcome, Err(PipelineError::Consumer("disk full"))));
        assert_eq!(seen, 5);
    }

    #[test]
    #[should_panic(expected = "a bug")]
    fn a_panic_of_a_worker_reaches_the_caller() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let contents: Vec<Vec<u8>> = (0..100).map(|n| format!("{n}\n").into_bytes()).collect();
        let inputs = inputs(&dir, &contents);
        let work = |block: &Block| assert!(block.file != 3, "a bug");
        let _ = for_each_block(&inputs, 2, work, |_, ()| Ok::<(), ()>(()));
    }
}
