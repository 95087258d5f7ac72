//! What was used last, as much as fits in memory.

/// Things in the order in which they were last used; what was not used for longest goes first.
pub(super) struct Recent<T> {
    /// What was used last comes last.
    things: Vec<T>,
    max_bytes: usize,
    /// So many are kept whatever their size.
    n_always: usize,
    bytes: fn(&T) -> usize,
}

impl<T> Recent<T> {
    /// Empty; `bytes` is the memory of one.
    pub(super) fn new(max_bytes: usize, n_always: usize, bytes: fn(&T) -> usize) -> Self {
        Self { things: Vec::new(), max_bytes, n_always, bytes }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.things.iter()
    }

    /// Takes one out, to be used and put back.
    pub(super) fn take(&mut self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        Some(self.things.remove(self.things.iter().position(is_it)?))
    }

    /// Puts in the one that is used now, which makes no room for itself alone.
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
    fn what_was_not_used_for_longest_goes_when_there_is_no_room() {
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
