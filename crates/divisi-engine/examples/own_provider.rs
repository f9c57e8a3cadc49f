//! A custom provider: models without an HTTP API, or answers for tests.
//!
//! ```sh
//! cargo run -p divisi-engine --example own_provider -- "what is asked"
//! ```

#![allow(clippy::print_stdout, reason = "a program that writes to stdout")]

use async_trait::async_trait;
use divisi_engine::core::governor::RateLimits;
use divisi_engine::core::{FailureClass, Task};
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Models, RunOptions, Setup};
use divisi_providers::{Block, Progress, Provider, ProviderError, Reply, Request};
use std::error::Error;
use std::sync::Arc;

/// Repeats the prompt in capitals.
struct Shouting;

#[async_trait]
impl Provider for Shouting {
    fn name(&self) -> &str {
        "shouting"
    }

    /// It costs nothing, so it needs no price.
    fn is_free(&self) -> bool {
        true
    }

    async fn send(
        &self,
        request: &Request,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        let mut said = request
            .messages
            .iter()
            .flat_map(|message| &message.blocks)
            .filter_map(Block::as_text);
        let prompt = said.next_back().unwrap_or_default();
        if prompt.trim().is_empty() {
            // The class decides what follows: this one is not tried again.
            return Err(ProviderError::new(
                FailureClass::BadRequest,
                "there is nothing to shout",
            ));
        }
        progress(Progress::Started(RateLimits::default()));
        Ok(Reply::new(&*request.model, prompt.to_uppercase()))
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        Ok(vec!["loud-1".to_owned()])
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let prompt: Vec<String> = std::env::args().skip(1).collect();
    // The model behind `sonnet`, and patterns of the provider's model ids.
    let models = Models::one(Arc::new(Shouting), &[("sonnet", "loud-1")], &["loud-*"]);
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let job = engine
        .open("shouting", Setup::new(models, "."), RunOptions::default())
        .await?;
    let answer = job.run(Task::new(prompt.join(" "))).await.text()?;
    println!("{answer}");
    job.finish(answer.into()).await?;
    Ok(())
}
