//! What past tasks cost, how long they took, and whether their checks were satisfied.
//!
//! A [`History`] is learnt from journals, one run at a time. It holds finished
//! work only: a model's whole work on one task, failed attempts included, up to
//! the moment when its result was taken, refused by a check, or given up. What
//! is still under way says nothing yet about what it costs.

mod learn;

pub use learn::Reader;

use crate::{Millis, PicoUsd, Timestamp, Usage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What one model did for one task, from its first attempt to the end of its part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// When that was.
    pub at: Timestamp,
    /// The same for everything done about one task: two models that worked on
    /// it do not tell twice how hard such tasks are.
    pub work: u64,
    /// Name of the flow.
    pub flow: Arc<str>,
    /// Name of the task.
    pub label: Arc<str>,
    /// Its progress group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Arc<str>>,
    /// The kind of work, where the flow or the classifier said one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Arc<str>>,
    /// What carried it out.
    pub executor: Arc<str>,
    /// The model that was asked; empty where none was.
    pub model: Arc<str>,
    /// Its place in the task's ladder.
    pub rung: usize,
    /// Tokens of all turns of all attempts.
    pub usage: Usage,
    /// How many requests that were; 0 where the executor does not say.
    pub turns: u32,
    /// Tokens of the first prompt; 0 where the executor does not say.
    pub prompt_tokens: u64,
    /// What all of it cost, without checks.
    pub cost: PicoUsd,
    /// The part of `cost` that failed attempts took.
    pub lost: PicoUsd,
    /// From the first attempt's start to the last one's end, rests between them
    /// left out.
    pub took: Millis,
    /// Whether the task's check was satisfied; `None` where there was no check
    /// or nothing to check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<bool>,
    /// What the check cost.
    pub check_cost: PicoUsd,
}

/// Samples of finished work, the newest of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    samples: Vec<Sample>,
}

impl History {
    /// Most samples kept. Far more than a percentile needs, and some megabytes.
    pub const SAMPLES_MAX: usize = 20_000;

    /// Adds one sample. Where that makes too many, the oldest go.
    pub fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
        // Twice as many before the oldest go, so that adding stays cheap.
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
        self.samples.sort_by_key(|sample| std::cmp::Reverse(sample.at));
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
    use crate::event::{TaskFacts, TaskSubmitted, Turn};
    use crate::{AttemptId, Content, Digest, Event, Key, Outcome, Position, Recorded, TaskId};

    #[test]
    fn what_a_judge_costs_is_told_apart_from_the_work() {
        let (task, attempt) = (TaskId(0), AttemptId { task: TaskId(0), number: 1 });
        let text = || Content::Inline("{}".into());
        let facts = TaskFacts { checked: true, ..TaskFacts::default() }.into();
        let submitted = TaskSubmitted { task, key: Key(Digest::of(b"")), occurrence: 0, facts, spec: text() };
        let reply = |judges, cost| {
            let (model, usage) = ("m".into(), Usage { input: 7, ..Usage::default() });
            let (request, took, cost) = (Digest::of(b""), Millis(1), PicoUsd(cost));
            let turn = Turn { request, reply: text(), model, judges, usage, cost, took };
            Event::TurnEnded { attempt, turn: Box::new(turn) }
        };
        let events = [
            Event::TaskSubmitted(Box::new(submitted)),
            Event::AttemptScheduled {
                attempt,
                model: Some("m".into()),
                reserved: PicoUsd::ZERO,
                reply_tokens: None,
            },
            reply(false, 50),
            reply(true, 8),
            Event::AttemptEnded {
                attempt,
                failure: None,
                usage: Usage::default(),
                cost: PicoUsd::ZERO,
                next_turn: None,
                findings: None,
                tool_results: None,
            },
            Event::TaskEnded { task, outcome: Outcome::Ok { value: text() } },
        ];
        let (position, at) = (Position::default(), Timestamp(0));
        let mut history = History::default();
        history.learn(&events.map(|event| Recorded { position, at, event }));
        let newest = history.newest();
        let [sample] = &newest[..] else { panic!("{newest:?}") };
        assert_eq!((sample.cost, sample.check_cost), (PicoUsd(50), PicoUsd(8)));
        assert_eq!((sample.turns, sample.usage.input, sample.accepted), (1, 7, Some(true)));
    }

    #[test]
    fn the_newest_samples_win() {
        let many = 2 * History::SAMPLES_MAX as u64 + 10;
        // Oldest last: the order in which runs are read must not matter.
        let history: History =
            (0..many).rev().map(|at| Sample { at: Timestamp(at), ..Sample::default() }).collect();
        assert_eq!(history.len(), History::SAMPLES_MAX);
        let newest = history.newest();
        assert_eq!(newest.len(), History::SAMPLES_MAX);
        assert_eq!(newest[0].at, Timestamp(many - 1));
        assert_eq!(newest[History::SAMPLES_MAX - 1].at, Timestamp(many - History::SAMPLES_MAX as u64));
    }
}
