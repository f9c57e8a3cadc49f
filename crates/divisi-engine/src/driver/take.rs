//! What a message leads to.

use super::{DriveError, Driver};
use crate::driver::message::{FlowNews, Message, Ours, Waiter};
use crate::executor::Line;
use crate::resolve::Resolved;
use divisi_core::content::{Blob, Content};
use divisi_core::run::{AttemptEnd, Stage};
use divisi_core::{Event, Failure, FailureClass, Input};
use std::sync::Arc;

impl Driver {
    /// Takes one message: decides what follows and applies it.
    pub(super) fn take(&mut self, message: Message) -> Result<(), DriveError> {
        match message.redacted() {
            Message::Submit { resolved, waiter } => self.submit(*resolved, waiter),
            Message::Flow(FlowNews::Phase { title, cap }) => self.decide(Input::Phase { title, cap }),
            Message::Flow(FlowNews::Log(line)) => self.decide(Input::Log(line)),
            Message::Flow(FlowNews::Uncaught { message, count }) => {
                self.decide(Input::Uncaught { message, count })
            }
            Message::Refused { refusal, count } => self.decide(Input::Refused { refusal, count }),
            Message::Flow(FlowNews::Quiet { answered }) => self.quiet(answered),
            Message::Flow(FlowNews::Ended(result)) => {
                let result = match result {
                    Ok(value) => Ok(self.keep(value)),
                    Err(failure) => Err(Box::new(failure)),
                };
                // A flow that needs nothing new has caught up by ending.
                self.decide(Input::CaughtUp)?;
                self.decide(Input::FlowEnded(result))
            }
            Message::Ours(ours) => self.take_ours(ours),
            Message::Estimate(estimate) => self.decide(Input::Estimate(estimate)),
            Message::Park => {
                // Whoever wants it to rest does not want it to go on by itself.
                self.patience.quota_wait = None;
                self.decide(Input::Park)
            }
            Message::Cancel => self.cancel(),
        }
    }

    /// Ends the run. The core settles each attempt under way at its reservation,
    /// so those that have no request out end before.
    fn cancel(&mut self) -> Result<(), DriveError> {
        let mut lines: Vec<Line> = self.lines.values().cloned().collect();
        lines.sort_by_key(Line::attempt);
        for line in lines {
            let (attempt, owed) = (line.attempt(), line.withdraw());
            if !owed.second {
                self.decide(Input::HedgeEnded { attempt, billed: false })?;
            }
            if !owed.first {
                let withdrawn = Failure::new(FailureClass::Interrupted, "the run was cancelled");
                let end = AttemptEnd { waited: line.waited(), ..AttemptEnd::of(Err(withdrawn)) };
                self.decide(Input::AttemptEnded { attempt, end: Box::new(end) })?;
            }
        }
        self.decide(Input::Cancel)
    }

    fn submit(&mut self, resolved: Resolved, waiter: Waiter) -> Result<(), DriveError> {
        let Resolved { submission, blob, assignment, is_cut } = resolved;
        let label = submission.facts.label.clone();
        let before = self.pending.events.len();
        self.decide(Input::Submit(Box::new(submission)))?;
        let (task, new) = match self.pending.events.get(before).map(|recorded| &recorded.event) {
            Some(Event::TaskSubmitted(submitted)) => (submitted.task, true),
            Some(Event::TaskClaimed { task, .. }) => (*task, false),
            _ => {
                self.delivery.refuse(&self.run, waiter);
                return Ok(());
            }
        };
        if new {
            self.pending.blobs.extend(blob);
        }
        if new && is_cut {
            let line = format!("warning: `{label}` holds a key; `***` stands in its place");
            self.decide(Input::Log(line.into()))?;
        }
        if let Some(assignment) =
            assignment.filter(|_| self.run.task(task).is_some_and(|t| t.outcome().is_none()))
        {
            self.assignments.insert(task, assignment);
        }
        self.delivery.wait(&self.run, task, waiter);
        Ok(())
    }

    /// The flow waits. If the journal has no answer either, it has caught up.
    fn quiet(&mut self, answered: u64) -> Result<(), DriveError> {
        if *self.run.stage() == Stage::Replaying && self.delivery.is_quiet(answered) {
            self.decide(Input::CaughtUp)?;
        }
        Ok(())
    }

    fn take_ours(&mut self, ours: Ours) -> Result<(), DriveError> {
        match ours {
            Ours::TurnEnded { attempt, turn, blob, answer } => {
                if self.decides(Input::TurnEnded { attempt, turn })? {
                    self.pending.blobs.extend(blob);
                    self.pending.acknowledge.push(answer);
                }
                Ok(())
            }
            Ours::TurnWanted { attempt, tool_results, bound, blob, answer } => {
                let before = self.pending.events.len();
                self.decide(Input::TurnWanted { attempt, tool_results, bound })?;
                let decided = self.pending.events.get(before).map(|recorded| &recorded.event);
                let granted = match decided {
                    Some(Event::TurnScheduled { reply_tokens, .. }) => Some(*reply_tokens),
                    _ => None,
                };
                self.pending.blobs.extend(blob.filter(|_| decided.is_some()));
                self.pending.granted.extend(granted.map(|room| (answer, room)));
                Ok(())
            }
            Ours::HedgeWanted { attempt, answer } => {
                if self.decides(Input::HedgeWanted { attempt })? {
                    self.pending.acknowledge.push(answer);
                }
                Ok(())
            }
            Ours::HedgeEnded { attempt, billed } => self.decide(Input::HedgeEnded { attempt, billed }),
            Ours::Ended { attempt, result } => {
                self.lines.remove(&attempt);
                let last_turn = result.last_turn.map(|(turn, reply)| {
                    if let Content::Stored { digest, .. } = &turn.reply {
                        self.pending.blobs.push(Blob { digest: *digest, text: reply });
                    }
                    Box::new(turn)
                });
                let end = AttemptEnd {
                    result: result.result.map(|value| self.keep(value)),
                    last_turn,
                    usage: result.usage,
                    cost: result.cost,
                    unanswered: result.unanswered,
                    retry_after: result.retry_after,
                    should_retry: result.should_retry,
                    next_turn: result.next_turn,
                    findings: result.findings.map(|findings| self.keep(findings)),
                    waited: result.waited,
                    worktree: result.worktree,
                };
                self.decide(Input::AttemptEnded { attempt, end: Box::new(end) })
            }
        }
    }

    /// The content of `text`, whose bytes go with this batch if they are many.
    fn keep(&mut self, text: Arc<str>) -> Content {
        let (content, blob) = Content::of(text);
        self.pending.blobs.extend(blob);
        content
    }
}
