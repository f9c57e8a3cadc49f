//! The history of a task, attempt by attempt, from the journal.

use divisi_core::event::{RunStatus, ToolCall, Turn};
use divisi_core::{Content, Event, Failure, PicoUsd, Recorded, TaskId, Timestamp, Usage};

/// One attempt.
pub(super) struct Attempt<'a> {
    pub(super) number: u32,
    pub(super) model: Option<&'a str>,
    pub(super) started_at: Timestamp,
    /// When it ended and why it failed, if it did.
    pub(super) end: Option<(Timestamp, Option<&'a Failure>)>,
    /// The replies that this attempt received first. Replies reused from an earlier attempt are not
    /// repeated.
    pub(super) turns: Vec<&'a Turn>,
    pub(super) tools: Vec<&'a ToolCall>,
    pub(super) usage: Usage,
    pub(super) cost: PicoUsd,
}

/// An execution of a run's flow that ended and was followed by another.
pub(crate) struct Execution {
    /// Its number, from 1.
    pub(super) number: u32,
    /// The status of the run at its end.
    pub(super) status: &'static str,
    /// When it ended.
    pub(super) at: Timestamp,
    /// What the flow returned, or why it failed.
    pub(crate) result: Result<Content, Box<Failure>>,
}

/// Collects the executions before the latest one from the events.
#[derive(Default)]
pub(crate) struct Executions {
    number: u32,
    returned: Option<Result<Content, Box<Failure>>>,
    latest: Option<Execution>,
    earlier: Vec<Execution>,
}

impl Executions {
    /// Applies the next event.
    pub(crate) fn record(&mut self, Recorded { at, event, .. }: &Recorded) {
        match event {
            Event::RunStarted(_) | Event::RunResumed(_) => {
                self.number += 1;
                self.returned = None;
                self.earlier.extend(self.latest.take());
            }
            Event::FlowEnded { result } => self.returned = Some(result.clone()),
            Event::RunEnded { status } => {
                let status = match status {
                    RunStatus::Ok => "ok",
                    RunStatus::Partial => "partial",
                    RunStatus::Failed => "failed",
                    RunStatus::Cancelled => "cancelled",
                };
                let (number, at) = (self.number, *at);
                self.latest = self.returned.take().map(|result| Execution {
                    number,
                    status,
                    at,
                    result,
                });
            }
            _ => {}
        }
    }

    /// The executions before the latest one, first one first.
    pub(crate) fn earlier(self) -> Vec<Execution> {
        self.earlier
    }
}

/// All attempts of a task, first one first.
pub(super) fn attempts(events: &[Recorded], of: TaskId) -> Vec<Attempt<'_>> {
    let mut attempts: Vec<Attempt<'_>> = vec![];
    for Recorded { at, event, .. } in events {
        match event {
            Event::AttemptScheduled { attempt, model, .. } if attempt.task == of => {
                attempts.push(Attempt {
                    number: attempt.number,
                    model: model.as_deref(),
                    started_at: *at,
                    end: None,
                    turns: vec![],
                    tools: vec![],
                    usage: Usage::default(),
                    cost: PicoUsd::ZERO,
                });
            }
            Event::TurnScheduled { attempt, tools, .. } if attempt.task == of => {
                attempts
                    .last_mut()
                    .into_iter()
                    .for_each(|latest| latest.tools.extend(tools));
            }
            Event::TurnEnded { attempt, turn } if attempt.task == of => {
                if let Some(latest) = attempts.last_mut() {
                    latest.usage += turn.usage;
                    latest.cost += turn.cost;
                    latest.turns.push(turn);
                }
            }
            Event::AttemptReported {
                attempt,
                usage,
                cost,
                ..
            } if attempt.task == of => {
                if let Some(known) = attempts
                    .iter_mut()
                    .find(|known| known.number == attempt.number)
                {
                    known.usage += *usage;
                    known.cost += *cost;
                }
            }
            Event::AttemptEnded {
                attempt,
                failure,
                usage,
                cost,
                ..
            } if attempt.task == of => {
                if let Some(latest) = attempts.last_mut() {
                    latest.usage += *usage;
                    latest.cost += *cost;
                    latest.end = Some((*at, failure.as_deref()));
                }
            }
            _ => {}
        }
    }
    attempts
}
