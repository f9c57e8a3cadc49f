//! The state of a run under way: what its events say, and unrecorded signals.

use divisi_core::governor::Rate;
use divisi_core::run::Stage;
use divisi_core::view::TaskView;
use divisi_core::{AttemptId, Event, Millis, Recorded, RunId, RunView, TaskId, Timestamp};
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
    pub(crate) sight: Sight,
}

/// What the user looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// Whose keys are received, if any are.
    pub(crate) keys: Option<KeysOf>,
    /// The chosen task.
    pub(crate) chosen: Option<TaskId>,
    /// The task that is looked into, with its prompt.
    pub(crate) open: Option<(TaskId, Arc<str>)>,
    /// The cap that is being typed.
    pub(crate) typed: Option<String>,
    /// Whether the keys are explained.
    pub(crate) has_help: bool,
}

/// Whose keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeysOf {
    /// Of the process that drives the run.
    Driver,
    /// Of one that follows a run of another process.
    Watcher,
}

/// How far the work of a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// Tasks that have ended.
    pub(crate) ended: u32,
    /// Tasks there will be, as far as is known.
    pub(crate) total: u32,
}

/// How long a run will still take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToGo {
    /// About this long.
    About(Millis),
    /// Longer than this, the whole time of the plan, and nothing has ended to judge by.
    Beyond(Millis),
}

/// What an attempt under way is doing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doing {
    /// Approximate number of tokens of the current reply that have arrived.
    pub(crate) writing: u64,
    /// The beginning of the current reply.
    pub(crate) words: Option<Arc<str>>,
    /// Its latest tool, with its subject.
    pub(crate) tool: Option<Arc<str>>,
    /// Whether that tool is at work.
    pub(crate) is_working: bool,
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
    /// A rate limit, if it is known which.
    Limit(Option<Rate>),
    Room,
    Cache,
}

/// Whether an attempt waits until its request may be sent.
fn waits(doing: Option<&Doing>) -> bool {
    doing.is_some_and(|doing| doing.waits.is_some())
}

impl Progress {
    /// The state of a run with this view.
    pub(crate) fn new(id: RunId, view: RunView) -> Self {
        Self {
            id,
            view,
            is_attended: false,
            doing: BTreeMap::new(),
            sight: Sight::default(),
        }
    }

    /// Applies an event.
    pub(crate) fn apply(&mut self, recorded: &Recorded) {
        self.view.apply(recorded);
        match &recorded.event {
            Event::RunResumed(_) => self.doing.clear(),
            Event::TurnScheduled { attempt, .. } | Event::TurnEnded { attempt, .. } => {
                // Its latest tool is still of interest while it asks.
                if let Some(doing) = self.doing.get_mut(attempt) {
                    let tool = doing.tool.take();
                    *doing = Doing {
                        tool,
                        ..Doing::default()
                    };
                }
            }
            Event::AttemptSuspended { attempt, .. } | Event::AttemptEnded { attempt, .. } => {
                _ = self.doing.remove(attempt);
            }
            _ => {}
        }
    }

    /// Applies a signal. Signals of attempts that have ended are ignored.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let attempt = match &signal {
            Signal::Writing { attempt, .. }
            | Signal::Begins { attempt, .. }
            | Signal::Held { attempt, .. }
            | Signal::Waiting { attempt, .. }
            | Signal::Tool { attempt, .. } => *attempt,
        };
        let is_under_way = self.view.under_way.contains_key(&attempt.task)
            && self
                .view
                .task(attempt.task)
                .is_some_and(|task| task.attempts == attempt.number);
        if !is_under_way {
            return;
        }
        let doing = self.doing.entry(attempt).or_default();
        (doing.waits, doing.is_working) = (None, false);
        match signal {
            Signal::Writing { tokens, .. } => doing.writing = tokens,
            Signal::Begins { words, .. } => doing.words = Some(words),
            Signal::Held { until, .. } => {
                let until = Some(until);
                doing.waits = Some(Wait {
                    why: Why::Cache,
                    until,
                });
            }
            Signal::Waiting { why, until, .. } => {
                let why = match why {
                    WaitsFor::Limit(rate) => Why::Limit(rate),
                    WaitsFor::Room => Why::Room,
                };
                doing.waits = Some(Wait { why, until });
            }
            Signal::Tool { what, .. } => (doing.tool, doing.is_working) = (Some(what), true),
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

    /// Attempts under way that do not wait to ask.
    pub(crate) fn running(&self) -> Vec<(AttemptId, Timestamp, Option<&Doing>)> {
        self.under_way()
            .filter(|(.., doing)| !waits(*doing))
            .collect()
    }

    /// Chooses the next or the previous of the running tasks.
    pub(crate) fn choose(&mut self, is_next: bool) {
        let mut tasks = self.running().into_iter().map(|(attempt, ..)| attempt.task);
        let chosen = match (self.sight.chosen, is_next) {
            (None, _) => tasks.next(),
            (Some(chosen), true) => tasks.find(|task| *task > chosen).or(Some(chosen)),
            (Some(chosen), false) => tasks
                .take_while(|task| *task < chosen)
                .last()
                .or(Some(chosen)),
        };
        self.sight.chosen = chosen;
    }

    /// Number of attempts that wait until their request may be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.under_way().filter(|(.., doing)| waits(*doing)).count()
    }

    /// The number of requests in flight, and of tools and programs at work. Waiting attempts are
    /// neither.
    pub(crate) fn at_work(&self) -> (usize, usize) {
        let asks = |attempt: AttemptId| {
            self.view
                .task(attempt.task)
                .is_some_and(|task| task.model.is_some())
        };
        let busy = self.under_way().filter(|(.., doing)| !waits(*doing));
        let (asking, working): (Vec<_>, Vec<_>) = busy.partition(|(attempt, _, doing)| {
            doing.is_none_or(|doing| !doing.is_working) && asks(*attempt)
        });
        (asking.len(), working.len())
    }

    /// How many tasks have ended and how many there will be: as many as the plan has, until the flow
    /// has requested more or has ended. So the share that is done does not shrink while the flow
    /// requests its tasks one after another.
    pub(crate) fn work(&self) -> Work {
        let counts = self.view.counts;
        let planned = self.view.estimate.filter(|_| self.view.result.is_none());
        let planned = planned.map_or(0, |estimate| estimate.tasks as u32);
        Work {
            ended: counts.total() - counts.open,
            total: counts.total().max(planned),
        }
    }

    /// How long the run will still take, if there is a plan to judge by: at first by the time that
    /// the plan expects, and the more tasks have ended, the more by their pace.
    pub(crate) fn to_go(&self, now: Timestamp) -> Option<ToGo> {
        let planned = self.view.estimate?.took.p50;
        let Work { ended, total } = self.work();
        if self.view.stage != Stage::Running || planned == Millis(0) || ended >= total {
            return None;
        }
        let worked = self.view.span.worked(now).0;
        if ended == 0 && worked >= planned.0 {
            return Some(ToGo::Beyond(planned));
        }
        let (ended, total) = (u64::from(ended), u64::from(total));
        let by_plan = planned.0.saturating_sub(worked);
        // The pace gives `worked × open / ended`, and its weight is `ended / total`.
        let left =
            (by_plan.saturating_mul(total - ended) + worked.saturating_mul(total - ended)) / total;
        Some(ToGo::About(Millis(left)))
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
