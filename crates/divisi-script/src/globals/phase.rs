//! `phase(title, options)`: the phase of the next tasks, and the cap of their cost.

use super::{Scope, site};
use crate::state::Shared;
use crate::{convert, options};
use rquickjs::{Coerced, Ctx, Function, Result, Value, function::Opt};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// The phases of one execution.
#[derive(Default)]
pub(super) struct Phases {
    /// The phase of a nested script, which contains all its own phases.
    group: Option<Arc<str>>,
    current: RefCell<Option<Arc<str>>>,
}

impl Phases {
    pub(super) fn under(title: &str) -> Self {
        Self {
            group: Some(format!("▸ {title}").into()),
            current: RefCell::default(),
        }
    }

    /// The phase of a task that names `phase`, or else the current one.
    pub(super) fn of(&self, phase: Option<Arc<str>>) -> Option<Arc<str>> {
        match phase {
            Some(title) => Some(self.name(&title)),
            None => self.current.borrow().clone().or_else(|| self.group.clone()),
        }
    }

    /// The name shown for the phase that a script calls `title`.
    pub(super) fn name(&self, title: &str) -> Arc<str> {
        match &self.group {
            Some(group) => format!("{group}: {title}").into(),
            None => title.into(),
        }
    }
}

pub(super) fn phase<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
) -> Result<Function<'js>> {
    let (shared, scope) = (shared.clone(), scope.clone());
    let begin =
        move |ctx: Ctx<'js>, title: Opt<Value<'js>>, options: Opt<Value<'js>>| -> Result<()> {
            let title = match title.0.as_ref().map(|title| (title, title.as_string())) {
                None => return Ok(()),
                Some((_, Some(string))) => convert::text(&ctx, string)?,
                Some((other, None)) => other.get::<Coerced<String>>()?.0,
            };
            let title = scope.phases.name(&title);
            let cap = match &options.0 {
                Some(options) => {
                    let site = site::here(&ctx, &scope);
                    let read = options::read_phase(&ctx, &shared, &site, options);
                    read.or_else(|refusal| Err(ctx.throw(refusal.into_js(&ctx)?)))?
                }
                None => None,
            };
            shared.borrow_mut().phase(title.to_string(), cap);
            *scope.phases.current.borrow_mut() = Some(title);
            Ok(())
        };
    Function::new(ctx.clone(), begin)?.with_name("phase")
}
