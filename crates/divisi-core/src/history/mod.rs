//! History of past tasks: cost, duration, and whether their checks passed.
//!
//! A [`History`] is filled from journals, one run at a time. It holds finished work only: all of a
//! model's work on one task, failed attempts included, until its result was taken, refused by a
//! check, or given up. Work in progress is no evidence of its cost.

mod learn;
mod shape;

pub use learn::Reader;
pub use shape::{Line, RunShape};

use crate::{Millis, PicoUsd, Timestamp, Usage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The work of one model on one task, from its first attempt to the end of its part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// The time of its end.
    pub at: Timestamp,
    /// Identifies the task: samples of two models with the same value show the difficulty of one
    /// task, not of two.
    pub work: u64,
    /// Name of the flow.
    pub flow: Arc<str>,
    /// Name of the task.
    pub label: Arc<str>,
    /// Its phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Arc<str>>,
    /// The kind of work, where the flow or the classifier said one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Arc<str>>,
    /// Name of its executor.
    pub executor: Arc<str>,
    /// The model asked for; empty where there is none.
    pub model: Arc<str>,
    /// Its place in the task's ladder.
    pub rung: usize,
    /// Tokens of all turns of all attempts.
    pub usage: Usage,
    /// Number of requests; 0 where the executor does not report it.
    pub turns: u32,
    /// Tokens of the first prompt; 0 where the executor does not report it.
    pub prompt_tokens: u64,
    /// Tokens of the last reply, which is the result; 0 if unknown.
    pub answer_tokens: u64,
    /// Cost of its requests, without checks.
    pub cost: PicoUsd,
    /// The part of `cost` of failed attempts and of hedges whose reply was not used.
    pub lost: PicoUsd,
    /// Sum of the attempts' durations. Lost attempts are left out, whose end is unknown, and so are
    /// waits for a permit: they show how busy the run was, not how long such a task takes.
    pub took: Millis,
    /// Whether the task's check passed; `None` without a check or a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<bool>,
    /// Cost of the check.
    pub check_cost: PicoUsd,
}

/// Samples of finished work, the newest ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    samples: Vec<Sample>,
    /// Shapes of the runs whose flows have ended.
    #[serde(default)]
    shapes: Vec<RunShape>,
}

impl History {
    /// Most samples kept. Far more than a percentile needs, and some megabytes.
    pub const SAMPLES_MAX: usize = 20_000;

    /// Adds one sample. Beyond the limit the oldest are removed.
    pub fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
        // Removes the oldest only at twice the limit, so that adding stays cheap on average.
        if self.samples.len() >= 2 * Self::SAMPLES_MAX {
            self.trim();
        }
    }

    /// The samples, at most [`History::SAMPLES_MAX`], newest first.
    pub fn newest(&self) -> Vec<&Sample> {
        let mut newest: Vec<&Sample> = self.samples.iter().collect();
        newest.sort_by_key(|sample| std::cmp::Reverse(sample.at));
        newest.truncate(Self::SAMPLES_MAX);
        newest
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.samples.len().min(Self::SAMPLES_MAX)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    fn trim(&mut self) {
        self.samples
            .sort_by_key(|sample| std::cmp::Reverse(sample.at));
        self.samples.truncate(Self::SAMPLES_MAX);
    }
}

impl FromIterator<Sample> for History {
    fn from_iter<I: IntoIterator<Item = Sample>>(samples: I) -> Self {
        let mut history = Self::default();
        samples.into_iter().for_each(|sample| history.add(sample));
        history
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Edges, TaskFacts, TaskSubmitted, Times, Turn};
    use crate::{
        AttemptId, Content, Digest, Event, Failure, FailureClass, Key, Outcome, Position, Recorded,
        TaskId,
    };

    const TASK: TaskId = TaskId(0);

    /// The sample of a task with these events at these times.
    fn learnt(events: impl IntoIterator<Item = (u64, Event)>) -> Sample {
        let facts = TaskFacts {
            checked: true,
            ..TaskFacts::default()
        }
        .into();
        let submitted = TaskSubmitted {
            task: TASK,
            key: Key(Digest::of(b"")),
            occurrence: 0,
            facts,
            spec: text(),
            edges: Edges::default(),
        };
        let events = [(0, Event::TaskSubmitted(Box::new(submitted)))]
            .into_iter()
            .chain(events);
        let position = Position::default();
        let recorded: Vec<Recorded> = events
            .map(|(at, event)| Recorded {
                position,
                at: Timestamp(at),
                event,
            })
            .collect();
        let mut history = History::default();
        history.learn(&recorded);
        let newest = history.newest();
        let [sample] = &newest[..] else {
            panic!("{newest:?}")
        };
        (*sample).clone()
    }

