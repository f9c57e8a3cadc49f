//! What feeds a run with tasks.
//!
//! A run does not know what feeds it. Here are the two that do: a script on a
//! thread of its own, and a Rust program. Both are clients of one door.

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
    /// Its name, for people.
    pub name: Arc<str>,
    /// Where it was read from; `None` for one that is part of divisi.
    pub path: Option<Arc<str>>,
    /// Its text.
    pub source: Arc<str>,
    /// Its arguments; `undefined` in the script when absent.
    pub args: Option<Value>,
}

impl Flow {
    /// A script that stands in no file. `name` is what errors call it.
    pub fn script(name: impl Into<Arc<str>>, source: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            path: None,
            source: source.into(),
            args: None,
        }
    }

    /// The same with these arguments.
    pub fn args(mut self, args: Value) -> Self {
        self.args = Some(args);
        self
    }

    /// The same without secrets in its arguments, and whether there was one.
    ///
    /// The journal keeps arguments like that, and a resume has no others: so the
    /// script is given none but these from the beginning.
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

/// The texts of a task in which results may stand.
pub(crate) fn texts_of(task: &Task) -> impl Iterator<Item = &str> {
    [&*task.prompt].into_iter().chain(task.context.as_deref())
}
