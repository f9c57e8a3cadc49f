//! Tasks that are answered by a person.

use super::{Context, Ending, Executor, ExecutorSpec};
use crate::tools::Permissions;
use async_trait::async_trait;
use divisi_core::{Failure, FailureClass, Task};

/// Carries out tasks by waiting for a person's answer: the prompt is the question. The answer is
/// given with [`crate::Engine::answer`], even after the asking process has ended.
#[derive(Clone, Copy, Debug)]
pub struct PersonExecutor;

impl PersonExecutor {
    /// Its name in a task's `executor`.
    pub const NAME: &'static str = "person";
}

#[async_trait]
impl Executor for PersonExecutor {
    fn spec(&self) -> ExecutorSpec {
        ExecutorSpec::new("").writes_nothing().runs_elsewhere()
    }

    fn accepts(&self, task: &Task, _: &Permissions) -> Result<(), Failure> {
        match task.check.is_empty() {
            true => Ok(()),
            false => {
                let message = "what a person answers is not checked; a `schema` is held to";
                Err(Failure::new(FailureClass::BadRequest, message))
            }
        }
    }

    async fn run(&self, _: &Context) -> Ending {
        Ending::waits(Self::NAME)
    }
}