    fn text() -> Content {
        Content::Inline("{}".into())
    }

    fn attempt(number: u32) -> AttemptId {
        AttemptId { task: TASK, number }
    }

    fn scheduled(number: u32) -> Event {
        let (attempt, reserved) = (attempt(number), PicoUsd::ZERO);
        Event::AttemptScheduled {
            attempt,
            model: Some("m".into()),
            reserved,
            reply_tokens: None,
        }
    }

    fn reply(judges: bool, cost: u64) -> Event {
        reply_to(1, judges, cost)
    }

    fn reply_to(number: u32, judges: bool, cost: u64) -> Event {
        let (model, usage) = (
            "m".into(),
            Usage {
                input: 7,
                ..Usage::default()
            },
        );
        let (request, took, cost) = (Digest::of(b""), Millis(1), PicoUsd(cost));
        let turn = Turn {
            request,
            reply: text(),
            model,
            judges,
            usage,
            cost,
            estimated: false,
            took,
            times: Times::default(),
        };
        Event::TurnEnded {
            attempt: attempt(number),
            turn: Box::new(turn),
        }
    }

    fn ended(number: u32, class: Option<FailureClass>, waited: u64) -> Event {
        Event::AttemptEnded {
            attempt: attempt(number),
            failure: class.map(|class| Box::new(Failure::new(class, "no"))),
            usage: Usage::default(),
            cost: PicoUsd::ZERO,
            unconfirmed: PicoUsd::ZERO,
            estimated: false,
            next_turn: None,
            findings: None,
            tool_results: None,
            waited: Millis(waited),
            worktree: None,
            waits: vec![],
            answered_by: None,
        }
    }

    fn ok() -> Event {
        Event::TaskEnded {
            task: TASK,
            outcome: Outcome::Ok { value: text() },
        }
    }

    #[test]
    fn what_a_judge_costs_is_told_apart_from_the_work() {
        let events = [
            scheduled(1),
            reply(false, 50),
            reply(true, 8),
            ended(1, None, 0),
            ok(),
        ];
        let sample = learnt(events.map(|event| (0, event)));
        assert_eq!((sample.cost, sample.check_cost), (PicoUsd(50), PicoUsd(8)));
        assert_eq!(
            (sample.turns, sample.usage.input, sample.accepted),
            (1, 7, Some(true))
        );
    }

    #[test]
    fn what_was_only_set_aside_is_not_learnt_as_a_cost() {
        let given_up = Event::HedgeEnded {
            attempt: attempt(1),
            cost: PicoUsd(30),
        };
        let failure = Some(Failure::new(FailureClass::Network, "no"));
        let cut = Event::attempt_ended(attempt(1), failure, PicoUsd(903), PicoUsd(900));
        let events = [
            scheduled(1),
            given_up,
            cut,
            scheduled(2),
            reply_to(2, false, 50),
            ended(2, None, 0),
            ok(),
        ];
        let sample = learnt(events.map(|event| (0, event)));
        assert_eq!(
            (sample.cost, sample.lost, sample.turns),
            (PicoUsd(53), PicoUsd(3), 1)
        );
    }

    #[test]
    fn a_wait_for_a_limit_says_nothing_of_how_long_the_task_takes() {
        let refused = Some(FailureClass::RateLimited);
        let sample = learnt([
            (1_000, scheduled(1)),
            (62_000, ended(1, refused, 60_000)),
            (90_000, scheduled(2)),
            (155_000, ended(2, None, 61_000)),
            (155_000, ok()),
        ]);
        assert_eq!(sample.took, Millis(1_000 + 4_000));
    }

    #[test]
    fn how_long_a_lost_attempt_took_nobody_knows() {
        let sample = learnt([
            (1_000, scheduled(1)),
            (86_400_000, ended(1, Some(FailureClass::Lost), 0)),
            (86_400_000, scheduled(2)),
            (86_403_000, ended(2, None, 0)),
            (86_403_000, ok()),
        ]);
        assert_eq!(sample.took, Millis(3_000));
    }

    #[test]
    fn the_newest_samples_win() {
        let many = 2 * History::SAMPLES_MAX as u64 + 10;
        // Oldest last: the order of reading runs must not matter.
        let history: History = (0..many)
            .rev()
            .map(|at| Sample {
                at: Timestamp(at),
                ..Sample::default()
            })
            .collect();
        assert_eq!(history.len(), History::SAMPLES_MAX);
        let newest = history.newest();
        assert_eq!(newest.len(), History::SAMPLES_MAX);
        assert_eq!(newest[0].at, Timestamp(many - 1));
        assert_eq!(
            newest[History::SAMPLES_MAX - 1].at,
            Timestamp(many - History::SAMPLES_MAX as u64)
        );
    }
}
