//! `budget`: output tokens, as the dialect counts them, and dollars in `usd`.
//!
//! Spending is the sum over the answers given so far, so it is equal when the same answers come
//! again in the same order.

use crate::convert::dollars;
use crate::state::Shared;
use rquickjs::{Ctx, Function, Object, Result, Value};

pub(super) fn budget<'js>(ctx: &Ctx<'js>, shared: &Shared) -> Result<Object<'js>> {
    let total = shared.borrow().options.budget_total;
    let budget = Object::new(ctx.clone())?;
    match total {
        Some(total) => budget.set("total", total as f64)?,
        None => budget.set("total", Value::new_null(ctx.clone()))?,
    }
    let spender = shared.clone();
    let spent = move || spender.borrow().spent() as f64;
    budget.set(
        "spent",
        Function::new(ctx.clone(), spent)?.with_name("spent")?,
    )?;
    let spender = shared.clone();
    let remaining = move || match total {
        Some(total) => total.saturating_sub(spender.borrow().spent()) as f64,
        None => f64::INFINITY,
    };
    budget.set(
        "remaining",
        Function::new(ctx.clone(), remaining)?.with_name("remaining")?,
    )?;
    budget.set("usd", usd(ctx, shared)?)?;
    Ok(budget)
}

/// The same in dollars.
fn usd<'js>(ctx: &Ctx<'js>, shared: &Shared) -> Result<Object<'js>> {
    let total = shared.borrow().options.usd_total;
    let usd = Object::new(ctx.clone())?;
    match total {
        Some(total) => usd.set("total", dollars(total))?,
        None => usd.set("total", Value::new_null(ctx.clone()))?,
    }
    let spender = shared.clone();
    let spent = move || dollars(spender.borrow().spent_usd());
    usd.set(
        "spent",
        Function::new(ctx.clone(), spent)?.with_name("spent")?,
    )?;
    let spender = shared.clone();
    let remaining = move || match total {
        Some(total) => dollars(total.saturating_sub(spender.borrow().spent_usd())),
        None => f64::INFINITY,
    };
    usd.set(
        "remaining",
        Function::new(ctx.clone(), remaining)?.with_name("remaining")?,
    )?;
    Ok(usd)
}
