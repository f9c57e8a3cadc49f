//! Converts the text of a script to what the engine evaluates.

use super::tokens::Tokens;
use crate::error::{ErrorKind, Problem};
use crate::names;
use crate::stack;
use crate::watch::Watch;
use crate::{HostLimits, Pulse};
use rquickjs::{
    CatchResultExt, CaughtError, Context, Ctx, Function, Runtime, context::EvalOptions,
};
use std::ops::Range;
use std::sync::Arc;

/// A script's text as the engine evaluates it.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) text: Arc<str>,
    pub(super) columns: Columns,
}

/// Where a body has more characters than the script.
#[derive(Clone, Debug)]
pub(crate) struct Columns(Arc<[Inserted]>);

/// Text that was inserted into a line.
#[derive(Clone, Copy, Debug)]
struct Inserted {
    line: u32,
    /// The column of the script before which it is, from 1.
    column: u32,
    length: u32,
}

impl Columns {
    /// The column of the script at this place of the body; both from 1.
    pub(crate) fn original(&self, line: u32, column: u32) -> u32 {
        let mut column = column;
        for inserted in self.0.iter().filter(|inserted| inserted.line == line) {
            if column <= inserted.column {
                break;
            }
            column = inserted.column.max(column.saturating_sub(inserted.length));
        }
        column
    }
}

/// Makes the text the body of an async function with the script's globals in scope.
///
/// Lines stay. Columns change only after inserted text: the head of the function in the first line,
/// and `Object()` around each of the `spreads`, which do not overlap unless one contains the other.
/// Removed text is blanked out. Two nested functions, since a script may declare a variable with the
/// name of a global.
pub(super) fn wrap(text: &str, export: Option<&Range<usize>>, spreads: &[Range<usize>]) -> Body {
    let mut text = text.to_owned();
    if let Some(export) = export {
        text.replace_range(export.clone(), &" ".repeat(export.len()));
    }
    let begin = text.len() - text.trim_start_matches(BYTE_ORDER_MARK).len();
    if text[begin..].starts_with("#!") {
        text.replace_range(begin..begin + 2, "//");
    }
    let opens = spreads.iter().map(|spread| (spread.start, OPEN));
    let closes = spreads.iter().map(|spread| (spread.end, CLOSE));
    let mut insertions: Vec<(usize, &str)> = opens.chain(closes).collect();
    insertions.sort_by_key(|(at, _)| *at);
    let mut inserted = vec![Inserted {
        line: 1,
        column: 1,
        length: prefix().len() as u32,
    }];
    inserted.extend(
        insertions
            .iter()
            .map(|(at, added)| place(&text, *at, added)),
    );
    for (at, added) in insertions.iter().rev() {
        text.insert_str(*at, added);
    }
    let text = text.trim_start_matches(BYTE_ORDER_MARK);
    Body {
        text: format!("{}{text}\n}})", prefix()).into(),
        columns: Columns(inserted.into()),
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Makes an object of what is spread: `Object` under a name that no script has.
const OPEN: &str = "__divisi_object(";
const CLOSE: &str = ")";

fn place(text: &str, at: usize, added: &str) -> Inserted {
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    Inserted {
        line: before.bytes().filter(|byte| *byte == b'\n').count() as u32 + 1,
        column: (at - start) as u32 + 1,
        length: added.len() as u32,
    }
}

fn prefix() -> String {
    let object = OPEN.trim_end_matches('(');
    format!(
        "(({{{}}}, {object} = Object) => async () => {{",
        names::GLOBALS.join(",")
    )
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
