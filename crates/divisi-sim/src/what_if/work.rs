//! What the tasks take in one draw.

use divisi_core::PicoUsd;
use divisi_core::budget::TurnBound;

/// What one task takes on one model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Leg {
    /// The models that its own is limited with; `None` where no vendor is asked.
    pub family: Option<u16>,
    /// How many requests, one after the other.
    pub requests: u32,
    /// Milliseconds of all of them.
    pub took: u32,
    /// Tokens of all prompts, as far as they count.
    pub input: u32,
    /// Tokens of all replies.
    pub output: u32,
    /// What all of them cost.
    pub cost: PicoUsd,
    /// What each of them may cost.
    pub bound: TurnBound,
}

/// What all tasks take in one draw, in their order.
#[derive(Clone, Debug, Default)]
pub struct Works {
    legs: Vec<Leg>,
    /// Where those of each task begin.
    begin: Vec<u32>,
}

impl Works {
    /// The next leg is one of the task at this place; places do not go back.
    pub fn push(&mut self, task: usize, leg: Leg) {
        while self.begin.len() <= task {
            self.begin.push(self.legs.len() as u32);
        }
        self.legs.push(Leg {
            requests: leg.requests.max(1),
            ..leg
        });
    }

    /// How many requests there are.
    pub fn requests(&self) -> u64 {
        self.legs.iter().map(|leg| u64::from(leg.requests)).sum()
    }

    /// The least that one of `count` tasks reserves for a request; nothing where one
    /// sends none.
    pub(super) fn least(&self, count: usize) -> PicoUsd {
        match (0..count).all(|task| self.leg(task, 0).is_some()) {
            true => self
                .legs
                .iter()
                .map(|leg| leg.bound.most())
                .min()
                .unwrap_or_default(),
            false => PicoUsd::ZERO,
        }
    }

    pub(super) fn clear(&mut self) {
        self.legs.clear();
        self.begin.clear();
    }

    /// One of the legs of a task; `None` behind the last.
    pub(super) fn leg(&self, task: usize, place: u32) -> Option<&Leg> {
        let begin = *self.begin.get(task)?;
        let end = self
            .begin
            .get(task + 1)
            .map_or(self.legs.len(), |end| *end as usize);
        self.legs[begin as usize..end].get(place as usize)
    }
}
