//! From answers to settled promises.

use super::run;
use crate::call::{TaskAnswer, TaskStatus};
use crate::globals::{self, Scope};
use crate::state::{Asked, Form, Shared, Waiting};
use crate::{Answer, HostLimits, Script, Site};
use divisi_core::FailureClass;
use rquickjs::{Ctx, Function, Object, Promise, Result, Value};

/// Settles the promise of `waiting`.
pub(super) fn give(ctx: &Ctx<'_>, shared: &Shared, waiting: Waiting, answer: Answer) -> Result<()> {
    let settle = Settle {
        ctx: ctx.clone(),
        resolve: waiting.resolve.restore(ctx)?,
        reject: waiting.reject.restore(ctx)?,
        site: waiting.site,
    };
    shared.borrow_mut().groups.go_on_in(waiting.group);
    match (waiting.asked, answer) {
        (Asked::Task { title, required, form }, Answer::Task(answer)) => {
            shared.borrow_mut().spend(answer.output_tokens);
            match form {
                Form::Outcome => settle.with_outcome(&answer),
                Form::Value => settle.with_value(&title, required, &answer),
            }
        }
        (Asked::Load { args, depth }, Answer::Source { name, source }) => {
            settle.with_script(shared, &name, &source, args.as_deref(), depth)
        }
        (Asked::Load { .. }, Answer::LoadFailed { message }) => settle.with_error(&message),
        (Asked::Task { title, .. }, Answer::Source { .. } | Answer::LoadFailed { .. }) => {
            settle.with_error(&format!("`{title}` is a task, but was answered as a script"))
        }
        (Asked::Load { .. }, Answer::Task(_)) => {
            settle.with_error("workflow() asked for a script, but was answered as a task")
        }
    }
}

/// One promise on its way to being settled.
struct Settle<'js> {
    ctx: Ctx<'js>,
    resolve: Function<'js>,
    reject: Function<'js>,
    site: Option<Site>,
}

impl<'js> Settle<'js> {
    /// The value; for a failure `null`, or an exception where the dialect says so.
    fn with_value(self, title: &str, required: bool, answer: &TaskAnswer) -> Result<()> {
        let throws = required || answer.class == Some(FailureClass::Schema);
        match answer.status {
            TaskStatus::Ok => self.resolve.call((self.value(answer)?,)),
            _ if throws => self.with_error(&failure(title, answer)),
            TaskStatus::Failed | TaskStatus::Skipped | TaskStatus::Cancelled => {
                self.resolve.call((Value::new_null(self.ctx.clone()),))
            }
        }
    }

    fn with_outcome(self, answer: &TaskAnswer) -> Result<()> {
        let outcome = Object::new(self.ctx.clone())?;
        outcome.set("status", answer.status.as_str())?;
        outcome.set("value", self.value(answer)?)?;
        outcome.set("reason", self.or_null(reason(answer))?)?;
        outcome.set("model", self.or_null(answer.model.clone())?)?;
        outcome.set("attempts", answer.attempts)?;
        outcome.set("cost", answer.cost)?;
        self.resolve.call((outcome,))
    }

    /// Runs the script; the promise follows the one of its result.
    fn with_script(
        self,
        shared: &Shared,
        name: &str,
        source: &str,
        args: Option<&str>,
        depth: u32,
    ) -> Result<()> {
        let limits: HostLimits = shared.borrow().options.limits.clone();
        let script = match Script::parse_within(name, source, &limits) {
            Ok(script) => script,
            Err(error) => return self.with_error(&error.to_string()),
        };
        {
            let mut state = shared.borrow_mut();
            state.add_source(script.name().clone(), script.source().clone());
            state.warn_of(&script);
        }
        let scope = Scope::nested(script.name().clone(), depth, &script.meta().name);
        let result: Promise<'js> = run(&self.ctx, shared, &script, &scope, args)?;
        self.resolve.call((result,))
    }

    fn with_error(self, message: &str) -> Result<()> {
        let error = globals::error_object(&self.ctx, "Error", message)?;
        // The script is not on the stack now, but it was when it asked.
        if let (Some(error), Some(site)) = (error.as_object(), &self.site) {
            error.set("stack", format!("    at {site}:1\n"))?;
        }
        self.reject.call((error,))
    }

    fn value(&self, answer: &TaskAnswer) -> Result<Value<'js>> {
        match &answer.value_json {
            Some(json) => self.ctx.json_parse(json.as_bytes()),
            None => Ok(Value::new_null(self.ctx.clone())),
        }
    }

    fn or_null(&self, text: Option<String>) -> Result<Value<'js>> {
        match text {
            Some(text) => Ok(rquickjs::String::from_str(self.ctx.clone(), &text)?.into_value()),
            None => Ok(Value::new_null(self.ctx.clone())),
        }
    }
}

/// What is thrown for a task that has no value.
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

/// The reason in words, or at least the sort of failure.
fn reason(answer: &TaskAnswer) -> Option<String> {
    answer.reason.clone().or_else(|| answer.class.map(|class| class.to_string()))
}
