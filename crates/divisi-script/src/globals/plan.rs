//! Plans for `decompose`: the core's rules, called from JavaScript.

use crate::convert;
use divisi_core::Plan;
use divisi_core::patterns::{self, Gathering, Planning};
use divisi_core::plan::{references, render};
use rquickjs::{Ctx, Exception, Function, Object, Result, Value};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;

/// `checkPlan(plan, tasksMax)`: `{tasks, chains}` with all dependencies explicit and, for each
/// task, the length of the longest chain that waits for it, or `{error}`.
pub(super) fn check<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>> {
    Function::new(
        ctx.clone(),
        |ctx: Ctx<'js>, plan: Value<'js>, tasks_max: usize| {
            let plan = convert::json(&ctx, plan)?.unwrap_or_default();
            let value = serde_json::from_str(&plan).map_err(|error| error.to_string());
            let answer = match value.and_then(|value| patterns::plan(&value, tasks_max)) {
                Ok(plan) => json!({ "tasks": with_needs(&plan), "chains": plan.chains() }),
                Err(error) => json!({ "error": error }),
            };
            ctx.json_parse(answer.to_string())
        },
    )
}

/// `renderPrompt(prompt, results)`: replaces each `{{id}}` by the text of that result.
pub(super) fn render_prompt<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>> {
    Function::new(
        ctx.clone(),
        |prompt: String, results: Object<'js>| -> Result<String> {
            let mut texts = BTreeMap::new();
            for id in references(&prompt) {
                if results.contains_key(id)? {
                    texts.insert(id, results.get::<_, String>(id)?);
                }
            }
            Ok(render(&prompt, |id| texts.get(id).map(String::as_str)))
        },
    )
}

/// `planSchema()`: the schema of a planner's answer.
pub(super) fn schema<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>> {
    Function::new(ctx.clone(), |ctx: Ctx<'js>| {
        ctx.json_parse(Plan::json_schema().to_string())
    })
}

/// Adds the texts of the patterns: `plannerPrompt`, `gathered`, `skipped`, `notApproved` and `synthesis`, each a
/// function of one value in the core's format.
pub(super) fn tell<'js>(ctx: &Ctx<'js>, host: &Object<'js>) -> Result<()> {
    host.set("plansMax", patterns::PLANS_MAX)?;
    host.set(
        "plannerPrompt",
        said(ctx, |planning: Planning| Ok(planning.prompt()))?,
    )?;
    host.set(
        "gathered",
        said(ctx, |gathering: Gathering| gathering.prompt())?,
    )?;
    host.set(
        "skipped",
        said(ctx, |need: String| Ok(patterns::skipped(&need)))?,
    )?;
    host.set(
        "notApproved",
        said(ctx, |need: String| Ok(patterns::unapproved(&need)))?,
    )?;
    host.set(
        "synthesis",
        said(ctx, |goal: String| Ok(patterns::synthesis(&goal)))?,
    )
}

/// A function from a value to a text; throws if the value is invalid.
fn said<'js, G: DeserializeOwned + 'static>(
    ctx: &Ctx<'js>,
    say: impl Fn(G) -> std::result::Result<String, String> + 'js,
) -> Result<Function<'js>> {
    Function::new(
        ctx.clone(),
        move |ctx: Ctx<'js>, given: Value<'js>| -> Result<String> {
            let given = convert::json(&ctx, given)?.unwrap_or_default();
            let given = serde_json::from_str(&given).map_err(|error| error.to_string());
            given
                .and_then(&say)
                .map_err(|why| Exception::throw_message(&ctx, &why))
        },
    )
}

fn with_needs(plan: &Plan) -> Vec<serde_json::Value> {
    let id = |place: &usize| plan.tasks()[*place].id.as_str();
    let written = |(place, task)| {
        let mut written = json!(task);
        written["needs"] = plan.needs(place).iter().map(id).collect();
        written
    };
    plan.tasks().iter().enumerate().map(written).collect()
}
