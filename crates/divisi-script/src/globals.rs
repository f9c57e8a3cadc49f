//! The globals of a script.
//!
//! They belong to one execution of the script: a nested script has its own `args`, phase and group.
//! Functions that hand out calls are native; functions built on those are JavaScript, in
//! `prelude/`.

mod agent;
mod ask;
mod budget;
mod checked;
mod group;
mod locale;
pub(crate) mod looking;
pub(crate) mod outcome;
mod phase;
mod plan;
mod prelude;
mod report;
mod site;
mod timer;
mod workflow;

pub(crate) use prelude::{install, json_culprit};

use crate::Script;
use crate::state::{Form, Shared};
use phase::Phases;
use rquickjs::{Ctx, Object, Result, Value};
use std::rc::Rc;
use std::sync::Arc;

/// One execution of a script.
pub(crate) struct Scope {
    pub(crate) script: Arc<str>,
    /// Its nesting depth: the number of scripts around it.
    pub(crate) depth: u32,
    /// See [`Meta::hands_on_null`](crate::Meta::hands_on_null).
    hands_on_null: bool,
    phases: Phases,
}

impl Scope {
    /// The execution of the first script.
    pub(crate) fn root(script: &Script) -> Rc<Self> {
        Rc::new(Self {
            script: script.name().clone(),
            depth: 0,
            hands_on_null: script.meta().hands_on_null,
            phases: Phases::default(),
        })
    }

    /// The execution of a script that another one calls.
    pub(crate) fn nested(script: &Script, depth: u32) -> Rc<Self> {
        Rc::new(Self {
            script: script.name().clone(),
            depth,
            hands_on_null: script.meta().hands_on_null,
            phases: Phases::under(&script.meta().name),
        })
    }

    /// The displayed name of the phase that the script calls `title`.
    pub(crate) fn phase_name(&self, title: &str) -> Arc<str> {
        self.phases.name(title)
    }
}

/// Builds the globals for `scope`.
pub(crate) fn scope<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
    args: Value<'js>,
) -> Result<Object<'js>> {
    let globals = Object::new(ctx.clone())?;
    let agent = agent::agent(ctx, shared, scope, Form::Value)?;
    agent.set("outcome", agent::agent(ctx, shared, scope, Form::Outcome)?)?;
    globals.set("agent", agent)?;
    globals.set("shell", agent::shell(ctx, shared, scope)?)?;
    let approve = agent::approve(ctx, shared, scope, Form::Value)?;
    approve.set(
        "outcome",
        agent::approve(ctx, shared, scope, Form::Outcome)?,
    )?;
    approve.set("refused", report::refused(ctx, shared)?)?;
    globals.set("approve", approve)?;
    globals.set("workflow", workflow::workflow(ctx, shared, scope)?)?;
    globals.set("phase", phase::phase(ctx, shared, scope)?)?;
    globals.set("budget", budget::budget(ctx, shared)?)?;
    globals.set("args", args)?;
    prelude::complete(ctx, shared, scope, &globals)?;
    Ok(globals)
}
