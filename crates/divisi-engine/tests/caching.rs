//! Requests that wait until the vendor has cached what they share.
#![allow(clippy::unwrap_used, clippy::panic)]

use async_trait::async_trait;
use divisi_core::{FailureClass, Millis, PicoUsd, Task};
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Models, RunOptions, Setup};
use divisi_providers::{Progress, Provider, ProviderError, Reply, Request};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

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

    async fn send(
        &self,
        _: &Request,
        _: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.was_asked.notify_one();
        std::future::pending().await
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        Ok(vec![])
    }
}

/// How long an attempt may take.
const TIMEOUT: Millis = Millis::from_secs(2);

/// Sends a request with a context that others share, which fails; returns after how long, and its
/// possible cost.
async fn ask(setup: &Setup, context: &str) -> (FailureClass, Duration, PicoUsd) {
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let job = engine
        .open("test", setup.clone(), RunOptions::default())
        .await;
    let job = job.unwrap_or_else(|error| panic!("{error}"));
    let begun = Instant::now();
    let task = Task {
        context: Some(format!("{context} ").repeat(5_000).into()),
        tools: Some(vec![]),
        retries: Some(0),
        ..Task::new("question")
    };
    let report = job.run(task).await;
    (
        report.value().unwrap_err().class,
        begun.elapsed(),
        report.cost,
    )
}

#[tokio::test(start_paused = true)]
async fn what_is_held_takes_nothing_of_its_attempts_time_in_whichever_run() {
    let vendor = Arc::new(Silent::default());
    let models = Models::one(
        vendor.clone(),
        &[("sonnet", "claude-sonnet-5-5")],
        &["claude-*"],
    );
    let patient = Setup::new(models, std::env::temp_dir());
    let hasty = patient.clone().timeout(TIMEOUT);
    let leads = tokio::spawn(async move { ask(&patient, "dawn").await });
    vendor.was_asked.notified().await;

    let (class, took, cost) = ask(&hasty, "dawn").await;
    let long = Duration::from_secs(5);
    assert!(
        class == FailureClass::Timeout && took > long,
        "it was held, then had its time: {class} {took:?}"
    );
    assert!(cost > PicoUsd::ZERO, "it left in the end");
    assert_eq!(vendor.asked.load(Ordering::Relaxed), 2);

    let (class, took, _) = ask(&hasty, "dusk").await;
    assert!(
        class == FailureClass::Timeout && took < long,
        "this one shares nothing: {class} {took:?}"
    );
    leads.abort();
}
