//! Tasks that may start, in the order of a run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Tasks that may start, for whoever foresees a run: the longest chain first, then what
/// stands first.
///
/// Programs have a line of their own, because they need a slot of their own beside that of
/// every task: where none is free, all of them are passed by at once, however many wait.
#[derive(Debug)]
pub struct Startable<T> {
    programs: BinaryHeap<(u32, Reverse<T>)>,
    others: BinaryHeap<(u32, Reverse<T>)>,
}

impl<T: Copy + Ord> Startable<T> {
    /// Takes in a task that may start now.
    pub fn push(&mut self, task: T, priority: u32, is_program: bool) {
        let line = match is_program {
            true => &mut self.programs,
            false => &mut self.others,
        };
        line.push((priority, Reverse(task)));
    }

    /// Takes out the next one; with or without those of programs.
    pub fn pop(&mut self, with_programs: bool) -> Option<T> {
        let program = self.programs.peek().filter(|_| with_programs);
        let line = match program > self.others.peek() {
            true => &mut self.programs,
            false => &mut self.others,
        };
        line.pop().map(|(_, Reverse(task))| task)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.programs.len() + self.others.len()
    }

    /// Whether none may start.
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

    /// Four tasks of which the odd ones are programs; the last two have the longer chain.
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
