//! Rejected promises without a handler.
//!
//! The engine reports a rejection when it happens, and again when a handler is added later.
//! Rejections left at the script's end are errors that would otherwise go unnoticed.

use rquickjs::{Ctx, Persistent, Value};
use std::collections::VecDeque;

/// Rejected promises without a handler.
///
/// Bounded by the script's memory limit, since each is a promise in that memory.
#[derive(Default)]
pub(crate) struct Rejections {
    left: VecDeque<Rejected>,
    /// Whether current rejections are reported elsewhere: the failure of a task is recorded in the
    /// run, whether or not the script handles it.
    pub(crate) is_told: bool,
}

struct Rejected {
    promise: Persistent<Value<'static>>,
    reason: Persistent<Value<'static>>,
}

impl Rejections {
    /// A promise was rejected without a handler.
    pub(crate) fn add<'js>(&mut self, ctx: &Ctx<'js>, promise: Value<'js>, reason: Value<'js>) {
        if self.is_told {
            return;
        }
        let (promise, reason) = (
            Persistent::save(ctx, promise),
            Persistent::save(ctx, reason),
        );
        self.left.push_back(Rejected { promise, reason });
    }

    /// A rejected promise got a handler.
    pub(crate) fn handled<'js>(&mut self, ctx: &Ctx<'js>, promise: &Value<'js>) {
        let is_it = |known: &Rejected| {
            known
                .promise
                .clone()
                .restore(ctx)
                .is_ok_and(|known| known == *promise)
        };
        // Most are handled immediately, so the latest one is checked first.
        let place = match self.left.back().is_some_and(is_it) {
            true => self.left.len().checked_sub(1),
            false => self.left.iter().position(is_it),
        };
        place.and_then(|place| self.left.remove(place));
    }

    /// The reason of the first one left, and their number.
    pub(crate) fn first<'js>(&self, ctx: &Ctx<'js>) -> Option<(Value<'js>, usize)> {
        let reason = self.left.front()?.reason.clone().restore(ctx).ok()?;
        Some((reason, self.left.len()))
    }

    pub(crate) fn clear(&mut self) {
        self.left.clear();
    }
}
