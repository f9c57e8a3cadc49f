//! `workflow(nameOrRef, args)`: another script, run as a part of this one.

use super::{Scope, site};
use crate::call::ScriptRef;
use crate::convert;
use crate::refusal::Refusal;
use crate::state::{Asked, Shared, Waiting};
use crate::{Call, Site};
use rquickjs::{Ctx, Function, Promise, Result, Value, function::Opt};
use std::rc::Rc;

pub(super) fn workflow<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
) -> Result<Function<'js>> {
    let (shared, scope) = (shared.clone(), scope.clone());
    let ask = move |ctx: Ctx<'js>,
                    reference: Opt<Value<'js>>,
                    args: Opt<Value<'js>>|
          -> Result<Promise<'js>> {
        let (promise, resolve, reject) = ctx.promise()?;
        match read(&ctx, &shared, &scope, reference.0, args.0) {
            Ok((reference, args)) => {
                let site: Option<Site> = site::here(&ctx, &scope);
                let asked = Asked::Load {
                    args,
                    depth: scope.depth + 1,
                };
                let mut state = shared.borrow_mut();
                let group = state.groups.current();
                let waiting = Waiting::new(&ctx, resolve, reject, site.clone(), asked, group);
                let id = state.next_id();
                state.ask(
                    Call::Load {
                        id,
                        reference,
                        site,
                    },
                    waiting,
                );
            }
            Err(refusal) => reject.call((refusal.into_js(&ctx)?,))?,
        }
        Ok(promise)
    };
    Function::new(ctx.clone(), ask)?.with_name("workflow")
}

fn read<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Scope,
    reference: Option<Value<'js>>,
    args: Option<Value<'js>>,
) -> std::result::Result<(ScriptRef, Option<String>), Refusal> {
    let nesting_max = shared.borrow().options.limits.nesting_max;
    if scope.depth >= nesting_max {
        return Err(Refusal::Other(format!(
            "workflow() can be nested {nesting_max} deep, no deeper"
        )));
    }
    let reference = reference
        .as_ref()
        .map_or(Ok(None), |value| self::reference(ctx, value))?;
    let reference = reference.ok_or_else(|| {
        Refusal::Type("workflow() takes the name of a saved flow, or {scriptPath}".to_owned())
    })?;
    let args = args.map_or(Ok(None), |args| convert::json(ctx, args))?;
    Ok((reference, args))
}

fn reference<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Option<ScriptRef>> {
    if let Some(name) = value.as_string() {
        return Ok(Some(ScriptRef::Name(convert::text(ctx, name)?)));
    }
    let Some(object) = value.as_object() else {
        return Ok(None);
    };
    for (key, make) in [
        ("scriptPath", ScriptRef::Path as fn(String) -> ScriptRef),
        ("name", ScriptRef::Name),
    ] {
        if let Some(text) = object.get::<_, Value<'js>>(key)?.as_string() {
            return Ok(Some(make(convert::text(ctx, text)?)));
        }
    }
    Ok(None)
}
