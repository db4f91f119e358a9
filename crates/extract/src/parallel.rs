//! Work on numbered parts by several threads, whose results are taken in the order of the parts.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

/// Has `work` done for each part by some thread, and hands the results to `consume` on the calling
/// thread, in their order. At most two parts a worker are under way or wait to be consumed, which
/// bounds the memory. Stops at the first error.
pub(crate) fn in_order<T: Send>(
    parts: usize,
    workers: usize,
    work: impl Fn(usize) -> io::Result<T> + Sync,
    mut consume: impl FnMut(T) -> io::Result<()>,
) -> io::Result<()> {
    let (task_sender, tasks) = channel::<usize>();
    let (done_sender, done) = channel();
    let tasks = Mutex::new(tasks);
    thread::scope(|scope| {
        // Without it, at the end of this, the workers see that no more comes.
        let task_sender = task_sender;
        for _ in 0..workers {
            let done_sender = done_sender.clone();
            let (tasks, work) = (&tasks, &work);
            scope.spawn(move || {
                // A poisoned lock means that another worker panicked.
                let next = || tasks.lock().ok()?.recv().ok();
                while let Some(part) = next() {
                    // A panic goes to the caller: without it the caller would wait for ever.
                    let result = catch_unwind(AssertUnwindSafe(|| work(part)));
                    if done_sender.send((part, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done_sender);
        let mut given = 0;
        let mut early = BTreeMap::new();
        for taken in 0..parts {
            while given < parts && given < taken + 2 * workers {
                // The workers are there as long as this sender is.
                let _ = task_sender.send(given);
                given += 1;
            }
            let result = loop {
                if let Some(result) = early.remove(&taken) {
                    break result;
                }
                match done.recv() {
                    Ok((part, result)) => _ = early.insert(part, result),
                    Err(_) => return Err(io::Error::other("all workers are gone")),
                }
            };
            match result {
                Ok(result) => consume(result?)?,
                Err(panic) => resume_unwind(panic),
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_an_error_ends_it() {
        let mut seen = Vec::new();
        let work = |part: usize| {
            // Later parts are done sooner.
            thread::sleep(std::time::Duration::from_micros(100 * (20 - part as u64)));
            Ok(part)
        };
        in_order(20, 3, work, |part| {
            seen.push(part);
            Ok(())
        })
        .expect("done");
        assert!(seen.iter().copied().eq(0..20));
        let fails = |part| match part {
            7 => Err(io::Error::other("odd")),
            part => Ok(part),
        };
        let mut taken = 0;
        let outcome = in_order(20, 3, fails, |_| {
            taken += 1;
            Ok(())
        });
        assert_eq!(outcome.expect_err("an error").to_string(), "odd");
        assert_eq!(taken, 7);
    }
}
