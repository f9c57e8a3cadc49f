//! Requests that wait until the vendor has cached what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

use async_trait::async_trait;
use divisi_core::{Millis, PicoUsd, RetryPolicy};
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Finished, Flow, Models, RunOptions, Setup};
use divisi_providers::{Progress, Provider, ProviderError, Reply, Request};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// Takes requests and never answers.
#[derive(Default)]
struct Silent {
    asked: AtomicU64,
    was_asked: Notify,
}

#[async_trait]
impl Provider for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    fn cached_tokens_min(&self) -> Option<u64> {
        Some(512)
    }

    async fn send(&self, _: &Request, _: &(dyn Fn(Progress) + Send + Sync)) -> Result<Reply, ProviderError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.was_asked.notify_one();
        std::future::pending().await
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        Ok(vec![])
    }
}

/// Setups of one process with attempts that end after a moment, or hardly ever.
fn setups(vendor: &Arc<Silent>) -> [Setup; 2] {
    let models = Models::one(vendor.clone(), &[("sonnet", "claude-sonnet-5-5")], &["claude-*"]);
    let patient = Setup::new(models, std::env::temp_dir());
    let retry = RetryPolicy { retries_max: 0, ..RetryPolicy::default() };
    [Setup { timeout: Millis(2_000), retry, ..patient.clone() }, patient]
}

fn question(context: &str) -> Flow {
    let source = format!("return agent('question', {{ context: '{context} '.repeat(5000), tools: [] }})");
    Flow::script("test", source)
}

async fn ask(setup: &Setup, context: &str) -> Finished {
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let run = engine.start(question(context), setup.clone(), RunOptions::default()).await;
    run.unwrap_or_else(|error| panic!("{error}")).finished().await.unwrap()
}

#[tokio::test]
async fn a_request_that_never_left_costs_nothing_in_whichever_run() {
    let vendor = Arc::new(Silent::default());
    let [hasty, patient] = setups(&vendor);
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let leads = engine.start(question("dawn"), patient, RunOptions::default()).await.unwrap();
    vendor.was_asked.notified().await;

    let held = ask(&hasty, "dawn").await;
    assert_eq!(held.run.counts().failed, 1, "{:?}", held.status());
    assert_eq!(held.run.budget().settled, PicoUsd::ZERO);
    assert_eq!(vendor.asked.load(Ordering::Relaxed), 1);

    let other = ask(&hasty, "dusk").await;
    assert!(other.run.budget().settled > PicoUsd::ZERO, "this one shares nothing, so it left");
    leads.kill();
}
