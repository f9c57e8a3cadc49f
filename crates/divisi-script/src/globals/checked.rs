//! `agent` with functions as checks: one task for the script, several for the engine.

use super::ask::{Spot, ask, may_ask};
use super::outcome::{self, Named};
use super::prelude;
use crate::call::TaskStatus;
use crate::convert;
use crate::state::{Asked, Form, Shared};
use crate::trial::Trial;
use divisi_core::{FailureClass, Task};
use rquickjs::{Ctx, Function, Persistent, Promise, Result, Value, function::Opt};
use std::cell::RefCell;
use std::rc::Rc;

/// Requests `task` until `functions` accept its result.
pub(super) fn checked<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    spot: Spot,
    task: Task,
    functions: Vec<Function<'js>>,
    form: Form,
) -> Result<Promise<'js>> {
    let trial = Rc::new(RefCell::new(Trial::new(task)));
    let again = asker(ctx, shared, &spot, &trial)?;
    let end = ender(ctx, shared, &spot, &trial, form)?;
    checker(ctx, shared)?.call((again, end, functions))
}

/// The prelude's helper, compiled once.
fn checker<'js>(ctx: &Ctx<'js>, shared: &Shared) -> Result<Function<'js>> {
    let known = shared.borrow().checker.clone();
    match known {
        Some(checker) => checker.restore(ctx),
        None => {
            let checker = prelude::checker(ctx)?;
            shared.borrow_mut().checker = Some(Persistent::save(ctx, checker.clone()));
            Ok(checker)
        }
    }
}

/// `ask(findings)`: the value of the next try; `undefined` if there is none.
fn asker<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    spot: &Spot,
    trial: &Rc<RefCell<Trial>>,
) -> Result<Function<'js>> {
    let (shared, spot, trial) = (shared.clone(), spot.clone(), trial.clone());
    let again = move |ctx: Ctx<'js>, findings: Opt<rquickjs::String<'js>>| -> Result<Value<'js>> {
        let next = match &findings.0 {
            None => Some(trial.borrow_mut().begin()),
            Some(findings) => {
                let findings = shared.borrow().cut(convert::text(&ctx, findings)?);
                trial.borrow_mut().go_on(&findings)
            }
        };
        let Some(task) = next else {
            return Ok(Value::new_undefined(ctx));
        };
        if let Err(refusal) = may_ask(&shared) {
            return Err(ctx.throw(refusal.into_js(&ctx)?));
        }
        ask(&ctx, &shared, spot.clone(), task, Asked::Try(trial.clone())).map(Promise::into_value)
    };
    Function::new(ctx.clone(), again)
}

/// `end(error)`: the final result for the script.
fn ender<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    spot: &Spot,
    trial: &Rc<RefCell<Trial>>,
    form: Form,
) -> Result<Function<'js>> {
    let (shared, spot, trial) = (shared.clone(), spot.clone(), trial.clone());
    let end = move |ctx: Ctx<'js>, error: Opt<Value<'js>>| -> Result<Value<'js>> {
        // The check may have requested tasks in another group.
        shared.borrow_mut().groups.go_on_in(spot.group);
        let trial = trial.borrow();
        match (error.0, form) {
            (Some(error), Form::Value) => {
                return Err(ctx.throw(outcome::placed(error, spot.site.as_ref())?));
            }
            (Some(error), Form::Outcome) => {
                let (attempts, cost) = trial.spent();
                return outcome::refused(&ctx, error, attempts, cost);
            }
            (None, _) => {}
        }
        warn_if_refused(&shared, &spot, &trial);
        let (title, required) = (trial.task().title(), trial.task().required);
        match outcome::told(
            &ctx,
            form,
            &Named {
                title: &title,
                required,
            },
            &trial.end(),
        )? {
            Ok(value) => Ok(value),
            Err(message) => Err(ctx.throw(outcome::error_at(&ctx, &message, spot.site.as_ref())?)),
        }
    };
    Function::new(ctx.clone(), end)
}

/// For the engine every try succeeded; only the host knows that the checks refused them all.
fn warn_if_refused(shared: &Shared, spot: &Spot, trial: &Trial) {
    let ended = trial.end();
    if let (TaskStatus::Failed, Some(FailureClass::Check), Some(reason)) =
        (ended.status, ended.class, ended.reason)
    {
        let message = format!(
            "`{}` has no result, its check failed: {reason}",
            trial.task().title()
        );
        shared
            .borrow_mut()
            .warn_once(message.clone(), message, spot.site.clone());
    }
}
