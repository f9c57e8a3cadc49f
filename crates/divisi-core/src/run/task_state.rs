//! The state of one task.

use super::siblings;
use crate::budget::{Grant, Spent, TurnBound};
use crate::climb::{Climb, climb};
use crate::event::{AnsweredBy, Suspension, TaskFacts, Worktree};
use crate::outcome::Remedy;
use crate::retry::Tries;
use crate::{
    AttemptId, Content, Digest, Failure, FailureClass, Key, Outcome, PicoUsd, TaskId, Timestamp,
    Usage,
};
use std::collections::BTreeMap;
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
    pub(super) next_turn: Option<TurnBound>,
    /// Number of rungs whose results a check has refused.
    pub(super) rung: u32,
    /// Attempts on this rung that found the model unavailable.
    pub(super) outages: u32,
    /// Whether the vendor refused it for want of quota and has not replied since.
    pub(super) out_of_quota: bool,
    pub(super) findings: Option<Content>,
    pub(super) model: Option<Arc<str>>,
    pub(super) usage: Usage,
    pub(super) spent: Spent,
    /// Tools that its agents called without permission: the permission each needs, and how often.
    /// Bounded by the number of tools.
    pub(super) refused_tools: BTreeMap<Arc<str>, (Arc<str>, u32)>,
    /// The worktrees kept from its attempts.
    pub(super) worktrees: Vec<Worktree>,
    /// What its suspended attempt waits for.
    pub(super) suspension: Option<Suspension>,
    /// What answered its latest question.
    pub(super) answered_by: Option<AnsweredBy>,
    /// What its next attempt continues with.
    pub(super) session: Session,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) sibling: siblings::Place,
}

/// The stage of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskStage {
    /// Known from an earlier execution, and not requested in the current one.
    Unclaimed,
    /// May start as soon as a slot and budget are available.
    Ready,
    /// May start from this moment on.
    Resting(Timestamp),
    /// This attempt is in flight.
    InFlight(AttemptId),
    /// This attempt is suspended.
    Suspended(AttemptId),
    /// Its attempt has ended; what follows is not recorded yet.
    Between,
    /// It has an outcome.
    Ended {
        /// The outcome.
        outcome: Outcome,
        /// Number of outcomes that the run had before it. A replay answers the flow's calls in this
        /// order, so that the flow takes the same branches.
        order: u32,
    },
}

/// What an attempt leaves to the next one, outside of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    /// Handle of its work: JSON text that only its executor reads.
    pub handle: Option<Content>,
    /// The answer it got while suspended: JSON text.
    pub answer: Option<Content>,
}

/// A recorded reply that a later attempt uses instead of a new request.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptTurn {
    /// Identity of the request.
    pub request: Digest,
    /// The reply: JSON text.
    pub reply: Content,
    /// The model asked. Each model has a conversation of its own, and their turns may be
    /// interleaved.
    pub model: Option<Arc<str>>,
    /// Results of the tools it called, if they were executed: JSON text.
    pub tool_results: Option<Content>,
    /// Number of attempts in a row that crashed before they had these results. After the second the
    /// calls themselves are the likely cause.
    pub deaths: u32,
}

impl TaskState {
    /// Attempts that may find a model unavailable before a fallback replaces it. The second one
    /// shows that it is not a short failure.
    pub const OUTAGES_MAX: u32 = 2;

    /// Its identity.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Which one it is among tasks with the same key, from 0.
    pub fn occurrence(&self) -> u32 {
        self.occurrence
    }

    /// Label, phase, models and the like, as last recorded.
    pub fn facts(&self) -> &TaskFacts {
        &self.facts
    }

    /// The whole task as JSON text.
    pub fn spec(&self) -> &Content {
        &self.spec
    }

