//! Makes a batch durable, then performs its effects.

use super::attempt;
use super::inbox::From;
use super::message::{Message, Reply, TaskEnd, TaskReport, Waiter};
use super::{DriveError, Driver, read};
use crate::executor::{Line, Room};
use crate::store::{Batch, Receipt, RunSummary};
use divisi_core::attempt::{Attempt, Known, Spec, Work};
use divisi_core::check::Check;
use divisi_core::content::{Blob, Content};
use divisi_core::run::Session;
use divisi_core::run_loop::Effect;
use divisi_core::{AttemptId, Failure, FailureClass, Isolation, Outcome, TaskId};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The receipt of a message from this process, and where it goes.
type CallerReceipt = (oneshot::Sender<Receipt>, Receipt);

/// Sends the receipts of messages from this process.
fn send_receipts(receipts: Vec<CallerReceipt>) {
    for (caller, receipt) in receipts {
        // Fails if the caller no longer waits.
        let _ = caller.send(receipt);
    }
}

impl Driver {
    /// Makes the batch durable, then performs its effects.
    pub(super) async fn commit(&mut self) -> Result<(), DriveError> {
        // First, because its log lines belong to the same batch.
        self.tell_of_substitutions()?;
        let blobs = std::mem::take(&mut self.blobs);
        let (receipts, callers) = self.receipts();
        if self.runs.batch().is_empty() && receipts.is_empty() {
            send_receipts(callers);
            let answers = self.runs.answers();
            return self.give(answers, &blobs).await.map(drop);
        }
        let summary = RunSummary::of(&self.id, self.runs.run(), self.runs.latest());
        let (position, events) = self.runs.take_batch();
        let batch = Arc::new(Batch {
            run: self.id.clone(),
            position,
            events,
            blobs,
            summary,
            receipts,
        });
        // Effects come only after this line: after a failed append no attempt has started, and no
        // request was sent.
        self.store.append(batch.clone()).await?;
        send_receipts(callers);
        for effect in self.runs.committed(&batch.events) {
            self.perform(effect);
        }
        self.start_polls();
        if !batch.events.is_empty() {
            // Fails only without subscribers.
            let _ = self.bus.send(batch.clone());
        }
        let answers = self.runs.answers();
        self.give(answers, &batch.blobs).await.map(drop)
    }

    /// What became of messages: for the store, and for callers in this process.
    fn receipts(&mut self) -> (Vec<(u64, Receipt)>, Vec<CallerReceipt>) {
        let (mut stored, mut callers) = (vec![], vec![]);
        for (from, receipt) in self.receipts.drain(..) {
            match from {
                From::Inbox(number) => stored.push((number, receipt)),
                From::Caller(caller) => callers.push((caller, receipt)),
            }
        }
        (stored, callers)
    }

    fn perform(&mut self, effect: Effect<Reply>) {
        match effect {
            Effect::Start {
                attempt,
                model,
                room,
            } => self.start(attempt, model.as_deref(), room),
            // The receiver may have been stopped in the meantime.
            Effect::Granted(Reply::Room(answer), room) => _ = answer.send(room),
            Effect::Recorded(Reply::Done(answer)) => _ = answer.send(()),
            // Cannot happen: each question has its own kind of answer.
            Effect::Granted(Reply::Done(_), _) | Effect::Recorded(Reply::Room(_)) => {}
            Effect::Ended(attempt) => {
                if let Some(line) = self.lines.remove(&attempt) {
                    line.stop().cancel();
                }
                self.stop_poll(attempt);
            }
            Effect::TaskEnded(task) => _ = self.assignments.remove(&task),
            Effect::Park => self.parking.cancel(),
            Effect::Wake => {
                self.parking = CancellationToken::new();
                self.reopen(false);
            }
            Effect::Wait(_) => {}
        }
    }

