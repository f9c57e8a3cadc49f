//! Hands out tasks, for every function of the script that requests one.

use crate::refusal::Refusal;
use crate::state::{Asked, Shared, Waiting};
use crate::{Call, Expect, GroupId, Site};
use divisi_core::Task;
use divisi_core::event::Refusal as Limit;
use rquickjs::{Ctx, Promise, Result};

/// Where a task is requested, and the facts known there.
#[derive(Clone)]
pub(super) struct Spot {
    pub(super) site: Option<Site>,
    pub(super) column: u32,
    pub(super) group: Option<GroupId>,
    pub(super) expect: Expect,
    pub(super) priority: u32,
    pub(super) is_informed: bool,
    pub(super) is_checked: bool,
}

/// Hands out `task`.
pub(super) fn ask<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    spot: Spot,
    task: Task,
    asked: Asked,
) -> Result<Promise<'js>> {
    let (promise, resolve, reject) = ctx.promise()?;
    let Spot {
        site,
        column,
        group,
        expect,
        priority,
        is_informed,
        is_checked,
    } = spot;
    let waiting = Waiting::new(ctx, resolve, reject, site.clone(), asked, group);
    let mut state = shared.borrow_mut();
    let id = state.next_id();
    let task = Box::new(task);
    state.ask(
        Call::Task {
            id,
            task,
            site,
            column,
            group,
            expect,
            priority,
            is_informed,
            is_checked,
        },
        waiting,
    );
    Ok(promise)
}

/// Whether the run's limits permit one more call. A refusal is counted.
pub(super) fn may_ask(shared: &Shared) -> std::result::Result<(), Refusal> {
    let refused = shared.borrow_mut().refuse();
    let spent = shared.borrow().spent();
    match refused {
        None => Ok(()),
        Some(Limit::Tokens { total }) => {
            let message = format!("the token budget is spent: {spent} of {total} output tokens");
            Err(Refusal::Other(message))
        }
        Some(_) => {
            let calls_max = shared.borrow().calls_max();
            Err(Refusal::Range(format!(
                "this run has made {calls_max} calls, which is as many as it may make; if it is \
                 meant to make more, write for example `maxAgents: {}` in `meta`, or raise \
                 `agents_max` in the settings",
                calls_max.saturating_mul(10)
            )))
        }
    }
}
