//! The work of the tasks in one draw.

use divisi_core::PicoUsd;
use divisi_core::budget::{Grant, TurnBound};

/// The work of a task on one model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Leg {
    /// The model family; `None` if no vendor is used.
    pub family: Option<u16>,
    /// Number of requests, in sequence.
    pub requests: u32,
    /// Milliseconds of all of them together.
    pub took: u32,
    /// Tokens of all prompts that count against limits.
    pub input: u32,
    /// Tokens of all replies.
    pub output: u32,
    /// Cost of all of them together.
    pub cost: PicoUsd,
    /// Bound of the cost of each.
    pub bound: TurnBound,
}

/// Room for a reply as a multiple of its length: about what a run has learnt to be enough.
const ROOM: u32 = 2;

impl Leg {
    /// The usual grant of one of its requests while money is short.
    pub(super) fn usual(&self) -> Grant {
        let enough = self.output / self.requests.max(1) * ROOM;
        self.bound.usual(Some(enough), false)
    }
}

/// The work of all tasks in one draw, in their order.
#[derive(Clone, Debug, Default)]
pub struct Works {
    legs: Vec<Leg>,
    /// Where the legs of each task begin.
    begin: Vec<u32>,
}

impl Works {
    /// Adds a leg of the task at this index; indices must not decrease.
    pub fn push(&mut self, task: usize, leg: Leg) {
        while self.begin.len() <= task {
            self.begin.push(self.legs.len() as u32);
        }
        self.legs.push(Leg {
            requests: leg.requests.max(1),
            ..leg
        });
    }

    /// Total number of requests.
    pub fn requests(&self) -> u64 {
        self.legs.iter().map(|leg| u64::from(leg.requests)).sum()
    }

    /// The least reservation for a request of the first `count` tasks; zero if one of them sends
    /// none.
    pub(super) fn least(&self, count: usize) -> PicoUsd {
        match (0..count).all(|task| self.leg(task, 0).is_some()) {
            true => self
                .legs
                .iter()
                .map(|leg| leg.usual().reserved)
                .min()
                .unwrap_or_default(),
            false => PicoUsd::ZERO,
        }
    }

    pub(super) fn clear(&mut self) {
        self.legs.clear();
        self.begin.clear();
    }

    /// A leg of a task; `None` after the last.
    pub(super) fn leg(&self, task: usize, place: u32) -> Option<&Leg> {
        let begin = *self.begin.get(task)?;
        let end = self
            .begin
            .get(task + 1)
            .map_or(self.legs.len(), |end| *end as usize);
        self.legs[begin as usize..end].get(place as usize)
    }
}
