//! What a run knows of one task.

use super::siblings;
use super::waiting::Place;
use crate::budget::{Grant, Spent, TurnBound};
use crate::climb::{Climb, climb};
use crate::event::{Suspension, TaskFacts, Worktree};
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
    /// How many rungs of its ladder a check has refused.
    pub(super) rung: u32,
    /// Attempts on this rung that found the model out of order.
    pub(super) outages: u32,
    /// Whether the vendor has refused it for want of quota, and given no result since.
    pub(super) out_of_quota: bool,
    pub(super) findings: Option<Content>,
    pub(super) model: Option<Arc<str>>,
    pub(super) usage: Usage,
    pub(super) spent: Spent,
    /// Tools that its agents called and the run does not permit: the permission
    /// each takes, and how often. No more than there are tools.
    pub(super) refused_tools: BTreeMap<Arc<str>, (Arc<str>, u32)>,
    /// Of its attempts, those that were kept.
    pub(super) worktrees: Vec<Worktree>,
    /// What its attempt waits for, while that is suspended.
    pub(super) suspension: Option<Suspension>,
    /// What its next attempt goes on with.
    pub(super) session: Session,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) sibling: siblings::Place,
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
    /// This attempt waits for something outside of the process.
    Suspended(AttemptId),
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

/// What an attempt leaves to the next one, outside of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Session {
    /// By what its work is found again: JSON text that only its executor reads.
    pub handle: Option<Content>,
    /// What came for it while it was suspended: JSON text.
    pub answer: Option<Content>,
}

/// A reply that a later attempt need not ask for again.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptTurn {
    /// Identity of the request.
    pub request: Digest,
    /// The reply: JSON text.
    pub reply: Content,
    /// The model that was asked. Each has a conversation of its own, and they
    /// may lie between each other.
    pub model: Option<Arc<str>>,
    /// Results of the tools it called, if they have run: JSON text.
    pub tool_results: Option<Content>,
    /// How many attempts in a row have died with their process before they had
    /// these results. The second says that the calls themselves may be why.
    pub deaths: u32,
}

impl TaskState {
    /// Attempts that may find a model out of order before another one of the
    /// fallback list takes its place. The second is the proof that it was no hiccup.
    pub const OUTAGES_MAX: u32 = 2;

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
            | TaskStage::Suspended(_)
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

    /// How many models of its ladder have been refused by its check.
    pub fn rung(&self) -> u32 {
        self.rung
    }

    /// What its check had against its latest result.
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

    /// The same by how sure it is.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Tools that its agents called and the run does not permit, the permission
    /// that each takes, and how often it was called.
    pub fn refused_tools(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, u32)> {
        self.refused_tools
            .iter()
            .map(|(tool, (permission, count))| (tool, permission, *count))
    }

    /// What it waits for outside of the process, while its attempt is suspended.
    pub fn suspension(&self) -> Option<&Suspension> {
        self.suspension.as_ref()
    }

    /// What its next attempt goes on with, where what carries it out can do so.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The worktrees of its attempts that were kept, because there is work in them.
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

    /// What an ended attempt means for the next one.
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
            // An attempt without a result leaves what is known of the one before.
            self.findings = findings.cloned();
        }
        // Until a reply comes, it waits for the same request, whatever goes wrong.
        self.next_turn = next_turn.or(self.next_turn);
        if failure.is_none_or(|failure| !leaves_a_session(failure.class)) {
            self.session = Session::default();
        }
        match failure {
            None => {}
            // It goes on with what it has waited for.
            Some(_) if self.session.answer.is_some() && was_suspended => {}
            Some(failure) if failure.class == FailureClass::Check => {
                // The task starts again on the next rung; no conversation changes its model.
                self.rung += 1;
                self.outages = 0;
                self.turns = vec![];
                self.next_turn = None;
            }
            // What a budget interrupts, nobody has failed or waited at.
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

    /// Begins afresh in a later execution: with all its tries, and on the model
    /// that others have stood in for.
    pub(super) fn reopen(&mut self) {
        let place = self.next_place();
        self.tries = Tries::default();
        self.outages = 0;
        self.out_of_quota = false;
        if matches!(self.stage, TaskStage::Ended { .. }) {
            // Given another chance, it begins at the foot of its ladder.
            self.rung = 0;
            self.findings = None;
            self.session = Session::default();
            self.refused_tools.clear();
        }
        self.forget_next_turn_unless_at(place);
        self.stage = TaskStage::Unclaimed;
        self.ended_at = None;
    }

    /// What one model was to be asked next says nothing of another.
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

    /// The place of that model among those of its ladder and its fallbacks.
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

    /// Whether a stronger model is left to ask if its check refuses the next result.
    pub fn can_climb(&self) -> bool {
        matches!(
            climb(self.rung as usize, self.facts.models.len(), false, false),
            Climb::Next(_)
        )
    }

    /// What the first new request of its next attempt may cost.
    ///
    /// That is the one it is known to wait for, or the very first: kept replies
    /// may be of no use. So whatever room is granted is covered for either.
    pub(super) fn bound(&self) -> TurnBound {
        let firsts = &self.facts.first_turns;
        let first = match self.facts.cost_max {
            // Nothing left is not enough.
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

    /// What its next attempt reserves where only its own budget counts; `None`
    /// where that is used up.
    ///
    /// Never less than the request that it waits for will want by itself, for which
    /// its own budget may hold a longer reply than for either of two: it would be
    /// turned down, and the attempt begin again and again.
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

    /// What its place among those that wait depends on.
    pub(super) fn place(&self, id: TaskId) -> Place<'_> {
        // One that can only fail reserves nothing.
        let cost = self.least().unwrap_or_default();
        let TaskFacts {
            priority,
            phase,
            is_program,
            ..
        } = &*self.facts;
        Place {
            id,
            priority: *priority,
            cost,
            phase: phase.as_ref(),
            is_program: *is_program,
        }
    }

    /// The name of its next attempt.
    pub(super) fn next_attempt(&self, id: TaskId) -> AttemptId {
        AttemptId {
            task: id,
            number: self.attempts + 1,
        }
    }
}

/// Whether an attempt that ended like this can be gone on with: what has ended for a
/// reason outside of it, but not what may hang or be broken by itself.
fn leaves_a_session(class: FailureClass) -> bool {
    match class.remedy() {
        Remedy::Wait | Remedy::Repeat | Remedy::Park => true,
        Remedy::Retry => class.is_outage() || class == FailureClass::Network,
        Remedy::GiveUp => false,
    }
}
