//! The globals that are written in JavaScript.
//!
//! Files of `prelude/` are expressions. Those of the world run once per engine and change its
//! globals; those of the scope are functions that build further globals of one script from the
//! native ones.

use super::{Scope, group, locale, plan, report, timer};
use crate::stack::PRELUDE_SCHEME;
use crate::state::Shared;
use rquickjs::context::EvalOptions;
use rquickjs::{Ctx, FromJs, Function, Object, Result, Value};
use std::rc::Rc;

const WORLD: [(&str, &str); 4] = [
    ("determinism", include_str!("../prelude/determinism.js")),
    ("text", include_str!("../prelude/text.js")),
    ("url", include_str!("../prelude/url.js")),
    ("clone", include_str!("../prelude/clone.js")),
];

const SCOPE: [(&str, &str); 5] = [
    ("timers", include_str!("../prelude/timers.js")),
    ("console", include_str!("../prelude/console.js")),
    ("flow", include_str!("../prelude/flow.js")),
    ("gather", include_str!("../prelude/gather.js")),
    ("decompose", include_str!("../prelude/decompose.js")),
];

/// Prepares a new engine for scripts.
pub(crate) fn install(ctx: &Ctx<'_>) -> Result<()> {
    WORLD
        .iter()
        .try_for_each(|(name, source)| evaluate::<()>(ctx, name, source))?;
    let languages = evaluate::<Function<'_>>(ctx, "locale", include_str!("../prelude/locale.js"))?;
    languages.call((locale::natives(ctx)?,))
}

/// Adds to the globals of `scope` the functions built from the native ones.
pub(super) fn complete<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
    globals: &Object<'js>,
) -> Result<()> {
    let host = Object::new(ctx.clone())?;
    host.set("report", report::report(ctx, shared)?)?;
    host.set("warn", report::warn(ctx, shared, scope)?)?;
    host.set("dropped", report::dropped(ctx, shared, scope)?)?;
    group::tell(ctx, shared, scope, &host)?;
    host.set("timer", timer::timer(ctx, shared, scope)?)?;
    host.set("checkPlan", plan::check(ctx)?)?;
    host.set("renderPrompt", plan::render_prompt(ctx)?)?;
    host.set("planSchema", plan::schema(ctx)?)?;
    plan::tell(ctx, &host)?;
    host.set("itemsMax", shared.borrow().options.limits.items_max)?;
    host.set("tasksMax", divisi_core::Plan::TASKS_MAX)?;
    host.set("cwd", shared.borrow().options.cwd.as_deref().unwrap_or("/"))?;
    SCOPE.iter().try_for_each(|(name, source)| {
        evaluate::<Function<'js>>(ctx, name, source)?.call((globals.clone(), host.clone()))
    })
}

/// The function that runs the checks of scripts.
pub(super) fn checker<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>> {
    evaluate(ctx, "check", include_str!("../prelude/check.js"))
}

/// The function that makes results tell what a script looks at.
pub(super) fn watcher<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>> {
    evaluate(ctx, "looks", include_str!("../prelude/looks.js"))
}

/// The path in `value` that JSON cannot express.
pub(crate) fn json_culprit<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Option<String>> {
    evaluate::<Function<'js>>(ctx, "culprit", include_str!("../prelude/culprit.js"))?.call((value,))
}

fn evaluate<'js, V: FromJs<'js>>(ctx: &Ctx<'js>, name: &str, source: &str) -> Result<V> {
    let mut options = EvalOptions::default();
    options.filename = Some(format!("{PRELUDE_SCHEME}{name}"));
    ctx.eval_with_options(source, options)
}
