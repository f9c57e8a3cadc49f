//! A script as text: its `meta`, and findings before it runs.

mod callee;
mod compile;
mod literal;
mod loops;
mod meta;
mod modules;
mod other;
mod outline;
mod spread;
mod tokens;

pub(crate) use callee::name as callee;
pub(crate) use compile::Columns;
pub(crate) use loops::line as loop_line;
pub use meta::{Meta, Phase};
pub use outline::Outline;

use crate::error::{ErrorKind, Problem};
use crate::{HostLimits, ScriptError};
use compile::Body;
use rquickjs::{Ctx, Function};
use std::sync::Arc;

/// A script that was read and checked.
#[derive(Clone, Debug)]
pub struct Script {
    name: Arc<str>,
    text: Arc<str>,
    /// The text for the engine, with unchanged line numbers.
    body: Body,
    meta: Meta,
    warnings: Vec<Warning>,
}

/// The warning for a script without `meta`.
pub const NO_META: &str = "the script has no `meta`";

/// A probable mistake of a script's author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// A lower-case phrase.
    pub message: String,
    /// The line, from 1.
    pub line: u32,
}

impl Script {
    /// Reads the script `source`; `name` is its name in messages, mostly a file name.
    ///
    /// Fails when the text is longer than [`HostLimits`] permit by default, is not valid
    /// JavaScript, has an invalid `meta`, or is a module. Nothing of it is executed.
    pub fn parse(name: &str, source: &str) -> Result<Self, ScriptError> {
        Self::parse_within(name, source, &HostLimits::default())
    }

    /// The same with the caller's limits.
    pub fn parse_within(
        name: &str,
        source: &str,
        limits: &HostLimits,
    ) -> Result<Self, ScriptError> {
        let (name, text): (Arc<str>, Arc<str>) = (name.into(), source.into());
        let unreadable = |problem: Problem| {
            let hint = match problem.kind {
                ErrorKind::Syntax | ErrorKind::Meta | ErrorKind::Import => {
                    other::hint(&name, &text)
                }
                _ => None,
            };
            let problem = match hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            };
            problem.of(&name, &text)
        };
        read(&name, &text, limits).map_err(unreadable)
    }

    /// Its name in messages.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The original text.
    pub fn source(&self) -> &Arc<str> {
        &self.text
    }

    /// Its `meta`.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What its text says about itself.
    pub fn outline(&self) -> Outline {
        let phases = self.meta.phases.iter();
        let announced: Vec<String> = phases.map(|phase| phase.title.clone()).collect();
        outline::read(&self.text, &announced)
    }

    /// Findings. A host reports these when it starts the script.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Returns a function of the script's globals, which returns the function that runs the script.
    pub(crate) fn evaluate<'js>(&self, ctx: &Ctx<'js>) -> rquickjs::Result<Function<'js>> {
        compile::evaluate(ctx, &self.name, &self.body.text)
    }

    /// Columns of the evaluated text, as columns of the script.
    pub(crate) fn columns(&self) -> &Columns {
        &self.body.columns
    }
}

fn read(name: &Arc<str>, text: &Arc<str>, limits: &HostLimits) -> Result<Script, Problem> {
    if text.len() > limits.source_bytes_max {
        let detail = format!(
            "{} bytes, {} are allowed",
            text.len(),
            limits.source_bytes_max
        );
        return Err(
            Problem::new(ErrorKind::Length, detail).hint("split it; `workflow()` runs the parts")
        );
    }
    let tokens = tokens::read(text);
    // Before `meta`: a script that imports mostly begins with that.
    modules::check_imports(text, &tokens)?;
    let found = meta::read(name, text, &tokens)?;
    modules::check_exports(text, &tokens, found.export.as_ref())?;
    let spreads = spread::operands(text, &tokens.list);
    let mut body = compile::wrap(text, found.export.as_ref(), &spreads);
    if let Err(problem) = compile::check(name, &body.text, &tokens, limits) {
        if spreads.is_empty() {
            return Err(problem);
        }
        // A pattern may have been taken for an object. Otherwise this is the script's own mistake.
        body = compile::wrap(text, found.export.as_ref(), &[]);
        compile::check(name, &body.text, &tokens, limits)?;
    }
    Ok(Script {
        name: name.clone(),
        text: text.clone(),
        body,
        meta: found.meta,
        warnings: found.warnings,
    })
}
