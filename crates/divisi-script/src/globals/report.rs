//! Messages to the user from scripts and the prelude.

use super::{Scope, site};
use crate::Call;
use crate::convert;
use crate::state::Shared;
use divisi_core::event::Refusal;
use rquickjs::{Coerced, Ctx, Function, Object, Result, Value};
use std::rc::Rc;

/// `report(text)`: a log message.
pub(super) fn report<'js>(ctx: &Ctx<'js>, shared: &Shared) -> Result<Function<'js>> {
    let shared = shared.clone();
    Function::new(
        ctx.clone(),
        move |ctx: Ctx<'js>, message: rquickjs::String<'js>| -> Result<()> {
            let message = convert::text(&ctx, &message)?;
            shared.borrow_mut().log(message);
            Ok(())
        },
    )
}

/// `approve.refused(name)`: a task does not run, because the approval of this name was answered with no.
pub(super) fn refused<'js>(ctx: &Ctx<'js>, shared: &Shared) -> Result<Function<'js>> {
    let shared = shared.clone();
    Function::new(ctx.clone(), move |approval: String| {
        let refusal = Refusal::Unapproved {
            approval: approval.into(),
        };
        shared
            .borrow_mut()
            .tell(Call::Refused { refusal, count: 1 });
    })
}

/// `warn(text)`: a warning about the line that called the prelude.
pub(super) fn warn<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
) -> Result<Function<'js>> {
    let (shared, scope) = (shared.clone(), scope.clone());
    Function::new(ctx.clone(), move |ctx: Ctx<'js>, message: String| {
        let site = site::here(&ctx, &scope);
        shared
            .borrow_mut()
            .warn_once(message.clone(), message, site);
    })
}

/// `dropped(where, index, error)`: a warning that an exception became a `null`.
///
/// Sent once per error and place, since the functions of a fan-out mostly fail with the same error.
pub(super) fn dropped<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
) -> Result<Function<'js>> {
    let (shared, scope) = (shared.clone(), scope.clone());
    Function::new(
        ctx.clone(),
        move |place: String, index: u32, error: Value<'js>| {
            let stack = error
                .as_object()
                .and_then(|error: &Object<'js>| error.get::<_, String>("stack").ok());
            let stack = stack.unwrap_or_default();
            let thrown_at = site::to_the_column(&stack, &scope);
            let thrown = error
                .get::<Coerced<String>>()
                .map_or_else(|_| "something".to_owned(), |text| text.0);
            let key = format!("{place} {thrown_at:?} {thrown}");
            if shared.borrow().has_warned(&key) {
                return;
            }
            let thrown = shared.borrow().naming_callee(thrown, &stack);
            let message = format!("item {index} of `{place}` is null because it threw {thrown}");
            let site = thrown_at.map(|(site, _)| site);
            shared.borrow_mut().warn_once(key, message, site);
        },
    )
}
