//! Settles the promises of answered calls.

use super::{run, warn_of};
use crate::call::TaskStatus;
use crate::globals::outcome::{self, Named};
use crate::globals::{Scope, looking};
use crate::state::{Asked, Shared, Waiting};
use crate::{Answer, CallId, HostLimits, Script, Site};
use rquickjs::{Ctx, Function, Promise, Result, Value};

/// Settles the promise of `waiting`.
pub(super) fn give(
    ctx: &Ctx<'_>,
    shared: &Shared,
    (call, waiting): (CallId, Waiting),
    answer: Answer,
) -> Result<()> {
    let settle = Settle {
        ctx: ctx.clone(),
        resolve: waiting.resolve.restore(ctx)?,
        reject: waiting.reject.restore(ctx)?,
        site: waiting.site,
    };
    // Before the promise is settled: the code that it resumes belongs to this group.
    shared.borrow_mut().groups.go_on_in(waiting.group);
    match (waiting.asked, answer) {
        (
            Asked::Task {
                title,
                required,
                form,
            },
            Answer::Task(answer),
        ) => {
            shared.borrow_mut().spend(&answer);
            shared
                .borrow_mut()
                .quote(answer.value_json.as_deref().unwrap_or_default());
            match outcome::told(
                ctx,
                form,
                &Named {
                    title: &title,
                    required,
                },
                &answer,
            )? {
                Ok(value) => settle
                    .resolve
                    .call((looking::watched(ctx, shared, call, value)?,)),
                Err(message) => {
                    // The run reports the failure of the task, so this rejection needs no report.
                    shared.borrow_mut().rejections.is_told = true;
                    let settled = settle.with_error(&message);
                    shared.borrow_mut().rejections.is_told = false;
                    settled
                }
            }
        }
        (Asked::Try(trial), Answer::Task(answer)) => {
            shared.borrow_mut().spend(&answer);
            shared
                .borrow_mut()
                .quote(answer.value_json.as_deref().unwrap_or_default());
            let value = match answer.status {
                TaskStatus::Ok => outcome::value(ctx, &answer)?,
                TaskStatus::Failed | TaskStatus::Skipped | TaskStatus::Cancelled => {
                    Value::new_undefined(ctx.clone())
                }
            };
            trial.borrow_mut().answered(answer);
            settle.resolve.call((value,))
        }
        (Asked::Load { args, depth }, Answer::Source { name, source }) => {
            settle.with_script(shared, &name, &source, args.as_deref(), depth)
        }
        (Asked::Load { .. }, Answer::LoadFailed { message }) => settle.with_error(&message),
        (Asked::Task { title, .. }, Answer::Source { .. } | Answer::LoadFailed { .. }) => settle
            .with_error(&format!(
                "`{title}` is a task, but was answered as a script"
            )),
        (Asked::Try(trial), Answer::Source { .. } | Answer::LoadFailed { .. }) => {
            let title = trial.borrow().task().title();
            settle.with_error(&format!(
                "`{title}` is a task, but was answered as a script"
            ))
        }
        (Asked::Timer, Answer::Task(answer)) => match answer.status {
            TaskStatus::Ok => settle.resolve.call((Value::new_undefined(ctx.clone()),)),
            TaskStatus::Failed | TaskStatus::Skipped | TaskStatus::Cancelled => {
                let reason = answer.reason.as_deref().unwrap_or("the run ends");
                settle.with_error(&format!("a timer did not fire: {reason}"))
            }
        },
        (Asked::Timer, Answer::Source { .. } | Answer::LoadFailed { .. }) => {
            settle.with_error("a timer was answered as a script")
        }
        (Asked::Load { .. }, Answer::Task(_)) => {
            settle.with_error("workflow() asked for a script, but was answered as a task")
        }
    }
}

/// A promise to be settled.
struct Settle<'js> {
    ctx: Ctx<'js>,
    resolve: Function<'js>,
    reject: Function<'js>,
    site: Option<Site>,
}

impl<'js> Settle<'js> {
    /// Runs the script; the promise takes its result.
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
            state.add_source(&script);
            warn_of(&script, &mut state);
        }
        let scope = Scope::nested(&script, depth);
        let result: Promise<'js> = run(&self.ctx, shared, &script, &scope, args)?;
        self.resolve.call((result,))
    }

    fn with_error(self, message: &str) -> Result<()> {
        let error = outcome::error_at(&self.ctx, message, self.site.as_ref())?;
        self.reject.call((error,))
    }
}
