//! Tasks that may start, in the order of a run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A queue of tasks that may start, for simulations and forecasts of a run: longest chain first,
/// then in order of their indices.
///
/// Programs have a queue of their own, because each needs one of the slots of programs beside that
/// of a task: while none is free, all of them are skipped at once, however many wait.
#[derive(Debug)]
pub struct Startable<T> {
    programs: BinaryHeap<(u32, Reverse<T>)>,
    others: BinaryHeap<(u32, Reverse<T>)>,
}

impl<T: Copy + Ord> Startable<T> {
    /// Adds a task that may start now.
    pub fn push(&mut self, task: T, priority: u32, is_program: bool) {
        let line = match is_program {
            true => &mut self.programs,
            false => &mut self.others,
        };
        line.push((priority, Reverse(task)));
    }

    /// Removes the next one, with or without programs.
    pub fn pop(&mut self, with_programs: bool) -> Option<T> {
        let program = self.programs.peek().filter(|_| with_programs);
        let line = match program > self.others.peek() {
            true => &mut self.programs,
            false => &mut self.others,
        };
        line.pop().map(|(_, Reverse(task))| task)
    }

    /// Number of tasks.
    pub fn len(&self) -> usize {
        self.programs.len() + self.others.len()
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.others.is_empty()
    }
}

impl<T: Ord> Default for Startable<T> {
    fn default() -> Self {
        Self {
            programs: BinaryHeap::new(),
            others: BinaryHeap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four tasks: the odd ones are programs, the last two have the longer chain.
    fn four() -> Startable<usize> {
        let mut four = Startable::default();
        for task in 0..4 {
            four.push(task, u32::from(task >= 2), task % 2 == 1);
        }
        four
    }

    #[test]
    fn both_lines_are_one_in_the_order_of_a_run() {
        let mut four = four();
        let order: Vec<usize> = std::iter::from_fn(|| four.pop(true)).collect();
        assert_eq!(order, [2, 3, 0, 1]);
        assert!(four.is_empty());
    }

    #[test]
    fn programs_without_a_slot_are_passed_by() {
        let mut four = four();
        let others: Vec<usize> = std::iter::from_fn(|| four.pop(false)).collect();
        assert_eq!(others, [2, 0]);
        assert_eq!((four.is_empty(), four.pop(true)), (false, Some(3)));
    }
}
