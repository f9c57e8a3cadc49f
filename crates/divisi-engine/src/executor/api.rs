//! Agents of our own: a conversation with a model that uses our tools.

use super::conversation::Conversation;
use super::{Attempt, AttemptResult, Executor};
use async_trait::async_trait;

/// Carries out attempts by talking to a model over its provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApiExecutor;

#[async_trait]
impl Executor for ApiExecutor {
    async fn run(&self, attempt: Attempt) -> AttemptResult {
        match Conversation::open(attempt) {
            Ok(conversation) => conversation.hold().await,
            Err(failure) => failure.into(),
        }
    }
}
