//! `agent`, `agent.outcome` and `shell`: the functions that make tasks.

use super::refusal::Refusal;
use super::{Scope, convert, site};
use crate::options;
use crate::state::{Asked, Form, Next, Shared, Waiting};
use crate::{Call, Expect, Site};
use divisi_core::Task;
use rquickjs::{Ctx, Function, Object, Promise, Result, Value, function::Opt};
use std::rc::Rc;

pub(super) fn agent<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
    form: Form,
) -> Result<Function<'js>> {
    let (shared, scope) = (shared.clone(), scope.clone());
    let ask = move |ctx: Ctx<'js>, prompt: Opt<Value<'js>>, options: Opt<Value<'js>>| {
        let maker = Maker { ctx: &ctx, shared: &shared, scope: &scope };
        maker.promise(form, |site| maker.task(prompt.0, options.0, site))
    };
    Function::new(ctx.clone(), ask)?.with_name(if form == Form::Value { "agent" } else { "outcome" })
}

pub(super) fn shell<'js>(ctx: &Ctx<'js>, shared: &Shared, scope: &Rc<Scope>) -> Result<Function<'js>> {
    let (shared, scope) = (shared.clone(), scope.clone());
    let ask = move |ctx: Ctx<'js>, command: Opt<Value<'js>>, options: Opt<Value<'js>>| {
        let maker = Maker { ctx: &ctx, shared: &shared, scope: &scope };
        maker.promise(Form::Value, |site| {
            let (task, expect) = maker.task(command.0, options.0, site)?;
            Ok((Task { executor: Some("shell".into()), required: true, ..task }, expect))
        })
    };
    Function::new(ctx.clone(), ask)?.with_name("shell")
}

struct Maker<'a, 'js> {
    ctx: &'a Ctx<'js>,
    shared: &'a Shared,
    scope: &'a Scope,
}

impl<'js> Maker<'_, 'js> {
    /// Hands out the task that `make` makes; the promise is of its result.
    ///
    /// A refusal rejects the promise, since that is what callers handle.
    fn promise(
        &self,
        form: Form,
        make: impl FnOnce(&Option<Site>) -> std::result::Result<(Task, Expect), Refusal>,
    ) -> Result<Promise<'js>> {
        let (promise, resolve, reject) = self.ctx.promise()?;
        let site = site::here(self.ctx, self.scope);
        let Next { is_informed, elements_max } = std::mem::take(&mut self.shared.borrow_mut().next);
        match self.may_ask().and_then(|()| make(&site)) {
            Ok((task, expect)) => {
                let asked = Asked::Task { title: task.title(), required: task.required, form };
                let mut state = self.shared.borrow_mut();
                let group = state.groups.current();
                let waiting = Waiting::new(self.ctx, resolve, reject, site.clone(), asked, group);
                let id = state.next_id();
                let expect = Expect { max: elements_max, ..expect };
                state.ask(Call::Task { id, task, site, group, expect, is_informed }, waiting);
            }
            Err(refusal) => {
                let error = refusal.into_js(self.ctx)?;
                match form {
                    Form::Value => reject.call::<_, ()>((error,))?,
                    Form::Outcome => resolve.call::<_, ()>((refused(self.ctx, error)?,))?,
                }
            }
        }
        Ok(promise)
    }

    fn may_ask(&self) -> std::result::Result<(), Refusal> {
        let state = self.shared.borrow();
        let agents_max = state.options.limits.agents_max;
        if state.next_id().0 >= agents_max {
            return Err(Refusal::Range(format!("this run has made {agents_max} calls, no more are allowed")));
        }
        match state.options.budget_total {
            Some(total) if state.spent() >= total => Err(Refusal::Other(format!(
                "the token budget is spent: {} of {total} output tokens",
                state.spent()
            ))),
            Some(_) | None => Ok(()),
        }
    }

    fn task(
        &self,
        prompt: Option<Value<'js>>,
        options: Option<Value<'js>>,
        site: &Option<Site>,
    ) -> std::result::Result<(Task, Expect), Refusal> {
        let mut task = Task::new(self.prompt(prompt)?);
        let mut expect = Expect::default();
        match options {
            None => {}
            Some(none) if none.is_undefined() || none.is_null() => {}
            Some(value) => match value.as_object() {
                Some(object) => options::read(self.ctx, self.shared, site, object, &mut task, &mut expect)?,
                None => {
                    return Err(Refusal::Type(format!(
                        "the second argument has to be an object of options, not {}",
                        value.type_name()
                    )));
                }
            },
        }
        task.phase = self.scope.phases.of(task.phase.take());
        Ok((task, expect))
    }

    fn prompt(&self, prompt: Option<Value<'js>>) -> std::result::Result<String, Refusal> {
        let string = prompt.as_ref().and_then(Value::as_string).ok_or_else(|| {
            let what = prompt.as_ref().map_or("nothing", Value::type_name);
            Refusal::Type(format!("the first argument has to be the prompt, a string; it is {what}"))
        })?;
        let prompt = convert::text(self.ctx, string)?;
        if prompt.trim().is_empty() {
            return Err(Refusal::Type("the prompt is empty".to_owned()));
        }
        Ok(prompt)
    }
}

/// What `agent.outcome` says of a task that was never made.
fn refused<'js>(ctx: &Ctx<'js>, error: Value<'js>) -> Result<Object<'js>> {
    let reason: Value<'js> = error.as_object().map_or(Ok(error.clone()), |error| error.get("message"))?;
    let outcome = Object::new(ctx.clone())?;
    outcome.set("status", "failed")?;
    outcome.set("value", Value::new_null(ctx.clone()))?;
    outcome.set("reason", reason)?;
    outcome.set("model", Value::new_null(ctx.clone()))?;
    outcome.set("attempts", 0)?;
    outcome.set("cost", 0)?;
    Ok(outcome)
}
