//! The tasks of a run, by number.

use super::task_state::TaskState;
use crate::TaskId;
use std::ops::{Index, IndexMut};

/// Tasks per chunk. Chunks never move when tasks are added: growing one vector to a hundred
/// thousand tasks would spend more time on copying than on the tasks.
const CHUNK: usize = 1_024;

/// The tasks of a run, by number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tasks<T = TaskState> {
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Tasks<T> {
    fn default() -> Self {
        Self { chunks: vec![] }
    }
}

impl<T> Tasks<T> {
    pub(super) fn len(&self) -> usize {
        match self.chunks.as_slice() {
            [] => 0,
            [full @ .., last] => full.len() * CHUNK + last.len(),
        }
    }

    /// Adds a task; its number is the number of tasks before it.
    pub(super) fn push(&mut self, task: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(task),
            // The first chunk grows by doubling, because most runs have few tasks.
            None => self.chunks.push(vec![task]),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(task);
                self.chunks.push(chunk);
            }
        }
    }

    pub(super) fn get(&self, id: TaskId) -> Option<&T> {
        self.chunks.get(id.index() / CHUNK)?.get(id.index() % CHUNK)
    }

    pub(super) fn get_mut(&mut self, id: TaskId) -> Option<&mut T> {
        self.chunks
            .get_mut(id.index() / CHUNK)?
            .get_mut(id.index() % CHUNK)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, &T)> {
        self.chunks
            .iter()
            .flatten()
            .enumerate()
            .map(|(index, task)| (TaskId(index as u32), task))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }
}

impl<T> Index<TaskId> for Tasks<T> {
    type Output = T;

    fn index(&self, id: TaskId) -> &T {
        &self.chunks[id.index() / CHUNK][id.index() % CHUNK]
    }
}

impl<T> IndexMut<TaskId> for Tasks<T> {
    fn index_mut(&mut self, id: TaskId) -> &mut T {
        &mut self.chunks[id.index() / CHUNK][id.index() % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_number() {
        let mut tasks = Tasks::default();
        assert_eq!((tasks.len(), tasks.get(TaskId(0))), (0, None));
        let many = 2 * CHUNK as u32 + 7;
        (0..many).for_each(|number| tasks.push(number));
        assert_eq!(tasks.len(), many as usize);
        assert!((0..many).all(|number| tasks[TaskId(number)] == number));
        assert!(
            tasks
                .iter()
                .map(|(id, number)| (id.0, *number))
                .eq((0..many).map(|number| (number, number)))
        );
        assert_eq!(tasks.get(TaskId(many)), None);
    }
}
