//! `agent`, `agent.outcome`, `shell`, `approve` and `approve.outcome`: the functions that create
//! tasks.

use super::ask::{Spot, ask, may_ask};
use super::{Scope, checked::checked, outcome, site};
use crate::options::{self, Wanted};
use crate::refusal::Refusal;
use crate::state::{Asked, Form, Next, Shared};
use crate::{Expect, Site, convert};
use divisi_core::{PicoUsd, Task};
use rquickjs::{Ctx, Function, Object, Promise, Result, Value, function::Opt};
use std::rc::Rc;

pub(super) fn agent<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
    form: Form,
) -> Result<Function<'js>> {
    let name = name_of(form, "agent");
    function(ctx, shared, scope, name, move |maker, prompt, options| {
        maker.promise(form, |site| maker.task(prompt, options, site))
    })
}

pub(super) fn shell<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
) -> Result<Function<'js>> {
    function(ctx, shared, scope, "shell", |maker, command, options| {
        maker.promise(Form::Value, |site| {
            let wanted = maker.task(command, options, site)?;
            let task = Task {
                executor: Some(Task::SHELL.into()),
                required: true,
                ..wanted.task
            };
            Ok(Wanted { task, ..wanted })
        })
    })
}

pub(super) fn approve<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
    form: Form,
) -> Result<Function<'js>> {
    let name = name_of(form, "approve");
    function(ctx, shared, scope, name, move |maker, question, options| {
        maker.promise(form, |site| maker.question(question, options, site))
    })
}

/// The name of a function that gives values, or of its property that gives outcomes.
fn name_of(form: Form, name: &'static str) -> &'static str {
    if form == Form::Value { name } else { "outcome" }
}

/// A function of a text and options.
fn function<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
    name: &str,
    make: impl Fn(&Maker<'_, 'js>, Option<Value<'js>>, Option<Value<'js>>) -> Result<Promise<'js>> + 'js,
) -> Result<Function<'js>> {
    let (shared, scope) = (shared.clone(), scope.clone());
    let ask = move |ctx: Ctx<'js>, text: Opt<Value<'js>>, options: Opt<Value<'js>>| {
        let maker = Maker {
            ctx: &ctx,
            shared: &shared,
            scope: &scope,
        };
        make(&maker, text.0, options.0)
    };
    Function::new(ctx.clone(), ask)?.with_name(name)
}

struct Maker<'a, 'js> {
    ctx: &'a Ctx<'js>,
    shared: &'a Shared,
    scope: &'a Scope,
}

