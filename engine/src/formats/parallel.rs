//! Work on many things, shared among the processors.

use std::{collections::VecDeque, thread};

/// Works on things while more of them are brought: `bring` has a function that takes them, and `done` gets what became of
/// them, in their order. Few are in work at once, so that what is brought faster waits.
pub(super) fn stream<T: Send, R: Send, B>(
    bring: impl FnOnce(&mut dyn FnMut(T)) -> B,
    work: impl Fn(T) -> R + Sync,
    mut done: impl FnMut(R),
) -> B {
    let n_threads = thread::available_parallelism().map_or(1, |n| n.get());
    let work = &work;
    thread::scope(|scope| {
        let mut in_work = VecDeque::new();
        let brought = bring(&mut |thing| {
            in_work.push_back(scope.spawn(move || work(thing)));
            if in_work.len() > n_threads {
                in_work.pop_front().map(join).into_iter().for_each(&mut done);
            }
        });
        in_work.into_iter().map(join).for_each(done);
        brought
    })
}

fn join<R>(thread: thread::ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
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
