//! Notifications of groups by `parallel`, `pipeline`, `decompose` and `gather`.

use super::{Scope, site};
use crate::groups::GroupId;
use crate::state::Shared;
use divisi_core::event::GroupKind;
use rquickjs::{Ctx, Function, Object, Result};
use std::rc::Rc;

/// Adds to `host`: `group(kind)`, which creates a group and records its line; `begin(group,
/// width)`; `leave(group)`, called when its functions first wait; `end(group)`; and `cut(group, items,
/// width)`, which warns that a null ended these of its items. Two functions describe the next task: `informs()`, its prompt mentions missing results, and `bound(elements)`,
/// the length of its lists.
pub(super) fn tell<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    scope: &Rc<Scope>,
    host: &Object<'js>,
) -> Result<()> {
    let (state, here) = (shared.clone(), scope.clone());
    let group = move |ctx: Ctx<'js>, kind: String| -> u32 {
        let site = site::here(&ctx, &here);
        state.borrow_mut().groups.add(kind_of(&kind), site).0
    };
    host.set("group", Function::new(ctx.clone(), group)?)?;
    let state = shared.clone();
    let begin =
        move |group: u32, width: usize| state.borrow_mut().begin_group(GroupId(group), width);
    host.set("begin", Function::new(ctx.clone(), begin)?)?;
    let state = shared.clone();
    let leave = move |group: u32| state.borrow_mut().groups.leave(GroupId(group));
    host.set("leave", Function::new(ctx.clone(), leave)?)?;
    let state = shared.clone();
    let end = move |group: u32| state.borrow_mut().end_group(GroupId(group));
    host.set("end", Function::new(ctx.clone(), end)?)?;
    let state = shared.clone();
    let cut = move |group: u32, items: usize, width: usize| {
        let site = state.borrow().groups.site(GroupId(group));
        let message = format!(
            "pipeline() left out the later stages for {items} of {width} items, for which a stage \
             gave null; `handsOnNull: true` in `meta` hands null on instead"
        );
        state
            .borrow_mut()
            .warn_once(format!("null {site:?}"), message, site);
    };
    host.set("cut", Function::new(ctx.clone(), cut)?)?;
    host.set("handsOnNull", scope.hands_on_null)?;
    let asked = shared.clone();
    let calls = move || asked.borrow().next_id().0;
    host.set("calls", Function::new(ctx.clone(), calls)?)?;
    let state = shared.clone();
    let informs = move || state.borrow_mut().next.is_informed = true;
    host.set("informs", Function::new(ctx.clone(), informs)?)?;
    let state = shared.clone();
    let bound =
        move |elements_max: usize| state.borrow_mut().next.elements_max = Some(elements_max);
    host.set("bound", Function::new(ctx.clone(), bound)?)
}

/// Only the prelude calls this.
fn kind_of(word: &str) -> GroupKind {
    match word {
        "pipeline" => GroupKind::Pipeline,
        "decompose" => GroupKind::Decompose,
        _ => GroupKind::Parallel,
    }
}
