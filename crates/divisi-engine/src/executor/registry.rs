//! The executors that tasks can name.

use super::{Cost, Executor, ExecutorSpec, ModelUse, PersonExecutor, ShellExecutor};
use divisi_core::Task;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The executors that tasks can name. The built-in ones are always there: agents that ask models,
/// shell commands, and people.
#[derive(Clone)]
pub struct Executors(BTreeMap<Arc<str>, Registered>);

/// A registered executor.
#[derive(Clone)]
pub(crate) struct Registered {
    pub(crate) spec: ExecutorSpec,
    /// `None` for built-in agents, which the engine runs itself.
    pub(crate) program: Option<Arc<dyn Executor>>,
}

/// The name is in use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is an executor `{0}` already")]
pub struct NameTaken(pub Arc<str>);

impl Registered {
    /// Whether its tasks take a slot of programs. Built-in agents take none, because they wait for
    /// the network.
    pub(crate) fn is_program(&self) -> bool {
        self.program.is_some() && self.spec.runs_here
    }
}

impl Executors {
    /// The default executor: built-in agents.
    pub const USUAL: &'static str = "api";

    /// Adds an executor under this name.
    pub fn add(
        &mut self,
        name: impl Into<Arc<str>>,
        executor: impl Executor + 'static,
    ) -> Result<(), NameTaken> {
        let name = name.into();
        if self.0.contains_key(&name) {
            return Err(NameTaken(name));
        }
        let spec = executor.spec();
        self.0.insert(
            name,
            Registered {
                spec,
                program: Some(Arc::new(executor)),
            },
        );
        Ok(())
    }

    /// Adds a name whose tasks built-in agents carry out, in place of a program.
    pub fn replace_by_usual(&mut self, name: impl Into<Arc<str>>) {
        if let Some(usual) = self.0.get(Self::USUAL).cloned() {
            self.0.insert(name.into(), usual);
        }
    }

    /// The spec of the executor with this name.
    pub fn spec(&self, name: &str) -> Option<&ExecutorSpec> {
        self.0.get(name).map(|known| &known.spec)
    }

    /// Whether any executor may have a cost of its own.
    pub fn cost_money(&self) -> bool {
        self.0
            .values()
            .any(|known| known.program.is_some() && known.spec.cost != Cost::Free)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<(&Arc<str>, &Registered)> {
        self.0.get_key_value(name)
    }
}

impl Default for Executors {
    fn default() -> Self {
        let agents = ExecutorSpec::new("")
            .models(ModelUse::Asks)
            .cost(Cost::Metered)
            .writes_nothing();
        let mut all = Self(BTreeMap::new());
        all.0.insert(
            Self::USUAL.into(),
            Registered {
                spec: agents,
                program: None,
            },
        );
        // Cannot fail: the names are not in use yet.
        let _ = all.add(Task::SHELL, ShellExecutor);
        let _ = all.add(PersonExecutor::NAME, PersonExecutor);
        all
    }
}

impl fmt::Debug for Executors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Shows only names, because commands may have keys in their arguments.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_keep_their_names() {
        let mut all = Executors::default();
        assert_eq!(all.names().collect::<Vec<_>>(), ["api", "person", "shell"]);
        for name in ["api", "person", "shell"] {
            assert_eq!(all.add(name, ShellExecutor), Err(NameTaken(name.into())));
        }
        all.add("mine", ShellExecutor).unwrap();
        assert_eq!(all.spec("mine"), all.spec("shell"));
    }
}
