//! Work on many things, shared among the processors.

use std::{sync::mpsc, thread};

/// Works on things while more of them are brought: `bring` has a function that takes them, and `done` gets what became of
/// them, in their order. Few are in work at once, so that what is brought faster waits.
pub(super) fn stream<T: Send, R: Send, B>(
    bring: impl FnOnce(&mut dyn FnMut(T)) -> B,
    work: impl Fn(T) -> R + Sync,
    mut done: impl FnMut(R),
) -> B {
    /// For each worker: one in work, one that waits.
    const AHEAD: usize = 2;
    let work = &work;
    thread::scope(|scope| {
        let n_workers = thread::available_parallelism().map_or(1, |n| n.get());
        let worker = |_| {
            let (things, to_do) = mpsc::sync_channel(AHEAD);
            let (results, is_done) = mpsc::sync_channel(AHEAD);
            scope.spawn(move || to_do.into_iter().try_for_each(|thing| results.send(work(thing))));
            (things, is_done)
        };
        let workers: Vec<_> = (0..n_workers).map(worker).collect();
        let (mut n_brought, mut n_done) = (0, 0);
        // A worker that ended early has panicked, as then the scope does at its end.
        let mut finish_one = |n_done: &mut usize| {
            workers[*n_done % n_workers].1.recv().into_iter().for_each(&mut done);
            *n_done += 1;
        };
        let brought = bring(&mut |thing| {
            if n_brought - n_done == AHEAD * n_workers {
                finish_one(&mut n_done);
            }
            workers[n_brought % n_workers].0.send(thing).ok();
            n_brought += 1;
        });
        while n_done < n_brought {
            finish_one(&mut n_done);
        }
        brought
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_stays() {
        for n in [0, 1, 63, 64, 1000, 1001] {
            let things: Vec<usize> = (0..n).collect();
            let twice: Vec<usize> = things.iter().map(|i| i * 2).collect();
            let mut streamed = Vec::new();
            let n_brought = stream(
                |take| {
                    things.iter().for_each(|i| take(*i));
                    n
                },
                |i| i * 2,
                |i| streamed.push(i),
            );
            assert_eq!((n_brought, streamed), (n, twice));
        }
    }
}
