//! What became of a task, attempt by attempt, as the journal tells it.

use divisi_core::event::Turn;
use divisi_core::{Event, Failure, PicoUsd, Recorded, TaskId, Timestamp, Usage};

/// One attempt.
pub(super) struct Attempt<'a> {
    pub(super) number: u32,
    pub(super) model: Option<&'a str>,
    pub(super) started_at: Timestamp,
    /// When it ended and why it failed, if it did.
    pub(super) end: Option<(Timestamp, Option<&'a Failure>)>,
    /// The replies it was the first to get. What an earlier attempt had
    /// received is used again and not told twice.
    pub(super) turns: Vec<&'a Turn>,
    pub(super) usage: Usage,
    pub(super) cost: PicoUsd,
}

/// All attempts of a task, first one first.
pub(super) fn attempts(events: &[Recorded], of: TaskId) -> Vec<Attempt<'_>> {
    let mut attempts: Vec<Attempt<'_>> = vec![];
    for Recorded { at, event, .. } in events {
        match event {
            Event::AttemptScheduled { attempt, model, .. } if attempt.task == of => attempts.push(Attempt {
                number: attempt.number,
                model: model.as_deref(),
                started_at: *at,
                end: None,
                turns: vec![],
                usage: Usage::default(),
                cost: PicoUsd::ZERO,
            }),
            Event::TurnEnded { attempt, turn } if attempt.task == of => {
                if let Some(latest) = attempts.last_mut() {
                    latest.usage += turn.usage;
                    latest.cost += turn.cost;
                    latest.turns.push(turn);
                }
            }
            Event::AttemptEnded { attempt, failure, usage, cost, .. } if attempt.task == of => {
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
