//! `timer(milliseconds)`: a promise that a time has passed, for `prelude/timers.js`.

use super::{Scope, site};
use crate::Call;
use crate::state::{Asked, Shared, Waiting};
use divisi_core::Millis;
use rquickjs::{Ctx, Exception, Function, Promise, Result};
use std::rc::Rc;

pub(super) fn timer<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
) -> Result<Function<'js>> {
    let (shared, scope) = (shared.clone(), scope.clone());
    let start = move |ctx: Ctx<'js>, millis: f64| -> Result<Promise<'js>> {
        let site = site::here(&ctx, &scope);
        let (promise, resolve, reject) = ctx.promise()?;
        let group = shared.borrow_mut().groups.current();
        let waiting = Waiting::new(&ctx, resolve, reject, site.clone(), Asked::Timer, group);
        let timers_max = shared.borrow().options.limits.timers_max;
        let asked = {
            let mut state = shared.borrow_mut();
            let timer = Call::Timer {
                id: state.next_id(),
                delay: Millis(millis as u64),
                site,
                group,
            };
            state.ask_timer(timer, waiting)
        };
        if !asked {
            let message = format!(
                "this run has started {timers_max} timers, which is as many as it may start"
            );
            return Err(Exception::throw_range(&ctx, &message));
        }
        Ok(promise)
    };
    Function::new(ctx.clone(), start)
}
