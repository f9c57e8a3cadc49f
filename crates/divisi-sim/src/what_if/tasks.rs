//! Tasks and their dependencies.

use divisi_core::plan::priorities;

/// Tasks by index, with their dependencies in arrays.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    /// The followers of a task are adjacent; this is where those of each task begin, and the end of
    /// the last.
    begin: Vec<u32>,
    followers: Vec<u32>,
    /// Number of dependencies of each task.
    pub(super) waits: Vec<u32>,
    /// Length of the longest chain that waits for a task, in tasks: the order in which tasks are
    /// started.
    pub(super) priority: Vec<u32>,
    /// For each task whether it is a program; empty if there is none.
    is_program: Vec<bool>,
}

impl Tasks {
    /// `count` tasks, each waiting for those at the indices in `waits`, which must be smaller than
    /// its own. At most `u32::MAX` tasks.
    pub fn new<'w>(count: usize, waits: impl Fn(usize) -> &'w [usize]) -> Self {
        let mut begin = vec![0_u32; count + 1];
        for task in 0..count {
            waits(task).iter().for_each(|before| begin[before + 1] += 1);
        }
        for task in 0..count {
            begin[task + 1] += begin[task];
        }
        let mut followers = vec![0; begin[count] as usize];
        let mut next = begin.clone();
        for task in 0..count {
            for &before in waits(task) {
                followers[next[before] as usize] = task as u32;
                next[before] += 1;
            }
        }
        let priority = priorities(count, &waits);
        let waits = (0..count).map(|task| waits(task).len() as u32).collect();
        Self {
            begin,
            followers,
            waits,
            priority,
            is_program: vec![],
        }
    }

    /// Marks the tasks that are programs on this machine.
    pub fn programs(mut self, is_program: impl Fn(usize) -> bool) -> Self {
        self.is_program = (0..self.count()).map(is_program).collect();
        if !self.is_program.contains(&true) {
            self.is_program.clear();
        }
        self
    }

    /// Whether any of them is a program.
    pub fn has_programs(&self) -> bool {
        !self.is_program.is_empty()
    }

    /// Number of tasks.
    pub fn count(&self) -> usize {
        self.waits.len()
    }

    pub(super) fn is_program(&self, task: usize) -> bool {
        self.is_program.get(task).is_some_and(|is| *is)
    }

    /// The tasks that wait for this one.
    pub(super) fn followers(&self, task: usize) -> &[u32] {
        &self.followers[self.begin[task] as usize..self.begin[task + 1] as usize]
    }
}
