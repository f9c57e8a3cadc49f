//! The state of a run under way: what its events say, and unrecorded signals.

use divisi_core::view::TaskView;
use divisi_core::{AttemptId, Event, Recorded, RunId, RunView, TaskId, Timestamp};
use divisi_engine::{Signal, WaitsFor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The state of a run under way.
pub(crate) struct Progress {
    pub(crate) id: RunId,
    pub(crate) view: RunView,
    /// Whether its questions are asked on this terminal.
    pub(crate) is_attended: bool,
    /// What attempts under way are doing, as far as signals have said.
    doing: BTreeMap<AttemptId, Doing>,
}

/// What an attempt under way is doing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doing {
    /// Approximate number of tokens of the current reply that have arrived.
    pub(crate) writing: u64,
    /// The tool at work.
    pub(crate) tool: Option<Arc<str>>,
    /// What its next request waits for.
    pub(crate) waits: Option<Wait>,
}

/// The wait of a request that may not be sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) why: Why,
    /// When the next request may be sent, or this one at the latest.
    pub(crate) until: Option<Timestamp>,
}

/// Why a request may not be sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    Limit,
    Room,
    Cache,
}

impl Progress {
    /// The state of a run with this view.
    pub(crate) fn new(id: RunId, view: RunView) -> Self {
        Self {
            id,
            view,
            is_attended: false,
            doing: BTreeMap::new(),
        }
    }

    /// Applies an event.
    pub(crate) fn apply(&mut self, recorded: &Recorded) {
        self.view.apply(recorded);
        match &recorded.event {
            Event::RunResumed(_) => self.doing.clear(),
            Event::TurnScheduled { attempt, .. }
            | Event::TurnEnded { attempt, .. }
            | Event::AttemptSuspended { attempt, .. }
            | Event::AttemptEnded { attempt, .. } => _ = self.doing.remove(attempt),
            _ => {}
        }
    }

    /// Applies a signal. Signals of attempts that have ended are ignored.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let (attempt, writing, tool, waits) = match signal {
            Signal::Writing { attempt, tokens } => (attempt, tokens, None, None),
            Signal::Held { attempt, until } => (
                attempt,
                0,
                None,
                Some(Wait {
                    why: Why::Cache,
                    until: Some(until),
                }),
            ),
            Signal::Waiting {
                attempt,
                why,
                until,
            } => {
                let why = match why {
                    WaitsFor::Limit => Why::Limit,
                    WaitsFor::Room => Why::Room,
                };
                (attempt, 0, None, Some(Wait { why, until }))
            }
            Signal::Tool { attempt, what } => (attempt, 0, Some(what), None),
        };
        let is_under_way = self.view.under_way.contains_key(&attempt.task)
            && self
                .view
                .task(attempt.task)
                .is_some_and(|task| task.attempts == attempt.number);
        if is_under_way {
            self.doing.insert(
                attempt,
                Doing {
                    writing,
                    tool,
                    waits,
                },
            );
        }
    }

    /// Attempts under way, when they began, and what they are doing.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (AttemptId, Timestamp, Option<&Doing>)> {
        self.view.under_way.iter().map(|(task, under_way)| {
            let number = self.view.task(*task).map_or(0, |task| task.attempts);
            let attempt = AttemptId {
                task: *task,
                number,
            };
            (attempt, under_way.since, self.doing.get(&attempt))
        })
    }

    /// The number of requests in flight, and of tools and programs at work. Waiting attempts are
    /// neither.
    pub(crate) fn at_work(&self) -> (usize, usize) {
        let asks = |attempt: AttemptId| {
            self.view
                .task(attempt.task)
                .is_some_and(|task| task.model.is_some())
        };
        let busy = self
            .under_way()
            .filter(|(.., doing)| doing.is_none_or(|doing| doing.waits.is_none()));
        let (asking, working): (Vec<_>, Vec<_>) = busy.partition(|(attempt, _, doing)| {
            doing.is_none_or(|doing| doing.tool.is_none()) && asks(*attempt)
        });
        (asking.len(), working.len())
    }

    /// The task's name on screen.
    pub(crate) fn label(&self, task: TaskId) -> String {
        self.view
            .task(task)
            .map_or_else(|| task.to_string(), |view| label(task, view))
    }
}

/// The task's name on screen: its label, or else its number.
pub(crate) fn label(id: TaskId, task: &TaskView) -> String {
    let label = crate::text::line(&task.label);
    if label.is_empty() {
        id.to_string()
    } else {
        label
    }
}
