//! How the end of a task appears in a script.

use crate::call::{TaskAnswer, TaskStatus};
use crate::convert::dollars;
use crate::refusal::error_object;
use crate::state::Form;
use crate::{Site, stack};
use divisi_core::{FailureClass, PicoUsd};
use rquickjs::{Ctx, Object, Result, Value};

/// The task's name in messages, and whether its failure throws.
pub(crate) struct Named<'a> {
    pub(crate) title: &'a str,
    pub(crate) required: bool,
}

/// The value of a task for the script; `Err` with a message if it throws.
pub(crate) fn told<'js>(
    ctx: &Ctx<'js>,
    form: Form,
    named: &Named<'_>,
    answer: &TaskAnswer,
) -> Result<std::result::Result<Value<'js>, String>> {
    match form {
        Form::Outcome => outcome(ctx, answer).map(Ok),
        Form::Value => value_or_error(ctx, named, answer),
    }
}

/// The value; for a failure `null`, or an exception where the dialect throws.
fn value_or_error<'js>(
    ctx: &Ctx<'js>,
    named: &Named<'_>,
    answer: &TaskAnswer,
) -> Result<std::result::Result<Value<'js>, String>> {
    let throws = named.required || answer.class == Some(FailureClass::Schema);
    match answer.status {
        TaskStatus::Ok => value(ctx, answer).map(Ok),
        _ if throws => Ok(Err(failure(named.title, answer))),
        TaskStatus::Failed | TaskStatus::Skipped | TaskStatus::Cancelled => {
            Ok(Ok(Value::new_null(ctx.clone())))
        }
    }
}

/// The whole outcome.
fn outcome<'js>(ctx: &Ctx<'js>, answer: &TaskAnswer) -> Result<Value<'js>> {
    let outcome = Object::new(ctx.clone())?;
    outcome.set("status", answer.status.as_str())?;
    outcome.set("value", value(ctx, answer)?)?;
    outcome.set("reason", or_null(ctx, reason(answer))?)?;
    outcome.set("model", or_null(ctx, answer.model.clone())?)?;
    outcome.set("attempts", answer.attempts)?;
    outcome.set("cost", dollars(answer.cost))?;
    Ok(outcome.into_value())
}

/// What `agent.outcome` returns for a task that `error` ended after so many attempts.
pub(crate) fn refused<'js>(
    ctx: &Ctx<'js>,
    error: Value<'js>,
    attempts: u32,
    cost: PicoUsd,
) -> Result<Value<'js>> {
    let reason: Value<'js> = error
        .as_object()
        .map_or(Ok(error.clone()), |error| error.get("message"))?;
    let outcome = Object::new(ctx.clone())?;
    outcome.set("status", "failed")?;
    outcome.set("value", Value::new_null(ctx.clone()))?;
    outcome.set("reason", reason)?;
    outcome.set("model", Value::new_null(ctx.clone()))?;
    outcome.set("attempts", attempts)?;
    outcome.set("cost", dollars(cost))?;
    Ok(outcome.into_value())
}

/// The value of a result.
pub(crate) fn value<'js>(ctx: &Ctx<'js>, answer: &TaskAnswer) -> Result<Value<'js>> {
    match &answer.value_json {
        Some(json) => ctx.json_parse(json.as_bytes()),
        None => Ok(Value::new_null(ctx.clone())),
    }
}

/// An exception with the line of the script that made the call.
pub(crate) fn error_at<'js>(
    ctx: &Ctx<'js>,
    message: &str,
    site: Option<&Site>,
) -> Result<Value<'js>> {
    placed(error_object(ctx, "Error", message)?, site)
}

/// The exception with the line of the call, if it has none of a script: that line was on the stack
/// at the call and is not any more.
pub(crate) fn placed<'js>(error: Value<'js>, site: Option<&Site>) -> Result<Value<'js>> {
    if let (Some(object), Some(site)) = (error.as_object(), site) {
        let stack = object
            .get::<_, Option<String>>("stack")?
            .unwrap_or_default();
        if object.is_error() && stack::frames(&stack).next().is_none() {
            object.set("stack", format!("    at {site}:1\n"))?;
        }
    }
    Ok(error)
}

/// The message thrown for a task without a value.
fn failure(title: &str, answer: &TaskAnswer) -> String {
    let ended = match answer.status {
        TaskStatus::Ok => "ended well",
        TaskStatus::Failed => "failed",
        TaskStatus::Skipped => "was skipped",
        TaskStatus::Cancelled => "was cancelled",
    };
    match reason(answer) {
        Some(reason) => format!("`{title}` {ended}: {reason}"),
        None => format!("`{title}` {ended}"),
    }
}

/// The reason in words, or else the class of the failure.
fn reason(answer: &TaskAnswer) -> Option<String> {
    match (&answer.reason, answer.class) {
        // Findings of a check read as statements about the result, so the class goes first.
        (Some(reason), Some(class @ FailureClass::Check)) => Some(format!("{class}: {reason}")),
        (Some(reason), _) => Some(reason.clone()),
        (None, class) => class.map(|class| class.to_string()),
    }
}

fn or_null<'js>(ctx: &Ctx<'js>, text: Option<String>) -> Result<Value<'js>> {
    match text {
        Some(text) => Ok(rquickjs::String::from_str(ctx.clone(), &text)?.into_value()),
        None => Ok(Value::new_null(ctx.clone())),
    }
}
