//! Questions that wait for an answer: their default, and the end of their time.
//!
//! The time of a question counts from the event that recorded it, also over resumes. It does not
//! end while the run replays or is parked, because a flow gets no new outcomes then.

use super::{AttemptEnd, Run, Stage, TaskStage};
use crate::budget::Unanswered;
use crate::event::{AnsweredBy, Suspension};
use crate::{AttemptId, Event, Failure, FailureClass, Outcome, TaskId, Timestamp};

impl Run {
    /// The answers of questions whose time has passed.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<Event> {
        if self.stage != Stage::Running {
            return vec![];
        }
        let due = self.expiries.iter().take_while(|(due, _)| *due <= now);
        due.filter(|(_, attempt)| self.is_open(attempt.task))
            .flat_map(|(_, attempt)| self.expire(*attempt, now))
            .collect()
    }

    fn expire(&self, attempt: AttemptId, now: Timestamp) -> Vec<Event> {
        let Some(suspension) = &self.tasks[attempt.task].suspension else {
            return vec![];
        };
        let events = self.default_of(attempt, suspension, AnsweredBy::Timeout, now);
        if !events.is_empty() {
            return events;
        }
        let waited = suspension.timeout.unwrap_or_default();
        let failure = Failure::new(
            FailureClass::Timeout,
            format!("there was no answer within {waited}, and it has no default"),
        )
        .hint("give it a `default`, or more time");
        // Not by the retry policy, which would ask again.
        let mut ended = self.ended_unanswered(attempt, failure.clone());
        if let Event::AttemptEnded { answered_by, .. } = &mut ended {
            *answered_by = Some(AnsweredBy::Timeout);
        }
        vec![
            ended,
            Event::TaskEnded {
                task: attempt.task,
                outcome: Outcome::Failed(failure),
            },
        ]
    }

    /// When the next question stops waiting for its answer.
    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        let mut open = self
            .expiries
            .iter()
            .filter(|(_, attempt)| self.stage == Stage::Running && self.is_open(attempt.task));
        open.next().map(|(due, _)| *due)
    }

    pub(super) fn take_default(&self, task: TaskId, now: Timestamp) -> Vec<Event> {
        let Some(state) = self
            .task(task)
            .filter(|_| self.stage == Stage::Running && self.is_open(task))
        else {
            return vec![];
        };
        match (&state.stage, &state.suspension) {
            (TaskStage::Suspended(attempt), Some(suspension)) => {
                self.default_of(*attempt, suspension, AnsweredBy::Default, now)
            }
            _ => vec![],
        }
    }

    /// Ends a question with its default, or answers that of an agent, which goes on; nothing, if it
    /// has none.
    fn default_of(
        &self,
        attempt: AttemptId,
        suspension: &Suspension,
        by: AnsweredBy,
        now: Timestamp,
    ) -> Vec<Event> {
        let Some(default) = &suspension.default else {
            return vec![];
        };
        if suspension.goes_on {
            return self.answer(attempt.task, default.clone(), now);
        }
        let end = AttemptEnd {
            answered_by: Some(by),
            // The suspended work is abandoned, so it counts as its remaining reservation.
            unanswered: Some(Unanswered::UNKNOWN),
            ..AttemptEnd::of(Ok(default.clone()))
        };
        self.attempt_ended(attempt, end, now)
    }
}
