//! Converts the text of a script to what the engine evaluates.

use super::tokens::Tokens;
use crate::error::{ErrorKind, Problem};
use crate::globals;
use crate::stack::{self, RawFrame};
use crate::watch::Watch;
use crate::{HostLimits, Pulse};
use rquickjs::{
    CatchResultExt, CaughtError, Context, Ctx, Function, Runtime, context::EvalOptions,
};
use std::ops::Range;

/// Makes the text the body of an async function with the script's globals in scope.
///
/// All added text is before the first character and after the last, and removed text is blanked
/// out, so that lines and columns stay. Two nested functions, since a script may declare a variable
/// with the name of a global.
pub(super) fn wrap(text: &str, export: Option<&Range<usize>>) -> String {
    let mut text = text.to_owned();
    if let Some(export) = export {
        text.replace_range(export.clone(), &" ".repeat(export.len()));
    }
    let text = text.trim_start_matches('\u{feff}');
    let text = match text.strip_prefix("#!") {
        Some(rest) => format!("//{rest}"),
        None => text.to_owned(),
    };
    format!("{}{text}\n}})", prefix())
}

/// The column of a frame in the original text, from 1.
pub(crate) fn column(frame: &RawFrame<'_>) -> u32 {
    let shift = if frame.line == 1 {
        prefix().len() as u32
    } else {
        0
    };
    frame.column.saturating_sub(shift).max(1)
}

fn prefix() -> String {
    format!("(({{{}}}) => async () => {{", globals::NAMES.join(","))
}

/// Lets the engine check the syntax.
///
/// Nothing is executed, unless the text breaks out of the function on purpose; then it runs with
/// the same limits as scripts in a host, and is as harmless.
pub(super) fn check(
    name: &str,
    body: &str,
    tokens: &Tokens,
    limits: &HostLimits,
) -> Result<(), Problem> {
    let engine = || -> rquickjs::Result<Context> {
        let runtime = Runtime::new()?;
        runtime.set_memory_limit(limits.memory_bytes_max);
        runtime.set_max_stack_size(limits.stack_bytes_max);
        Watch::over(&runtime, limits.busy_max, Pulse::default()).begin();
        Context::full(&runtime)
    };
    let context = engine().map_err(|error| Problem::new(ErrorKind::Memory, error.to_string()))?;
    context.with(|ctx| match evaluate(&ctx, name, body).catch(&ctx) {
        Ok(_) => Ok(()),
        Err(caught) => Err(complaint(name, caught, tokens)),
    })
}

/// Evaluates the body in strict mode, as Claude Code does: returns the function of the globals,
/// without calling it.
pub(super) fn evaluate<'js>(
    ctx: &Ctx<'js>,
    name: &str,
    body: &str,
) -> rquickjs::Result<Function<'js>> {
    let mut options = EvalOptions::default();
    options.strict = true;
    options.filename = Some(name.replace('\0', " "));
    ctx.eval_with_options(body, options)
}

fn complaint(name: &str, caught: CaughtError<'_>, tokens: &Tokens) -> Problem {
    // With unbalanced brackets the added text closes too early or is swallowed, so the engine's
    // message would not be about the script.
    if let Some(unbalanced) = tokens.unbalanced {
        let verb = if unbalanced.opens {
            "is never closed"
        } else {
            "closes nothing"
        };
        return Problem::new(
            ErrorKind::Syntax,
            format!("`{}` {verb}", unbalanced.bracket),
        )
        .line(unbalanced.line);
    }
    let CaughtError::Exception(exception) = caught else {
        return Problem::new(ErrorKind::Syntax, caught.to_string());
    };
    let message = exception.message().unwrap_or_default();
    let problem = Problem::new(ErrorKind::Syntax, message);
    let stack = exception.stack().unwrap_or_default();
    match stack::frames(&stack).find(|frame| frame.file == name) {
        Some(frame) => problem.line(frame.line),
        None => problem,
    }
}
