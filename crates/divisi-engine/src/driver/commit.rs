//! A batch becomes durable, and what happens in the world because of it.

use super::attempt;
use super::message::{Message, Ours, Room};
use super::{DriveError, Driver};
use crate::executor::Line;
use crate::store::{Batch, RunSummary};
use divisi_core::attempt::{Attempt, Known, Spec, Work};
use divisi_core::check::Check;
use divisi_core::content::Blob;
use divisi_core::event::{Recorded, Refusal};
use divisi_core::{AttemptId, Event, Failure, FailureClass, Isolation, Position, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// What the current batch has come to so far.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) events: Vec<Recorded>,
    pub(super) blobs: Vec<Blob>,
    /// Told once the batch is durable.
    pub(super) acknowledge: Vec<oneshot::Sender<()>>,
    /// The same for those who may send a request, with the room for its reply.
    pub(super) granted: Vec<(oneshot::Sender<Room>, Room)>,
    /// Where the refusals of the batch stand among its events: alike ones are one event.
    pub(super) refusals: BTreeMap<Refusal, usize>,
}

impl Pending {
    /// Takes an event in, at the place where it stands in the journal.
    pub(super) fn add(&mut self, first: Position, at: Timestamp, event: Event) {
        if let Event::Refused { refusal, count } = &event {
            let place = self.refusals.get(refusal).and_then(|place| self.events.get_mut(*place));
            if let Some(Recorded { event: Event::Refused { count: before, .. }, .. }) = place {
                *before = before.saturating_add(*count);
                return;
            }
            self.refusals.insert(refusal.clone(), self.events.len());
        }
        let position = first.after(self.events.len());
        self.events.push(Recorded { position, at, event });
    }
}

impl Driver {
    /// Makes the batch durable, then lets the world know.
    pub(super) async fn commit(&mut self) -> Result<(), DriveError> {
        let Pending { events, blobs, acknowledge, granted, .. } = std::mem::take(&mut self.pending);
        if events.is_empty() {
            return self.delivery.deliver(&self.run, &[]).await;
        }
        let summary = RunSummary::of(&self.id, &self.run, self.latest);
        let batch = Arc::new(Batch { run: self.id.clone(), position: self.position, events, blobs, summary });
        self.store.append(batch.clone()).await?;
        self.position = self.position.after(batch.events.len());
        for answer in acknowledge {
            // Whoever asked may have been stopped in the meantime.
            let _ = answer.send(());
        }
        for (answer, room) in granted {
            let _ = answer.send(room);
        }
        for recorded in &batch.events {
            self.react(&recorded.event);
        }
        self.watchers.retain(|watcher| watcher.send(batch.clone()).is_ok());
        self.delivery.deliver(&self.run, &batch.blobs).await
    }

    /// What happens in the world because of an event, now that it is durable.
    fn react(&mut self, event: &Event) {
        match event {
            Event::AttemptScheduled { attempt, model, reply_tokens, .. } => {
                self.start(*attempt, model.as_deref(), *reply_tokens);
            }
            Event::AttemptEnded { attempt, .. } => {
                if let Some(line) = self.lines.remove(attempt) {
                    line.stop().cancel();
                }
            }
            Event::TaskEnded { task, .. } => {
                self.assignments.remove(task);
                self.delivery.ended(*task);
            }
            // What has not left stays, whatever the reason: it has not begun.
            Event::ParkingStarted { .. } => self.parking.cancel(),
            Event::RunWoken => {
                self.parking = CancellationToken::new();
                self.reopen(false);
            }
            Event::RunStarted(_)
            | Event::RunResumed(_)
            | Event::CaughtUp { .. }
            | Event::PhaseStarted { .. }
            | Event::Logged { .. }
            | Event::Refused { .. }
            | Event::Uncaught { .. }
            | Event::TaskSubmitted(_)
            | Event::TaskClaimed { .. }
            | Event::TurnScheduled { .. }
            | Event::TurnHedged { .. }
            | Event::HedgeEnded { .. }
            | Event::TurnEnded { .. }
            | Event::RetryPlanned { .. }
            | Event::Estimated { .. }
            | Event::SoftLimitReached { .. }
            | Event::RunParked { .. }
            | Event::WaitStarted { .. }
            | Event::FlowEnded { .. }
            | Event::RunEnded { .. } => {}
        }
    }

    fn start(&mut self, attempt: AttemptId, model: Option<&str>, room: Room) {
        let (Some(assignment), Some(task)) =
            (self.assignments.get(&attempt.task), self.run.task(attempt.task))
        else {
            let message = format!("{attempt} was scheduled, but nobody knows what it is");
            let failure = Failure::new(FailureClass::Unavailable, message);
            let ended = Ours::Ended { attempt, result: Box::new(failure.into()) };
            // The driver holds the receiver.
            let _ = self.sender.send(Message::Ours(ended));
            return;
        };
        // What earlier attempts changed stands in a worktree of theirs, so their
        // replies describe files that are not here.
        let kept = match assignment.isolation {
            Isolation::None => task.kept_turns(),
            Isolation::Worktree => &[],
        };
        let rung = task.rung() as usize;
        let state = Attempt::new(Spec {
            work: if assignment.executor.is_some() { Work::Program } else { Work::Conversation },
            turns_max: assignment.turns_max,
            checks: assignment.task.check.iter().map(Check::kind).collect(),
            rung,
            can_climb: task.can_climb(),
            timeout: assignment.timeout,
            idle_timeout: assignment.idle_timeout,
            hedges: assignment.hedge.is_some(),
            room,
            kept: kept.iter().map(Known::from).collect(),
        });
        let turn = (self.number, task.facts().priority);
        let (inbox, signals) = (self.sender.clone(), self.signals.clone());
        let line = Line::new(attempt, state, turn, inbox, signals, self.parking.clone());
        self.lines.insert(attempt, line.clone());
        let start = attempt::Start {
            assignment: assignment.clone(),
            model: assignment.models.iter().find(|known| Some(&*known.id) == model).cloned(),
            rung,
            kept: kept.to_vec(),
            findings: task.findings().cloned(),
        };
        attempt::start(attempt, start, line, self.store.clone());
    }
}
