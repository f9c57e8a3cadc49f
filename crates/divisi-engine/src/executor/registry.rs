//! The executors that tasks can name.

use super::{Cost, Executor, ExecutorSpec, ModelUse, PersonExecutor, ShellExecutor};
use divisi_core::Task;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The executors that tasks can name. Ours are there from the start: agents that ask
/// models, shell commands, and people.
#[derive(Clone)]
pub struct Executors(BTreeMap<Arc<str>, Registered>);

/// One of them.
#[derive(Clone)]
pub(crate) struct Registered {
    pub(crate) spec: ExecutorSpec,
    /// `None` for agents of ours, which the engine carries out itself.
    pub(crate) program: Option<Arc<dyn Executor>>,
}

/// An executor of this name is there already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is an executor `{0}` already")]
pub struct NameTaken(pub Arc<str>);

impl Registered {
    /// Whether its tasks take one of the slots that programs have. Agents of ours take none:
    /// they wait on the network.
    pub(crate) fn is_program(&self) -> bool {
        self.program.is_some() && self.spec.runs_here
    }
}

impl Executors {
    /// Carries out tasks that name no executor: agents of ours.
    pub const USUAL: &'static str = "api";

    /// With one more, under this name.
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

    /// What the one of this name says of itself.
    pub fn spec(&self, name: &str) -> Option<&ExecutorSpec> {
        self.0.get(name).map(|known| &known.spec)
    }

    /// Whether one of them may cost something by itself.
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
        // Nothing is there that could have their names.
        let _ = all.add(Task::SHELL, ShellExecutor);
        let _ = all.add(PersonExecutor::NAME, PersonExecutor);
        all
    }
}

impl fmt::Debug for Executors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Commands may have keys among their arguments.
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
