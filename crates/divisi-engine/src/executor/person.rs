//! Tasks that a person answers.

use super::{Attempt, AttemptResult, Executor};
use async_trait::async_trait;
use divisi_core::PicoUsd;
use divisi_core::event::Suspension;
use std::path::Path;

/// Carries out tasks by waiting for a person's answer: the prompt is the question. The
/// answer is given with [`crate::Engine::answer`], while the process that asked may be
/// long gone.
#[derive(Clone, Copy, Debug)]
pub struct PersonExecutor;

impl PersonExecutor {
    /// Its name in a task's `executor`.
    pub const NAME: &'static str = "person";
}

#[async_trait]
impl Executor for PersonExecutor {
    async fn run(&self, _: &Attempt, _: &Path) -> AttemptResult {
        Suspension { kind: Self::NAME.into(), handle: None, reserved: PicoUsd::ZERO }.into()
    }
}
