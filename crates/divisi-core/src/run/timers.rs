//! Timers of a flow: tasks that have their outcome when a time has passed.
//!
//! They take no slot and no attempt, and are counted only while they are open. Their outcomes are
//! numbered with those of all other tasks, so a replay gives them to the flow in the same order. A
//! timer keeps its time over a resume: it counts from its first request.

use super::{Run, Stage};
use crate::{Content, Event, Outcome, TaskId, Timestamp};

impl Run {
    /// The outcomes of timers whose time has passed. A run that replays or parks gives none.
    pub(super) fn due_timers(&self, now: Timestamp) -> Vec<Event> {
        if self.stage != Stage::Running {
            return vec![];
        }
        let due = self.timers.iter().take_while(|(due, _)| *due <= now);
        let value = || Content::Inline("null".into());
        due.map(|(_, task)| Event::TaskEnded {
            task: *task,
            outcome: Outcome::Ok { value: value() },
        })
        .collect()
    }

    /// The ends of timers that are still open when the flow has ended. They are not finished work,
    /// so a resume starts them again.
    pub(super) fn needless_timers(&self) -> impl Iterator<Item = Event> {
        self.timers.iter().map(|(_, task)| Event::TaskEnded {
            task: *task,
            outcome: Outcome::Skipped {
                reason: "the flow ended first".into(),
            },
        })
    }

    /// When the next timer has its outcome.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        let running = self.stage == Stage::Running;
        let (due, _) = self.timers.first().filter(|_| running)?;
        Some(*due)
    }

    /// The moment at which `task` has its outcome, if it is a timer.
    pub(super) fn due(&self, task: TaskId) -> Option<Timestamp> {
        let task = &self.tasks[task];
        Some(task.started_at? + task.facts.wait?)
    }
}
