//! What is to be done, and what waits for what.

use divisi_core::plan::priorities;

/// Tasks by their place, and who waits for whom, in arrays.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    /// Those that wait for a task stand together; where they begin, and where the last ones end.
    begin: Vec<u32>,
    followers: Vec<u32>,
    /// How many others each one waits for.
    pub(super) waits: Vec<u32>,
    /// How long the longest chain is that waits for it, in tasks: the order in
    /// which a run starts those that may start.
    pub(super) priority: Vec<u32>,
    /// Which ones are programs; empty where none is.
    is_program: Vec<bool>,
}

impl Tasks {
    /// Tasks that wait for those at the places that `waits` says; these are
    /// smaller than their own. There are no more than `u32` counts.
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

    /// The same where programs on this machine carry out some of them.
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

    /// How many there are.
    pub fn count(&self) -> usize {
        self.waits.len()
    }

    pub(super) fn is_program(&self, task: usize) -> bool {
        self.is_program.get(task).is_some_and(|is| *is)
    }

    /// Those that wait for this one.
    pub(super) fn followers(&self, task: usize) -> &[u32] {
        &self.followers[self.begin[task] as usize..self.begin[task + 1] as usize]
    }
}
