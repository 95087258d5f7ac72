//! Work on many small things, shared among the processors.

use std::thread;

/// Fewer things than this are not worth a thread.
const FEW: usize = 64;

/// What work makes of each thing, in their order.
pub(super) fn map<T: Sync, R: Send>(things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let n_threads = thread::available_parallelism().map_or(1, |n| n.get()).min(things.len() / FEW + 1);
    if n_threads == 1 {
        return things.iter().map(work).collect();
    }
    let work = &work;
    thread::scope(|scope| {
        let parts = things.chunks(things.len().div_ceil(n_threads));
        let threads: Vec<_> =
            parts.map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>())).collect();
        let done = threads.into_iter().map(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.flatten().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_stays() {
        for n in [0, 1, 63, 64, 1000, 1001] {
            let things: Vec<usize> = (0..n).collect();
            assert_eq!(map(&things, |i| i * 2), things.iter().map(|i| i * 2).collect::<Vec<usize>>());
        }
    }
}
