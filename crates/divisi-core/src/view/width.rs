//! How many tasks at a time the cap leaves room for.

use super::RunView;
use crate::PicoUsd;
use crate::run::Stage;
use serde::Serialize;

/// A run whose tasks wait because the rest of its budget is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NarrowedByCap {
    /// Number of tasks under way.
    pub at_once: u32,
    /// Number of tasks that would be under way without a cap.
    pub without: u32,
    /// A cap that would be enough for as many, judged by the tasks so far.
    pub enough: PicoUsd,
}

impl RunView {
    /// Whether the cap keeps tasks waiting, as far as events show it: slots are free, and less is
    /// left than the tasks under way have reserved on average.
    pub fn narrowed_by_cap(&self) -> Option<NarrowedByCap> {
        let cap = self.money.cap.filter(|_| self.stage == Stage::Running)?;
        let at_once = self.under_way.len() as u32;
        let elsewhere = (self.resting.len() + self.suspended.len()) as u32;
        let waiting = self.counts.open.saturating_sub(at_once + elsewhere);
        let without = (at_once + waiting).min(self.in_flight_max);
        let reserved = PicoUsd(self.money.reserved.0.checked_div(at_once.into())?);
        let spent = self.money.spent().total();
        let left = cap.saturating_sub(spent + self.money.reserved);
        (without > at_once && left < reserved).then(|| NarrowedByCap {
            at_once,
            without,
            enough: (spent + self.expected(reserved) + times(reserved, without)).enough(),
        })
    }

    /// The expected cost of all open tasks, by what ended ones have cost.
    fn expected(&self, reserved: PicoUsd) -> PicoUsd {
        let ended = self.counts.total() - self.counts.open;
        let each = self.spent().total().0.checked_div(ended.into());
        times(each.map_or(reserved, PicoUsd), self.counts.open)
    }
}

fn times(amount: PicoUsd, tasks: u32) -> PicoUsd {
    PicoUsd(amount.0.saturating_mul(tasks.into()))
}
