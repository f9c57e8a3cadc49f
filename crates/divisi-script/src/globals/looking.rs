//! Makes results and built-in functions tell what a script looks at.

use super::prelude;
use crate::CallId;
use crate::looks::{Look, LookAt, TextTest};
use crate::state::Shared;
use rquickjs::{Ctx, Function, Persistent, Result, Value};

/// Most looks of one script. A plan needs the first ones.
const LOOKS_MAX: usize = 10_000;

/// Makes built-in functions tell of tests, if the options ask for it.
pub(crate) fn install(ctx: &Ctx<'_>, shared: &Shared) -> Result<()> {
    let Some(mark) = shared.borrow().options.mark else {
        return Ok(());
    };
    let make: Function<'_> =
        prelude::watcher(ctx)?.call((mark, field(ctx, shared)?, test(ctx, shared)?))?;
    shared.borrow_mut().watcher = Some(Persistent::save(ctx, make));
    Ok(())
}

/// The result of `call` in a form that tells what is looked at; the same without a mark.
pub(crate) fn watched<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    call: CallId,
    value: Value<'js>,
) -> Result<Value<'js>> {
    let watcher = shared.borrow().watcher.clone();
    match watcher {
        Some(watcher) if value.is_object() => watcher.restore(ctx)?.call((call.0, value)),
        Some(_) | None => Ok(value),
    }
}

fn field<'js>(ctx: &Ctx<'js>, shared: &Shared) -> Result<Function<'js>> {
    let shared = shared.clone();
    Function::new(
        ctx.clone(),
        move |call: u32, path: String, decides: bool| {
            look(
                &shared,
                LookAt::Field {
                    call: CallId(call),
                    path,
                    decides,
                },
            );
        },
    )
}

fn test<'js>(ctx: &Ctx<'js>, shared: &Shared) -> Result<Function<'js>> {
    let shared = shared.clone();
    Function::new(
        ctx.clone(),
        move |text: String, kind: String, mut with: Vec<String>| {
            let first = |with: &mut Vec<String>| with.pop().unwrap_or_default();
            let test = match kind.as_str() {
                "starts" => TextTest::Starts(first(&mut with)),
                "ends" => TextTest::Ends(first(&mut with)),
                "contains" => TextTest::Contains(first(&mut with)),
                "matches" => TextTest::Matches(first(&mut with)),
                _ => TextTest::Among(with),
            };
            look(&shared, LookAt::Text { text, test });
        },
    )
}

fn look(shared: &Shared, at: LookAt) {
    let mut state = shared.borrow_mut();
    let before = state.next_id();
    if state.looks.len() < LOOKS_MAX {
        state.looks.push(Look { before, at });
    }
}
