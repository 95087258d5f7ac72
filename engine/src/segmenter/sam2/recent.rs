//! An LRU cache with a limit in bytes.

/// An LRU cache: when it is over its limit, the items used least recently are dropped first.
pub(super) struct Recent<T> {
    /// Items by last use, the most recent last.
    things: Vec<T>,
    max_bytes: usize,
    /// Number of items that are kept regardless of size.
    n_always: usize,
    bytes: fn(&T) -> usize,
}

impl<T> Recent<T> {
    /// Creates an empty cache; `bytes` returns the memory use of an item.
    pub(super) fn new(max_bytes: usize, n_always: usize, bytes: fn(&T) -> usize) -> Self {
        Self { things: Vec::new(), max_bytes, n_always, bytes }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.things.iter()
    }

    /// Removes and returns an item, which the caller puts back after use.
    pub(super) fn take(&mut self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        Some(self.things.remove(self.things.iter().position(is_it)?))
    }

    /// Inserts an item as the most recent, drops others to make room, and keeps the item even if it exceeds the limit
    /// alone.
    pub(super) fn put(&mut self, thing: T) -> &mut T {
        let mut bytes = self.things.iter().chain([&thing]).map(self.bytes).sum::<usize>();
        let mut n_gone = 0;
        while n_gone < self.things.len()
            && self.things.len() - n_gone >= self.n_always
            && bytes > self.max_bytes
        {
            bytes -= (self.bytes)(&self.things[n_gone]);
            n_gone += 1;
        }
        self.things.drain(..n_gone);
        self.things.push(thing);
        let last = self.things.len() - 1;
        &mut self.things[last]
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(&T) -> bool) {
        self.things.retain(is_kept);
    }

    pub(super) fn clear(&mut self) {
        self.things.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_recently_used_items_are_dropped() {
        let mut recent = Recent::new(10, 2, |n: &usize| *n);
        for n in [1, 2, 3, 4] {
            recent.put(n);
        }
        let used = recent.take(|n| *n == 1).unwrap();
        recent.put(used);
        recent.put(3);
        assert_eq!(recent.iter().copied().collect::<Vec<_>>(), [4, 1, 3]);
        recent.put(20);
        assert_eq!(recent.iter().copied().collect::<Vec<_>>(), [3, 20]);
    }
}