    /// Delivers outcomes to their waiters, in order; returns whether a script got any. Texts of the
    /// batch are in `blobs`.
    pub(super) async fn give(
        &self,
        answers: Vec<(Waiter, TaskId)>,
        blobs: &[Blob],
    ) -> Result<bool, DriveError> {
        if answers.is_empty() {
            return Ok(false);
        }
        let texts: FxHashMap<_, _> = blobs.iter().map(|blob| (blob.digest, &blob.text)).collect();
        let mut is_heard = false;
        for (waiter, id) in answers {
            let Some(task) = self.runs.run().task(id) else {
                continue;
            };
            let end = match task.outcome() {
                Some(Outcome::Ok { value }) => TaskEnd::Ok(match value {
                    Content::Stored { digest, .. } if texts.contains_key(digest) => {
                        texts[digest].clone()
                    }
                    other => read(&*self.store, other).await?,
                }),
                Some(Outcome::Failed(failure)) => TaskEnd::Failed(failure.clone()),
                Some(Outcome::Skipped { reason }) => TaskEnd::Skipped(reason.clone()),
                Some(Outcome::Cancelled) => TaskEnd::Cancelled,
                None => continue,
            };
            let report = TaskReport {
                task: Some(id),
                end,
                model: task.model().cloned(),
                attempts: task.attempts(),
                cost: task.cost(),
                usage: task.usage(),
            };
            is_heard |= self.hand(waiter, report);
        }
        Ok(is_heard)
    }

    /// Delivers a report; returns whether a script gets it.
    pub(super) fn hand(&self, waiter: Waiter, report: TaskReport) -> bool {
        match (waiter, &self.answers) {
            // A script that has ended has closed the channel.
            (Waiter::Script(call), Some(answers)) => answers.send((call, report)).is_ok(),
            (Waiter::Script(_), None) => false,
            (Waiter::Caller(caller), _) => {
                // A caller that no longer waits has dropped the receiver.
                let _ = caller.send(report);
                false
            }
        }
    }

    fn start(&mut self, attempt: AttemptId, model: Option<&str>, room: Room) {
        let (Some(assignment), Some(task)) = (
            self.assignments.get(&attempt.task),
            self.runs.run().task(attempt.task),
        ) else {
            let message = format!("{attempt} was scheduled, but what it is to do is not known");
            let failure = Failure::new(FailureClass::Unavailable, message);
            let result = Box::new(failure.into());
            // Cannot fail: the driver holds the receiver.
            let _ = self.sender.send(Message::Ended { attempt, result });
            return;
        };
        // Earlier attempts changed files in worktrees of their own, so their replies describe files
        // that do not exist here.
        let kept = match assignment.isolation {
            Isolation::None => task.kept_turns(),
            Isolation::Worktree => &[],
        };
        let can_go_on = assignment.resumes && assignment.isolation == Isolation::None;
        let session = if can_go_on {
            task.session().clone()
        } else {
            Session::default()
        };
        let state = Attempt::new(Spec {
            work: if assignment.executor.is_some() {
                Work::Program
            } else {
                Work::Conversation
            },
            turns_max: assignment.turns_max,
            checks: assignment.task.check.iter().map(Check::kind).collect(),
            rung: task.rung() as usize,
            can_climb: task.can_climb(),
            timeout: assignment.timeout,
            idle_timeout: assignment.idle_timeout,
            hedges: assignment.hedge.is_some(),
            room,
            kept: kept.iter().map(Known::from).collect(),
        });
        let turn = (self.number, task.facts().rank());
        let (news, signals) = (self.news.clone(), self.signals.clone());
        let line = Line::new(attempt, state, turn, news, signals, self.parking.clone());
        self.lines.insert(attempt, line.clone());
        let start = attempt::Start {
            run: self.id.clone(),
            assignment: assignment.clone(),
            model: assignment
                .models
                .iter()
                .find(|known| Some(&*known.id) == model)
                .cloned(),
            scheduled: model.map(Arc::from),
            kept: kept.to_vec(),
            session,
            findings: task.findings().cloned(),
            reserved: self.runs.run().reserved(attempt),
        };
        let (store, driver) = (self.store.clone(), self.sender.clone());
        attempt::start(attempt, start, line, store, driver);
    }
}
