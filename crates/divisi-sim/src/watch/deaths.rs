//! Counts how often in a row the process died before the tool calls of a reply had results.

use super::ensure;
use divisi_core::{Event, FailureClass, Run, TaskId};
use std::collections::BTreeMap;
use std::sync::Arc;

type Model = Option<Arc<str>>;

/// Counts deaths from events alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Deaths {
    /// The model of each task's latest attempt.
    asked: BTreeMap<TaskId, Model>,
    /// Deaths by the reply that waits for results: the last one of a task's model.
    waiting: BTreeMap<(TaskId, Model), u32>,
}

impl Deaths {
    pub(super) fn book(&mut self, event: &Event) {
        match event {
            Event::AttemptScheduled { attempt, model, .. } => {
                self.asked.insert(attempt.task, model.clone());
            }
            Event::TurnEnded { attempt, .. } => {
                self.waiting.insert(self.reply(attempt.task), 0);
            }
            Event::TurnScheduled {
                attempt,
                tool_results: Some(_),
                ..
            } => {
                self.waiting.remove(&self.reply(attempt.task));
            }
            Event::AttemptEnded {
                attempt,
                failure,
                tool_results,
                ..
            } => {
                let class = failure.as_ref().map(|failure| failure.class);
                let reply = self.reply(attempt.task);
                if tool_results.is_some() {
                    self.waiting.remove(&reply);
                } else if let Some(deaths) = self.waiting.get_mut(&reply) {
                    *deaths = if class == Some(FailureClass::Lost) {
                        *deaths + 1
                    } else {
                        0
                    };
                }
                if class == Some(FailureClass::Check) {
                    self.forget(attempt.task);
                }
            }
            Event::TaskEnded { task, .. } => self.forget(*task),
            _ => {}
        }
    }

    /// Checks that the run's count for the task equals the watcher's.
    pub(super) fn agree(&self, run: &Run, id: TaskId) -> Result<(), String> {
        let turns = run
            .task(id)
            .map(|task| task.kept_turns())
            .unwrap_or_default();
        for ((task, model), deaths) in self
            .waiting
            .range((id, None)..)
            .take_while(|((task, _), _)| *task == id)
        {
            let Some(turn) = turns.iter().rev().find(|turn| turn.model == *model) else {
                continue;
            };
            ensure!(
                turn.deaths == *deaths,
                "{task} counts {} deaths, not {deaths}",
                turn.deaths
            );
        }
        Ok(())
    }

    fn reply(&self, task: TaskId) -> (TaskId, Model) {
        (task, self.asked.get(&task).cloned().flatten())
    }

    fn forget(&mut self, id: TaskId) {
        let of_task = self
            .waiting
            .range((id, None)..)
            .map(|(reply, _)| reply.clone());
        let gone: Vec<_> = of_task.take_while(|(task, _)| *task == id).collect();
        for reply in gone {
            self.waiting.remove(&reply);
        }
    }
}
