//! Converts exceptions of the engine to errors for the user.

use crate::convert;
use crate::error::{ErrorKind, Frame, Problem};
use crate::names::GLOBALS;
use crate::source::loop_line;
use crate::stack::{self, RawFrame};
use crate::state::State;
use crate::{Script, ScriptError, Site};
use divisi_core::nearest::nearest;
use rquickjs::{Coerced, Ctx, Object, Value};
use std::time::Duration;

/// Longest stack text that is parsed. The engine writes some hundred bytes per frame, but a script
/// may set any text.
const STACK_BYTES_MAX: usize = 256 * 1024;

/// Why a script ended without a result.
pub(super) struct Failure {
    kind: ErrorKind,
    message: String,
    stack: String,
}

impl ScriptError {
    /// The error of a script whose thread is abandoned, see [`Pulse`](crate::Pulse).
    pub fn stuck(script: &Script, busy_max: Duration) -> Self {
        Problem::busy(busy_max)
            .hint("look for a loop that does not end, or a built-in function over a huge array or text")
            .of(script.name(), script.source())
    }
}

impl Failure {
    /// The script waits, but no answer is outstanding.
    pub(super) fn stuck() -> Self {
        Self::without_stack(ErrorKind::Stuck, "waits for something that will never come")
    }

    /// Its result cannot be written as JSON.
    pub(super) fn of_result(message: impl Into<String>) -> Self {
        Self::without_stack(ErrorKind::Result, message)
    }

    /// The script was stopped.
    pub(super) fn interrupted() -> Self {
        Self::without_stack(ErrorKind::Busy, "interrupted")
    }

    /// The engine's pending exception, or any other error of it.
    pub(super) fn of_error(ctx: &Ctx<'_>, error: rquickjs::Error) -> Self {
        match error {
            rquickjs::Error::Exception => Self::of_exception(ctx, ctx.catch()),
            other => Self::without_stack(ErrorKind::Runtime, other.to_string()),
        }
    }

    /// A given exception.
    pub(super) fn of_exception<'js>(ctx: &Ctx<'js>, thrown: Value<'js>) -> Self {
        // The engine throws `null` when there is no memory for an exception.
        if thrown.is_null() {
            return Self::without_stack(ErrorKind::Memory, "null");
        }
        let is_error = |object: &&Object<'js>| {
            thrown.is_error() || object.contains_key("stack").unwrap_or(false)
        };
        let Some(exception) = thrown.as_object().filter(is_error) else {
            let shown = convert::json(ctx, thrown).ok().flatten();
            return Self::without_stack(
                ErrorKind::Runtime,
                shown.unwrap_or_else(|| "undefined".to_owned()),
            );
        };
        let part = |name| {
            exception
                .get::<_, Coerced<String>>(name)
                .map(|text| text.0)
                .unwrap_or_default()
        };
        let (name, message) = (part("name"), part("message"));
        let kind = match (name.as_str(), message.as_str()) {
            ("InternalError", "out of memory") => ErrorKind::Memory,
            ("RangeError", "Maximum call stack size exceeded") => ErrorKind::Stack,
            _ => ErrorKind::Runtime,
        };
        let mut stack = part("stack");
        stack.truncate(stack.floor_char_boundary(STACK_BYTES_MAX));
        Self {
            kind,
            message: format!("{name}: {message}"),
            stack,
        }
    }

    fn without_stack(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            stack: String::new(),
        }
    }

    /// The text of the exception.
    pub(super) fn message(&self, state: &State) -> String {
        state.naming_callee(self.message.clone(), &self.stack)
    }

    /// The innermost line of a script in its stack.
    pub(super) fn site(&self, state: &State) -> Option<Site> {
        let mut frames = stack::frames(&self.stack).map(|frame| owned(&frame, state).site);
        frames.find(|site| state.source(&site.script).is_some())
    }

    /// Whether the engine is out of memory and cannot go on.
    pub(super) fn is_of_memory(&self) -> bool {
        self.kind == ErrorKind::Memory
    }

    /// The error for the user. `busy` is the time after which the script was stopped, if it was.
    pub(super) fn error(
        self,
        script: &Script,
        state: &State,
        busy: Option<Duration>,
    ) -> ScriptError {
        let frames: Vec<Frame> = stack::frames(&self.stack)
            .map(|frame| owned(&frame, state))
            .collect();
        let innermost = frames.iter().find_map(|frame| {
            state
                .source(&frame.site.script)
                .map(|source| (source, frame.clone()))
        });
        let problem = Problem {
            frames,
            ..self.problem(state, busy)
        };
        match innermost {
            Some(((name, text), frame)) => {
                let line = match problem.kind {
                    ErrorKind::Busy => loop_line(&text, frame.site.line, frame.column),
                    _ => frame.site.line,
                };
                problem.line(line).of(&name, &text)
            }
            None => problem.of(script.name(), script.source()),
        }
    }

    fn problem(mut self, state: &State, busy: Option<Duration>) -> Problem {
        // A script may throw a text of any length.
        self.message = state.cut(state.naming_callee(self.message, &self.stack));
        let kind = if busy.is_some() {
            ErrorKind::Busy
        } else {
            self.kind
        };
        match kind {
            ErrorKind::Busy => Problem::busy(busy.unwrap_or_default()),
            ErrorKind::Memory => {
                let mebibytes = state.options.limits.memory_bytes_max >> 20;
                Problem::new(kind, format!("it used more than {mebibytes} MiB of memory"))
                    .hint("let agents write large results to files and return their names")
            }
            ErrorKind::Stack => Problem::new(kind, "its calls are nested too deeply")
                .hint("look for a function that calls itself without end"),
            ErrorKind::Stuck => Problem::new(kind, self.message)
                .hint("no call is open; a promise of its own is awaited but never resolved"),
            _ => match hint(&self.message) {
                Some(hint) => Problem::new(kind, self.message).hint(hint),
                None => Problem::new(kind, self.message),
            },
        }
    }
}

fn owned(frame: &RawFrame<'_>, state: &State) -> Frame {
    Frame {
        function: frame.function.map(str::to_owned),
        site: Site {
            script: frame.file.into(),
            line: frame.line,
        },
        column: state.column(frame.file, frame.line, frame.column),
    }
}

/// Advice for globals that exist elsewhere but not in divisi, and for misspelt ones.
fn hint(message: &str) -> Option<String> {
    let (name, _) = message
        .strip_prefix("ReferenceError: ")?
        .split_once(" is not defined")?;
    let name = name.trim_matches('\'');
    let elsewhere = match name {
        "setImmediate" => "`queueMicrotask` runs a function soon, `setTimeout` later",
        "fetch" | "require" | "XMLHttpRequest" | "Deno" | "Bun" | "fs" => {
            "a script reaches neither files nor the network; let agent() or shell() do it"
        }
        "performance" | "crypto" => "whatever differs between two runs comes in through `args`",
        _ => {
            let meant = nearest(name, GLOBALS)?;
            return Some(format!("did you mean `{meant}`?"));
        }
    };
    Some(elsewhere.to_owned())
}