    /// Its stage.
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
            | TaskStage::Suspended(_)
            | TaskStage::Between => None,
        }
    }

    /// How many attempts have started.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The replies that a later attempt can use again. The last one may have ended its attempt, so
    /// that nothing is left to request.
    pub fn kept_turns(&self) -> &[KeptTurn] {
        &self.turns
    }

    /// Total number of replies.
    pub fn turns_total(&self) -> u32 {
        self.turns_total
    }

    /// The model named by its latest reply, or else the model of its latest attempt.
    pub fn model(&self) -> Option<&Arc<str>> {
        self.model.as_ref()
    }

    /// Number of models of its ladder whose results a check has refused.
    pub fn rung(&self) -> u32 {
        self.rung
    }

    /// Findings of its check about the latest result.
    pub fn findings(&self) -> Option<&Content> {
        self.findings.as_ref()
    }

    /// Tokens of all its attempts.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Cost of all its attempts.
    pub fn cost(&self) -> PicoUsd {
        self.spent.total()
    }

    /// The same, by how sure it is.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Tools that its agents called without permission, the permission each needs, and how often.
    pub fn refused_tools(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, u32)> {
        self.refused_tools
            .iter()
            .map(|(tool, (permission, count))| (tool, permission, *count))
    }

    /// What its suspended attempt waits for.
    pub fn suspension(&self) -> Option<&Suspension> {
        self.suspension.as_ref()
    }

    /// What answered the question of its last ended attempt; `None` if that had none.
    pub fn answered_by(&self) -> Option<AnsweredBy> {
        self.answered_by
    }

    /// What its next attempt continues with, if its executor can.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The worktrees kept from its attempts, because files in them have changed.
    pub fn worktrees(&self) -> &[Worktree] {
        &self.worktrees
    }

    /// When its latest attempt started.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// When it got its outcome.
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.ended_at
    }

    /// Applies the end of an attempt to the next one.
    pub(super) fn follow_up(
        &mut self,
        at: Timestamp,
        failure: Option<&Failure>,
        next_turn: Option<TurnBound>,
        findings: Option<&Content>,
        was_suspended: bool,
    ) {
        let place = self.next_place();
        if failure.is_none_or(|failure| failure.class == FailureClass::Check) {
            // An attempt without a result keeps the findings of the one before.
            self.findings = findings.cloned();
        }
        // Until a reply comes, the next attempt must afford the same request.
        self.next_turn = next_turn.or(self.next_turn);
        if failure.is_none_or(|failure| !leaves_a_session(failure.class)) {
            self.session = Session::default();
        }
        match failure {
            None => {}
            // It continues with the answer it waited for.
            Some(_) if self.session.answer.is_some() && was_suspended => {}
            Some(failure) if failure.class == FailureClass::Check => {
                // The task starts again on the next rung; a conversation never changes its model.
                self.rung += 1;
                self.outages = 0;
                self.turns = vec![];
                self.next_turn = None;
            }
            // An interruption by a budget is neither a failure nor a wait for a vendor.
            Some(_) if next_turn.is_some() => {}
            Some(failure) => {
                self.tries = self
                    .facts
                    .retry_policy()
                    .after(self.tries, failure.class, at);
                self.outages += u32::from(failure.class.is_outage());
                self.out_of_quota |= failure.class == FailureClass::Quota;
            }
        }
        self.forget_next_turn_unless_at(place);
    }

    /// Resets the task for a later execution: all retries are available, and the replaced model is
    /// tried again.
    pub(super) fn reopen(&mut self) {
        let place = self.next_place();
        self.tries = Tries::default();
        self.outages = 0;
        self.out_of_quota = false;
        if matches!(self.stage, TaskStage::Ended { .. }) {
            // A task that had failed starts on the first rung again.
            self.rung = 0;
            self.findings = None;
            self.session = Session::default();
            self.refused_tools.clear();
        }
        self.forget_next_turn_unless_at(place);
        self.stage = TaskStage::Unclaimed;
        self.ended_at = None;
    }

    /// The bound and the session of one model do not apply to another.
    fn forget_next_turn_unless_at(&mut self, place: usize) {
        if self.next_place() != place {
            self.next_turn = None;
            self.session = Session::default();
        }
    }

    /// The model of its next attempt.
    pub(super) fn next_model(&self) -> Option<&Arc<str>> {
        let TaskFacts {
            models, fallbacks, ..
        } = &*self.facts;
        models.iter().chain(fallbacks).nth(self.next_place())
    }

    /// The index of that model among its ladder and its fallbacks.
    pub(super) fn next_place(&self) -> usize {
        let TaskFacts {
            models, fallbacks, ..
        } = &*self.facts;
        let stand_ins = (self.outages / Self::OUTAGES_MAX) as usize;
        match stand_ins.min(fallbacks.len()) {
            0 => (self.rung as usize).min(models.len().saturating_sub(1)),
            stand_in => models.len() + stand_in - 1,
        }
    }

    /// Whether a stronger model is left if its check refuses the next result.
    pub fn can_climb(&self) -> bool {
        matches!(
            climb(self.rung as usize, self.facts.models.len(), false, false),
            Climb::Next(_)
        )
    }

    /// The bound of the first new request of its next attempt.
    ///
    /// That is either the request it waits to afford or the very first one, because kept replies
    /// may turn out to be unusable. The reservation must cover either.
    pub(super) fn bound(&self) -> TurnBound {
        let firsts = &self.facts.first_turns;
        let first = match self.facts.cost_max {
            // At least one unit, so that an empty budget is not enough.
            Some(_) if self.facts.unbounded => TurnBound::fixed(self.own_left().max(PicoUsd(1))),
            _ => firsts
                .get(self.next_place())
                .or(firsts.last())
                .copied()
                .unwrap_or_default(),
        };
        self.next_turn.map_or(first, |next| first.or(next))
    }

    /// What is left of its own budget.
    pub(super) fn own_left(&self) -> PicoUsd {
        self.facts
            .cost_max
            .map_or(PicoUsd::MAX, |most| most.saturating_sub(self.spent.total()))
    }

    /// The reservation of its next attempt, by its own budget alone; `None` if that is used up.
    ///
    /// Never less than the reservation of the request it waits to afford, for which the budget may
    /// allow a longer reply than for the combined bound: otherwise that request would be refused,
    /// and the attempt would start again and again.
    pub(super) fn wanted(&self) -> Option<Grant> {
        let own_left = self.own_left();
        let grant = self.bound().fit(own_left)?;
        let next = self
            .next_turn
            .and_then(|next| next.fit(own_left))
            .unwrap_or(grant);
        Some(Grant {
            reserved: grant.reserved.max(next.reserved),
            ..grant
        })
    }

    /// The id of its next attempt.
    pub(super) fn next_attempt(&self, id: TaskId) -> AttemptId {
        AttemptId {
            task: id,
            number: self.attempts + 1,
        }
    }
}

/// Whether a later attempt can continue the work of one that ended like this: yes after an outside
/// cause, but not if the work itself may hang or be broken.
fn leaves_a_session(class: FailureClass) -> bool {
    match class.remedy() {
        Remedy::Wait | Remedy::Repeat | Remedy::Park => true,
        Remedy::Retry => class.is_outage() || class == FailureClass::Network,
        Remedy::GiveUp => false,
    }
}
