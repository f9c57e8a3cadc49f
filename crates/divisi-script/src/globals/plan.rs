//! Plans for `decompose`: the core's own rules, called from JavaScript.

use super::convert;
use divisi_core::Plan;
use divisi_core::plan::{references, render};
use rquickjs::{Ctx, Function, Object, Result, Value};
use serde_json::json;
use std::collections::BTreeMap;

/// `checkPlan(plan, tasksMax)`: `{tasks, chains}` with every need written out and
/// for each task how long a chain of others waits for it, or `{error}`.
pub(super) fn check<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>> {
    Function::new(ctx.clone(), |ctx: Ctx<'js>, plan: Value<'js>, tasks_max: usize| {
        let plan = convert::json(&ctx, plan)?.unwrap_or_default();
        let answer = match checked(&plan, tasks_max) {
            Ok(plan) => json!({ "tasks": with_needs(&plan), "chains": plan.chains() }),
            Err(error) => json!({ "error": error }),
        };
        ctx.json_parse(answer.to_string())
    })
}

/// `renderPrompt(prompt, results)`: puts texts by id in the place of `{{id}}`.
pub(super) fn render_prompt<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>> {
    Function::new(ctx.clone(), |prompt: String, results: Object<'js>| -> Result<String> {
        let mut texts = BTreeMap::new();
        for id in references(&prompt) {
            if results.contains_key(id)? {
                texts.insert(id, results.get::<_, String>(id)?);
            }
        }
        Ok(render(&prompt, |id| texts.get(id).map(String::as_str)))
    })
}

/// `planSchema()`: what a planner's answer has to fit.
pub(super) fn schema<'js>(ctx: &Ctx<'js>) -> Result<Function<'js>> {
    Function::new(ctx.clone(), |ctx: Ctx<'js>| ctx.json_parse(Plan::json_schema().to_string()))
}

fn checked(json: &str, tasks_max: usize) -> std::result::Result<Plan, String> {
    let value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let plan = Plan::from_value(&value).map_err(|error| match error.hint() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    })?;
    match plan.tasks().len() {
        tasks if tasks > tasks_max => Err(format!("the plan has {tasks} tasks, {tasks_max} are allowed")),
        _ => Ok(plan),
    }
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
