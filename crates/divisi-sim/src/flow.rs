//! What is asked for: the four patterns, nested in each other.

use crate::chance::Chance;
use divisi_core::key::KeyParts;
use divisi_core::{FailureClass, Isolation, Key, PicoUsd};

/// A part of a flow, with a value once it is done.
#[derive(Clone, Debug)]
pub(crate) enum Flow {
    /// One task.
    Task(Ask),
    /// One after the other, each with the value of the one before.
    Chain(Vec<Flow>),
    /// All at once.
    All(Vec<Flow>),
    /// All at once, then a synthesis.
    Gather { parts: Vec<Flow>, synthesis: Ask },
    /// As many parts as a planner says.
    Decompose { planner: Ask, worker: Box<Flow>, parts_max: u64 },
}

/// One `agent` call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) text: u64,
    /// How many requests it takes.
    pub(crate) turns: usize,
    /// Most that one of them costs.
    pub(crate) turn_max: PicoUsd,
    pub(crate) priority: u32,
    pub(crate) fate: Fate,
    /// Whether another program carries it out, which reports its cost at the end.
    pub(crate) by_program: bool,
    pub(crate) awaited: bool,
    /// Whether the flow throws if it fails.
    pub(crate) required: bool,
}

/// How a task ends if nothing disturbs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Succeeds,
    Fails(FailureClass),
    /// It asks for what is not there, which is known when it is submitted.
    Useless,
}

impl Flow {
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
            2 => Self::Gather { parts: Self::parts(chance, tasks - 1, depth), synthesis: Ask::new(chance) },
            _ => {
                let parts_max = chance.within(1..5).min(tasks - 1);
                let worker = Box::new(Self::grow(chance, (tasks - 1) / parts_max, depth + 1));
                Self::Decompose { planner: Ask::new(chance), worker, parts_max }
            }
        }
    }

    fn parts(chance: &mut Chance, tasks: u64, depth: u32) -> Vec<Self> {
        let count = chance.within(1..6).min(tasks);
        let mut parts: Vec<_> = (0..count).map(|_| Self::grow(chance, tasks / count, depth + 1)).collect();
        if chance.percent(20) {
            parts.push(parts[0].clone());
        }
        parts
    }

    /// Changes one thing, as someone with an editor would.
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
        let place = chance.place(asks.len());
        match chance.within(0..3) {
            // Not part of its identity.
            0 => asks[place].priority += 1,
            _ => asks[place].text = chance.any(),
        }
    }

    fn asks<'f>(&'f mut self, asks: &mut Vec<&'f mut Ask>) {
        match self {
            Self::Task(ask) => asks.push(ask),
            Self::Chain(parts) | Self::All(parts) => parts.iter_mut().for_each(|part| part.asks(asks)),
            Self::Gather { parts, synthesis } => {
                parts.iter_mut().for_each(|part| part.asks(asks));
                asks.push(synthesis);
            }
            Self::Decompose { planner, worker, .. } => {
                asks.push(planner);
                worker.asks(asks);
            }
        }
    }

    fn lists<'f>(&'f mut self, lists: &mut Vec<&'f mut Vec<Flow>>) {
        match self {
            Self::Task(_) => {}
            Self::Decompose { worker, .. } => worker.lists(lists),
            // Either a list or what is in it: both cannot be lent at once.
            Self::Chain(parts) | Self::All(parts) | Self::Gather { parts, .. } => {
                match parts.iter().any(|part| !matches!(part, Self::Task(_))) {
                    true => parts.iter_mut().for_each(|part| part.lists(lists)),
                    false => lists.push(parts),
                }
            }
        }
    }
}

impl Ask {
    fn new(chance: &mut Chance) -> Self {
        let class = match chance.within(0..3) {
            0 => FailureClass::Declined,
            1 => FailureClass::Turns,
            _ => FailureClass::Auth,
        };
        Self {
            text: chance.any(),
            turns: if chance.percent(60) { 1 } else { chance.within(1..6) as usize },
            turn_max: PicoUsd(chance.within(1..100)),
            priority: chance.within(0..3) as u32,
            fate: match chance.within(0..100) {
                0..86 => Fate::Succeeds,
                86..97 => Fate::Fails(class),
                _ => Fate::Useless,
            },
            by_program: chance.percent(15),
            awaited: !chance.percent(5),
            required: chance.percent(6),
        }
    }

    /// What `turn` may cost; a conversation grows, and so does its price.
    pub(crate) fn cost_max(&self, turn: usize) -> PicoUsd {
        PicoUsd(self.turn_max.0 * (turn as u64 + 4) / 4)
    }

    /// The identity of this call with this prompt.
    pub(crate) fn key(&self, prompt: &str) -> Key {
        let executor = if self.by_program { "command" } else { "api" };
        Key::of(&KeyParts {
            prompt,
            context: None,
            schema: None,
            models: &[],
            effort: None,
            executor,
            agent: None,
            tools: &[],
            isolation: Isolation::None,
            inputs: &[],
        })
    }
}
