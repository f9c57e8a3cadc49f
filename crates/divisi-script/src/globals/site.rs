//! The current line of a script.

use super::Scope;
use crate::{Site, stack};
use rquickjs::{Constructor, Ctx, Object, Value};

/// Stack frames searched: the native function's, those of helpers such as `gather`, and the
/// script's. Each further frame costs a fan-out some percent of its time.
const FRAMES_MAX: u32 = 4;

/// The line of the script that called this function, if a script did.
pub(super) fn here(ctx: &Ctx<'_>, scope: &Scope) -> Option<Site> {
    here_to_the_column(ctx, scope).map(|(site, _)| site)
}

/// The same with the column, from 1.
pub(super) fn here_to_the_column(ctx: &Ctx<'_>, scope: &Scope) -> Option<(Site, u32)> {
    let class: Constructor<'_> = ctx.globals().get("Error").ok()?;
    let limit: Value<'_> = class.get("stackTraceLimit").ok()?;
    class.set("stackTraceLimit", FRAMES_MAX).ok()?;
    let error = class.construct::<_, Object<'_>>(());
    class.set("stackTraceLimit", limit).ok()?;
    to_the_column(&error.ok()?.get::<_, String>("stack").ok()?, scope)
}

/// The innermost line of a script in a stack text, with the column.
pub(super) fn to_the_column(stack: &str, scope: &Scope) -> Option<(Site, u32)> {
    let frame = stack::frames(stack).next()?;
    let script = if frame.file == &*scope.script {
        scope.script.clone()
    } else {
        frame.file.into()
    };
    Some((
        Site {
            script,
            line: frame.line,
        },
        frame.column,
    ))
}