impl<'js> Maker<'_, 'js> {
    /// Hands out the task that `make` builds; the promise resolves to its result.
    ///
    /// A refusal rejects the promise, since callers handle rejections.
    fn promise(
        &self,
        form: Form,
        make: impl FnOnce(&Option<Site>) -> std::result::Result<Wanted<'js>, Refusal>,
    ) -> Result<Promise<'js>> {
        let (site, column) = site::here_to_the_column(self.ctx, self.scope).unzip();
        let column = match (&site, column) {
            (Some(site), Some(column)) => {
                let state = self.shared.borrow();
                state.column(&site.script, site.line, column)
            }
            _ => 0,
        };
        // Taken even if the task is refused: otherwise these facts would describe the next one.
        let Next {
            is_informed,
            elements_max,
        } = std::mem::take(&mut self.shared.borrow_mut().next);
        let Wanted {
            task,
            expect,
            priority,
            functions,
        } = match may_ask(self.shared)
            .and_then(|()| make(&site))
            .and_then(can_be_checked)
        {
            Ok(wanted) => wanted,
            Err(refusal) => return self.refuse(form, refusal),
        };
        let group = self.shared.borrow_mut().groups.current();
        let is_checked = !functions.is_empty();
        let expect = Expect {
            max: elements_max,
            ..expect
        };
        let spot = Spot {
            site,
            column,
            group,
            expect,
            priority,
            is_informed,
            is_checked,
        };
        if !is_checked || self.shared.borrow().options.assumes_checks {
            let asked = Asked::Task {
                title: task.title(),
                required: task.required,
                form,
            };
            return ask(self.ctx, self.shared, spot, task, asked);
        }
        checked(self.ctx, self.shared, spot, task, functions, form)
    }

    fn refuse(&self, form: Form, refusal: Refusal) -> Result<Promise<'js>> {
        let (promise, resolve, reject) = self.ctx.promise()?;
        let error = refusal.into_js(self.ctx)?;
        match form {
            Form::Value => reject.call::<_, ()>((error,))?,
            Form::Outcome => {
                let outcome = outcome::refused(self.ctx, error, 0, PicoUsd::ZERO)?;
                resolve.call::<_, ()>((outcome,))?;
            }
        }
        Ok(promise)
    }

    fn task(
        &self,
        prompt: Option<Value<'js>>,
        options: Option<Value<'js>>,
        site: &Option<Site>,
    ) -> std::result::Result<Wanted<'js>, Refusal> {
        let mut wanted = Wanted::new(Task::new(self.text(prompt, "the prompt")?));
        if let Some(options) = object(&options)? {
            options::read(self.ctx, self.shared, site, options, &mut wanted)?;
        }
        self.placed(wanted, "the option `context`")
    }

    fn question(
        &self,
        question: Option<Value<'js>>,
        options: Option<Value<'js>>,
        site: &Option<Site>,
    ) -> std::result::Result<Wanted<'js>, Refusal> {
        let question = self.text(question, "the question")?;
        let options = object(&options)?;
        let wanted = options::read_question(self.ctx, self.shared, site, question, options)?;
        self.placed(wanted, "the option `show`")
    }

    /// The request in its phase. Its context comes from the option that is `named`.
    fn placed(
        &self,
        mut wanted: Wanted<'js>,
        named: &str,
    ) -> std::result::Result<Wanted<'js>, Refusal> {
        wanted.task.phase = self.scope.phases.of(wanted.task.phase.take());
        let context = wanted.task.context.as_deref().unwrap_or_default();
        match self.shared.borrow().spoils(named, context) {
            Some(message) => Err(Refusal::Type(message)),
            None => Ok(wanted),
        }
    }

    /// The first argument, which is `what`.
    fn text(&self, prompt: Option<Value<'js>>, what: &str) -> std::result::Result<String, Refusal> {
        let string = prompt.as_ref().and_then(Value::as_string).ok_or_else(|| {
            let given = prompt.as_ref().map_or("nothing", Value::type_name);
            Refusal::Type(format!(
                "the first argument has to be {what}, a string; it is {given}"
            ))
        })?;
        let prompt = convert::text(self.ctx, string)?;
        if prompt.trim().is_empty() {
            return Err(Refusal::Type(format!("{what} is empty")));
        }
        match self.shared.borrow().spoils(what, &prompt) {
            Some(message) => Err(Refusal::Type(message)),
            None => Ok(prompt),
        }
    }
}

/// The second argument: an object of options, or nothing.
fn object<'a, 'js>(
    options: &'a Option<Value<'js>>,
) -> std::result::Result<Option<&'a Object<'js>>, Refusal> {
    let given = options
        .as_ref()
        .filter(|value| !value.is_undefined() && !value.is_null());
    let Some(value) = given else { return Ok(None) };
    value.as_object().map(Some).ok_or_else(|| {
        Refusal::Type(format!(
            "the second argument has to be an object of options, not {}",
            value.type_name()
        ))
    })
}

/// A function cannot check a command: no model reads its findings to mend the result.
fn can_be_checked(wanted: Wanted<'_>) -> std::result::Result<Wanted<'_>, Refusal> {
    match wanted.task.is_shell() && !wanted.functions.is_empty() {
        true => Err(Refusal::Type(
            "the option `check` of a command cannot be a function: look at its result instead"
                .to_owned(),
        )),
        false => Ok(wanted),
    }
}
