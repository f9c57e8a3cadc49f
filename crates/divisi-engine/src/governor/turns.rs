//! Whose turn it is: first come, first served within a run, and runs in turn.

use std::collections::{BTreeMap, VecDeque};

/// Those who wait, by the run they belong to.
#[derive(Debug)]
pub(super) struct Turns<R, T> {
    waiting: BTreeMap<R, VecDeque<T>>,
    /// Runs with somebody waiting; the first has its turn.
    order: VecDeque<R>,
}

impl<R, T> Default for Turns<R, T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<R: Copy + Ord, T> Turns<R, T> {
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Adds somebody at the end of their run's line.
    pub(super) fn push(&mut self, run: R, waiter: T) {
        let line = self.waiting.entry(run).or_default();
        if line.is_empty() {
            self.order.push_back(run);
        }
        line.push_back(waiter);
    }

    /// Whose turn it is.
    pub(super) fn next(&self) -> Option<&T> {
        self.waiting.get(self.order.front()?)?.front()
    }

    /// Takes out whose turn it is; then it is another run's.
    pub(super) fn take(&mut self) -> Option<T> {
        let run = self.order.pop_front()?;
        let line = self.waiting.get_mut(&run)?;
        let waiter = line.pop_front();
        if line.is_empty() {
            self.waiting.remove(&run);
        } else {
            self.order.push_back(run);
        }
        waiter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_take_turns_and_nobody_is_overtaken_in_their_run() {
        let mut turns = Turns::default();
        for (run, waiter) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (2, "b2"), (3, "c1")] {
            turns.push(run, waiter);
        }
        assert_eq!(turns.next(), Some(&"a1"));
        let order: Vec<_> = std::iter::from_fn(|| turns.take()).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert!(turns.is_empty());
    }
}
