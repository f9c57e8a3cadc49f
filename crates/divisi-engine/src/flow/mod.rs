//! Flows, which feed a run with tasks.
//!
//! A run does not depend on the kind of its flow. There are two: a script on a thread of its own,
//! and a Rust program. Both send the same messages to the driver.

#[cfg(feature = "script")]
mod called;
#[cfg(feature = "script")]
mod library;
#[cfg(feature = "script")]
mod script;
#[cfg(feature = "script")]
mod watchdog;

#[cfg(feature = "script")]
pub(crate) use called::protect;
#[cfg(feature = "script")]
pub use library::{FlowFile, Library};
#[cfg(feature = "script")]
pub(crate) use script::{NoResult, ScriptEnd, on_stack, start};

use divisi_core::Task;
use divisi_providers::redact;
use serde_json::Value;
use std::sync::Arc;

/// A flow that can be started: a script with its arguments.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its name, for display.
    pub name: Arc<str>,
    /// The file it was read from; `None` for a built-in flow.
    pub path: Option<Arc<str>>,
    /// Its text.
    pub source: Arc<str>,
    /// Its arguments; `undefined` in the script when absent.
    pub args: Option<Value>,
}

impl Flow {
    /// A script without a file. `name` is used in errors.
    pub fn script(name: impl Into<Arc<str>>, source: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            path: None,
            source: source.into(),
            args: None,
        }
    }

    /// Sets the arguments.
    pub fn args(mut self, args: Value) -> Self {
        self.args = Some(args);
        self
    }

    /// Redacts the arguments, and returns whether they contained a secret.
    ///
    /// The journal has the redacted arguments, so a resume has no others: therefore the script gets
    /// them from the beginning.
    pub(crate) fn with_args_redacted(mut self) -> (Self, bool) {
        let is_cut = self
            .args
            .as_mut()
            .is_some_and(|args| redact::known().value(args));
        (self, is_cut)
    }

    /// Checks the script without running it.
    #[cfg(feature = "script")]
    pub fn parse(&self) -> Result<divisi_script::Script, divisi_script::ScriptError> {
        let name = self.path.as_deref().unwrap_or(&self.name);
        divisi_script::Script::parse(name, &self.source)
    }
}

/// Most calls that `script` may make: the number in its `meta`, or else that of the settings; and
/// most of a script that makes many at once, zero if one of them states a number.
#[cfg(feature = "script")]
pub(crate) fn agents_max(script: &divisi_script::Script, setup: &crate::Setup) -> (u32, u32) {
    use crate::setup::{AGENTS_MAX, AGENTS_WIDE_MAX};
    match script.meta().agents_max {
        Some(stated) => (stated, 0),
        None if setup.agents_max == AGENTS_MAX => (AGENTS_MAX, AGENTS_WIDE_MAX),
        None => (setup.agents_max, 0),
    }
}

/// The texts of a task that may contain results.
pub(crate) fn texts_of(task: &Task) -> impl Iterator<Item = &str> {
    [&*task.prompt].into_iter().chain(task.context.as_deref())
}
