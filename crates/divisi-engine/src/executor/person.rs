//! Tasks that are answered by a person: `approve()`, and `agent()` with `executor: 'person'`.

use super::{Context, Ending, Executor, ExecutorSpec};
use crate::tools::Permissions;
use async_trait::async_trait;
use divisi_core::{Failure, FailureClass, Task};

/// Carries out tasks by waiting for a person's answer: the prompt is the question. The answer is
/// given with [`crate::Engine::answer`], even after the asking process has ended. A task with a
/// `timeout` waits no longer than that.
#[derive(Clone, Copy, Debug)]
pub struct PersonExecutor;

impl PersonExecutor {
    /// Its name in a task's `executor`.
    pub const NAME: &'static str = Task::PERSON;
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

    async fn run(&self, context: &Context) -> Ending {
        let task = context.task();
        let mut ending = Ending::waits(Self::NAME);
        if let Some(approval) = &task.approval {
            ending = ending.choices(approval.words());
            if let Some(default) = &approval.default {
                ending = ending.default(default);
            }
        }
        match task.timeout {
            Some(timeout) => ending.timeout(timeout),
            None => ending,
        }
    }
}
