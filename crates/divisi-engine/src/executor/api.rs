//! Agents of our own: a conversation with a model that uses our tools.

use super::check::Checks;
use super::conversation::Conversation;
use super::place::Place;
use super::{Attempt, AttemptResult, Executor};
use async_trait::async_trait;
use divisi_core::Isolation;

/// Carries out attempts by talking to a model over its provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApiExecutor;

#[async_trait]
impl Executor for ApiExecutor {
    async fn run(&self, mut attempt: Attempt) -> AttemptResult {
        let place = match Place::of(&attempt).await {
            Ok(place) => place,
            Err(failure) => return failure.into(),
        };
        if attempt.assignment.isolation == Isolation::Worktree {
            // What earlier attempts changed stands in a worktree of theirs, so
            // their replies describe files that are not here.
            attempt.kept.clear();
        }
        let (line, checks) = (attempt.line.clone(), Checks::of(&attempt));
        let result = match Conversation::open(attempt, place.root()) {
            Ok(conversation) => conversation.hold().await,
            Err(failure) => failure.into(),
        };
        let result = match checks {
            Some(checks) => checks.stand(result, place.root()).await,
            None => result,
        };
        place.leave(&line, result).await
    }
}
