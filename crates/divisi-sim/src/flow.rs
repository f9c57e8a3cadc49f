//! Flows to simulate: the four patterns, nested, and timers among them.

use crate::ask::{Ask, PHASES};
use crate::chance::Chance;
use divisi_core::{Millis, PicoUsd};

/// A part of a flow; it has a value when it is done.
#[derive(Clone, Debug)]
pub(crate) enum Flow {
    /// One task.
    Task(Ask),
    /// A timer.
    Sleep(Millis),
    /// A part and a timer at once, until the first of them is done. The other one goes on, and
    /// nothing waits for it.
    Race { part: Box<Flow>, limit: Millis },
    /// In sequence, each with the value of the previous one.
    Chain(Vec<Flow>),
    /// All at once.
    All(Vec<Flow>),
    /// All at once, then a synthesis.
    Gather { parts: Vec<Flow>, synthesis: Ask },
    /// A number of parts that a planner decides.
    Decompose {
        planner: Ask,
        worker: Box<Flow>,
        parts_max: u64,
    },
}

impl Flow {
    /// A number of tasks at once.
    pub(crate) fn fan_out(chance: &mut Chance, tasks: u32) -> Self {
        Self::All(
            (0..tasks)
                .map(|_| Self::Task(Ask::of_fan_out(chance)))
                .collect(),
        )
    }

    /// A flow of about `tasks` tasks.
    pub(crate) fn new(chance: &mut Chance, tasks: u32) -> Self {
        Self::grow(chance, u64::from(tasks), 0)
    }

    fn grow(chance: &mut Chance, tasks: u64, depth: u32) -> Self {
        if tasks <= 1 || depth > 6 {
            return Self::Task(Ask::new(chance));
        }
        match chance.within(0..4) {
            0 => Self::Chain(Self::parts(chance, tasks, depth)),
            1 => Self::All(Self::parts(chance, tasks, depth)),
            2 => Self::Gather {
                parts: Self::parts(chance, tasks - 1, depth),
                synthesis: Ask::new(chance),
            },
            _ => {
                let parts_max = chance.within(1..5).min(tasks - 1);
                let worker = Box::new(Self::grow(chance, (tasks - 1) / parts_max, depth + 1));
                Self::Decompose {
                    planner: Ask::new(chance),
                    worker,
                    parts_max,
                }
            }
        }
    }

    fn parts(chance: &mut Chance, tasks: u64, depth: u32) -> Vec<Self> {
        let count = chance.within(1..6).min(tasks);
        let mut parts: Vec<_> = (0..count)
            .map(|_| Self::grow(chance, tasks / count, depth + 1))
            .collect();
        if chance.percent(20) {
            parts.push(parts[0].clone());
        }
        parts
    }

    /// Adds timers: pauses in sequences, beside other parts, and as time limits of parts.
    pub(crate) fn add_timers(&mut self, chance: &mut Chance) {
        match self {
            Self::Task(_) | Self::Sleep(_) | Self::Race { .. } => {}
            Self::Chain(parts) | Self::All(parts) | Self::Gather { parts, .. } => {
                parts.iter_mut().for_each(|part| part.add_timers(chance));
                if chance.percent(30) {
                    let place = chance.place(parts.len() + 1);
                    parts.insert(place, Self::Sleep(delay(chance)));
                }
            }
            Self::Decompose { worker, .. } => worker.add_timers(chance),
        }
        if chance.percent(20) {
            let part = Box::new(std::mem::replace(self, Self::Sleep(Millis(0))));
            let limit = delay(chance);
            *self = Self::Race { part, limit };
        }
    }

    /// Changes one thing, as a user editing the flow would.
    pub(crate) fn edit(&mut self, chance: &mut Chance) {
        if chance.percent(30) {
            let mut lists = vec![];
            self.lists(&mut lists);
            if !lists.is_empty() {
                let place = chance.place(lists.len());
                let list = &mut lists[place];
                let part = chance.place(list.len());
                return match chance.percent(50) && list.len() > 1 {
                    true => drop(list.remove(part)),
                    false => list.push(list[part].clone()),
                };
            }
        }
        let mut asks = vec![];
        self.asks(&mut asks);
        if asks.is_empty() {
            return;
        }
        let place = chance.place(asks.len());
        match chance.within(0..6) {
            // Not part of the task's identity.
            0 => asks[place].priority += 1,
            1 => asks[place].own = chance.percent(70).then(|| PicoUsd(chance.within(0..600))),
            2 => asks[place].phase = chance.percent(80).then(|| chance.place(PHASES.len())),
            _ => asks[place].text = chance.any(),
        }
    }

    /// Changes every task.
    pub(crate) fn each(&mut self, change: impl Fn(&mut Ask)) {
        let mut asks = vec![];
        self.asks(&mut asks);
        asks.into_iter().for_each(change);
    }

    /// The sum of `of` over all tasks.
    pub(crate) fn sum(&mut self, of: impl Fn(&Ask) -> PicoUsd) -> PicoUsd {
        let mut asks = vec![];
        self.asks(&mut asks);
        asks.iter().map(|ask| of(ask)).sum()
    }

    /// The largest of the least reservations of its tasks' requests.
    pub(crate) fn least_max(&mut self) -> PicoUsd {
        let mut asks = vec![];
        self.asks(&mut asks);
        asks.iter()
            .map(|ask| ask.least_max())
            .max()
            .unwrap_or_default()
    }

    fn asks<'f>(&'f mut self, asks: &mut Vec<&'f mut Ask>) {
        match self {
            Self::Task(ask) => asks.push(ask),
            Self::Sleep(_) => {}
            Self::Race { part, .. } => part.asks(asks),
            Self::Chain(parts) | Self::All(parts) => {
                parts.iter_mut().for_each(|part| part.asks(asks));
            }
            Self::Gather { parts, synthesis } => {
                parts.iter_mut().for_each(|part| part.asks(asks));
                asks.push(synthesis);
            }
            Self::Decompose {
                planner, worker, ..
            } => {
                asks.push(planner);
                worker.asks(asks);
            }
        }
    }

    fn lists<'f>(&'f mut self, lists: &mut Vec<&'f mut Vec<Flow>>) {
        match self {
            Self::Task(_) | Self::Sleep(_) => {}
            Self::Race { part: inner, .. } | Self::Decompose { worker: inner, .. } => {
                inner.lists(lists);
            }
            // Either a list or its content: both cannot be borrowed at once.
            Self::Chain(parts) | Self::All(parts) | Self::Gather { parts, .. } => {
                match parts.iter().any(Self::has_lists) {
                    true => parts.iter_mut().for_each(|part| part.lists(lists)),
                    false => lists.push(parts),
                }
            }
        }
    }

    fn has_lists(&self) -> bool {
        match self {
            Self::Task(_) | Self::Sleep(_) => false,
            Self::Race { part, .. } => part.has_lists(),
            Self::Chain(_) | Self::All(_) | Self::Gather { .. } | Self::Decompose { .. } => true,
        }
    }
}

/// The time of a timer: from nothing to longer than most runs, and often that of another one.
fn delay(chance: &mut Chance) -> Millis {
    match chance.within(0..10) {
        0 => Millis(0),
        1..4 => Millis(chance.within(1..6) * 500),
        4..9 => Millis(chance.within(1..10_000)),
        _ => Millis(chance.within(10_000..200_000)),
    }
}
