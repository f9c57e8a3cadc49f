//! Where a script is.

use super::Scope;
use crate::{Site, stack};
use rquickjs::{Constructor, Ctx, Object};

/// The line of a script that called us, if one did.
pub(super) fn here(ctx: &Ctx<'_>, scope: &Scope) -> Option<Site> {
    let error: Constructor<'_> = ctx.globals().get("Error").ok()?;
    let error: Object<'_> = error.construct(()).ok()?;
    of_stack(&error.get::<_, String>("stack").ok()?, scope)
}

/// The innermost line of a script in a stack text.
pub(super) fn of_stack(stack: &str, scope: &Scope) -> Option<Site> {
    let frame = stack::frames(stack).next()?;
    let script = if frame.file == &*scope.script { scope.script.clone() } else { frame.file.into() };
    Some(Site { script, line: frame.line })
}
