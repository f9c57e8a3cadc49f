//! What a script looks at in the results of a dry run.
//!
//! With [`HostOptions::mark`](crate::HostOptions::mark) the results that a script is given tell
//! which of their fields it reads, and built-in functions tell which texts of results it tests. So
//! a plan knows which results decide what the script does, and what would satisfy its tests.

use crate::CallId;
use crate::globals::watcher;
use crate::state::Shared;
use rquickjs::{Ctx, Function, Persistent, Result, Value};

/// One look of a script at a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The calls made before it: the next call has this id.
    pub before: CallId,
    /// What was looked at.
    pub at: LookAt,
}

/// What a script looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookAt {
    /// A field of a result that is neither an object nor a list, or the length of a list.
    Field {
        /// The call whose result it is.
        call: CallId,
        /// Property names joined by dots. An element of a list has the path of the list.
        path: String,
        /// Whether it has no mark, so that the script can only decide something by it.
        decides: bool,
    },
    /// A text with a mark, which a built-in function compares with others.
    Text {
        /// The text.
        text: String,
        /// The comparison.
        test: TextTest,
    },
}

/// A comparison of a text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextTest {
    /// Whether it begins with this.
    Starts(String),
    /// Whether it ends with this.
    Ends(String),
    /// Whether it contains this.
    Contains(String),
    /// Whether this regular expression matches.
    Matches(String),
    /// Whether it is one of these.
    Among(Vec<String>),
}

/// Most looks of one script. A plan needs the first ones.
const LOOKS_MAX: usize = 10_000;

/// Makes built-in functions tell of tests, if the options ask for it.
pub(crate) fn install(ctx: &Ctx<'_>, shared: &Shared) -> Result<()> {
    let Some(mark) = shared.borrow().options.mark else {
        return Ok(());
    };
    let make: Function<'_> = watcher(ctx)?.call((mark, field(ctx, shared)?, test(ctx, shared)?))?;
    shared.borrow_mut().watcher = Some(Persistent::save(ctx, make));
    Ok(())
}

/// The result of `call` in a form that tells what is looked at; the same without a mark.
pub(crate) fn watched<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    call: CallId,
    value: Value<'js>,
) -> Result<Value<'js>> {
    let watcher = shared.borrow().watcher.clone();
    match watcher {
        Some(watcher) if value.is_object() => watcher.restore(ctx)?.call((call.0, value)),
        Some(_) | None => Ok(value),
    }
}

fn field<'js>(ctx: &Ctx<'js>, shared: &Shared) -> Result<Function<'js>> {
    let shared = shared.clone();
    Function::new(
        ctx.clone(),
        move |call: u32, path: String, decides: bool| {
            look(
                &shared,
                LookAt::Field {
                    call: CallId(call),
                    path,
                    decides,
                },
            );
        },
    )
}

fn test<'js>(ctx: &Ctx<'js>, shared: &Shared) -> Result<Function<'js>> {
    let shared = shared.clone();
    Function::new(
        ctx.clone(),
        move |text: String, kind: String, mut with: Vec<String>| {
            let first = |with: &mut Vec<String>| with.pop().unwrap_or_default();
            let test = match kind.as_str() {
                "starts" => TextTest::Starts(first(&mut with)),
                "ends" => TextTest::Ends(first(&mut with)),
                "contains" => TextTest::Contains(first(&mut with)),
                "matches" => TextTest::Matches(first(&mut with)),
                _ => TextTest::Among(with),
            };
            look(&shared, LookAt::Text { text, test });
        },
    )
}

fn look(shared: &Shared, at: LookAt) {
    let mut state = shared.borrow_mut();
    let before = state.next_id();
    if state.looks.len() < LOOKS_MAX {
        state.looks.push(Look { before, at });
    }
}
