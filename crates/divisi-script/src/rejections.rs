//! Promises that were rejected, and that nothing in the script has handled yet.
//!
//! The engine tells of a rejection when it happens, and again when a handler is
//! added later. What is left when the script has ended is an error that it would
//! otherwise never hear of.

use rquickjs::{Ctx, Persistent, Value};
use std::collections::VecDeque;

/// Promises that were rejected, and that nothing in the script has handled yet.
///
/// Bounded by the memory that a script may use, since every one of them is a
/// promise of its own.
#[derive(Default)]
pub(crate) struct Rejections {
    left: VecDeque<Rejected>,
    /// Whether what is rejected now is told by itself: the failure of a task is a
    /// fact of the run, whether or not the script looks at it.
    pub(crate) is_told: bool,
}

struct Rejected {
    promise: Persistent<Value<'static>>,
    reason: Persistent<Value<'static>>,
}

impl Rejections {
    /// A promise is rejected without a handler.
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

    /// One of them has got its handler.
    pub(crate) fn handled<'js>(&mut self, ctx: &Ctx<'js>, promise: &Value<'js>) {
        let is_it = |known: &Rejected| {
            known
                .promise
                .clone()
                .restore(ctx)
                .is_ok_and(|known| known == *promise)
        };
        // Mostly they are handled one right after the other, or at once.
        let place = match self.left.back().is_some_and(is_it) {
            true => self.left.len().checked_sub(1),
            false => self.left.iter().position(is_it),
        };
        place.and_then(|place| self.left.remove(place));
    }

    /// The reason of the first that is left, and how many are.
    pub(crate) fn first<'js>(&self, ctx: &Ctx<'js>) -> Option<(Value<'js>, usize)> {
        let reason = self.left.front()?.reason.clone().restore(ctx).ok()?;
        Some((reason, self.left.len()))
    }

    pub(crate) fn clear(&mut self) {
        self.left.clear();
    }
}
