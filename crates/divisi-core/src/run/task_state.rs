//! What a run knows of one task.

use super::waiting::Place;
use crate::event::TaskFacts;
use crate::retry::Tries;
use crate::{AttemptId, Content, Digest, Key, Outcome, PicoUsd, TaskId, Timestamp, Usage};
use std::sync::Arc;

/// One task of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskState {
    pub(super) key: Key,
    pub(super) occurrence: u32,
    pub(super) facts: Arc<TaskFacts>,
    pub(super) spec: Content,
    pub(super) stage: TaskStage,
    pub(super) claimed_in: u32,
    pub(super) attempts: u32,
    pub(super) tries: Tries,
    pub(super) turns: Vec<KeptTurn>,
    pub(super) turns_total: u32,
    pub(super) next_turn_max: PicoUsd,
    pub(super) model: Option<Arc<str>>,
    pub(super) usage: Usage,
    pub(super) cost: PicoUsd,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskStage {
    /// Known from an earlier execution; the current one has not asked for it.
    Unclaimed,
    /// May start as soon as there is room.
    Ready,
    /// May start from this moment on.
    Resting(Timestamp),
    /// This attempt is under way.
    InFlight(AttemptId),
    /// Its attempt has ended; what follows is not recorded yet.
    Between,
    /// It has an outcome.
    Ended {
        /// The outcome.
        outcome: Outcome,
        /// How many outcomes the run had before it. A replay answers the
        /// flow's calls in this order, so that it takes the same branches.
        order: u32,
    },
}

/// A reply that a later attempt need not ask for again.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptTurn {
    /// Identity of the request.
    pub request: Digest,
    /// The reply: JSON text.
    pub reply: Content,
    /// Results of the tools it called, if they have run: JSON text.
    pub tool_results: Option<Content>,
}

impl TaskState {
    /// Its identity.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Which one it is among tasks with the same key, from 0.
    pub fn occurrence(&self) -> u32 {
        self.occurrence
    }

    /// Label, phase, models and the like, as last said.
    pub fn facts(&self) -> &TaskFacts {
        &self.facts
    }

    /// The whole task as JSON text.
    pub fn spec(&self) -> &Content {
        &self.spec
    }

    /// Where it stands.
    pub fn stage(&self) -> &TaskStage {
        &self.stage
    }

    /// Its outcome, once it has one.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.stage {
            TaskStage::Ended { outcome, .. } => Some(outcome),
            TaskStage::Unclaimed
            | TaskStage::Ready
            | TaskStage::Resting(_)
            | TaskStage::InFlight(_)
            | TaskStage::Between => None,
        }
    }

    /// How many attempts have started.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Replies of its attempts so far that can be used again. The last may have
    /// been an attempt's last, so that nothing is left to ask for.
    pub fn kept_turns(&self) -> &[KeptTurn] {
        &self.turns
    }

    /// How many replies it has had in all.
    pub fn turns_total(&self) -> u32 {
        self.turns_total
    }

    /// The model that its latest reply named, or else the one it was sent to.
    pub fn model(&self) -> Option<&Arc<str>> {
        self.model.as_ref()
    }

    /// Tokens of all its attempts.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Cost of all its attempts.
    pub fn cost(&self) -> PicoUsd {
        self.cost
    }

    /// When its latest attempt started.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// When it got its outcome.
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.ended_at
    }

    /// What the first turn of its next attempt may cost.
    pub(super) fn reservation(&self) -> PicoUsd {
        self.facts.first_turn_max.max(self.next_turn_max)
    }

    /// What its place among those that wait depends on.
    pub(super) fn place(&self, id: TaskId) -> Place {
        Place { id, priority: self.facts.priority, cost: self.reservation() }
    }

    /// The name of its next attempt.
    pub(super) fn next_attempt(&self, id: TaskId) -> AttemptId {
        AttemptId { task: id, number: self.attempts + 1 }
    }
}
