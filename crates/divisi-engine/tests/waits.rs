//! Attempts that wait to send a request, in virtual time.
#![allow(clippy::unwrap_used, clippy::panic)]

use async_trait::async_trait;
use divisi_core::governor::RateSettings;
use divisi_core::{Millis, Usage};
use divisi_engine::core::{Event, FailureClass, Outcome, Position, Task};
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Models, ProviderModels, RunOptions, Setup};
use divisi_providers::{Block, Progress, Provider, ProviderError, Reply, Request, Stop};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Answers everything after the same time.
struct Vendor(Duration);

#[async_trait]
impl Provider for Vendor {
    fn name(&self) -> &str {
        "vendor"
    }

    async fn send(
        &self,
        request: &Request,
        _: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        tokio::time::sleep(self.0).await;
        Ok(Reply {
            model: request.model.to_string(),
            blocks: vec![Block::text("done")],
            stop: Stop::EndTurn,
            usage: Usage {
                input: 100,
                output: 50,
                ..Usage::default()
            },
            usage_estimated: false,
            billing: Default::default(),
            request_id: None,
            rate: Default::default(),
        })
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        Ok(vec![])
    }
}

/// Three tasks at once where one request a minute may leave, with a timeout that
/// is shorter than the last one's wait: their outcomes and the events.
async fn paced(vendor: Vendor) -> (Vec<Outcome>, Vec<Event>) {
    let rate = RateSettings {
        requests_per_minute: Some(1),
        burst: Some(1),
        ..RateSettings::default()
    };
    let models = ProviderModels::new(
        Arc::new(vendor),
        &[("sonnet", "claude-sonnet-5-5")],
        &["claude-*"],
    );
    let providers = BTreeMap::from([("main".to_owned(), models.limited(rate))]);
    let models = Models {
        default: "sonnet".into(),
        provider: "main".to_owned(),
        providers,
    };
    let setup = Setup::new(models, std::env::temp_dir()).timeout(Millis::from_secs(90));
    let engine = Engine::new(Arc::new(MemoryStore::default()));
    let job = engine
        .open("test", setup, RunOptions::default())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let parts = (0..3).map(|part| {
        let task = Task {
            retries: Some(0),
            ..Task::new(format!("look at part {part}."))
        };
        job.run(task)
    });
    futures::future::join_all(parts).await;
    let finished = job.finish(Value::Null).await.unwrap();
    let outcomes = finished
        .run
        .tasks()
        .filter_map(|(_, task)| task.outcome().cloned())
        .collect();
    let recorded = engine
        .store()
        .events(&finished.id, Position::default())
        .await
        .unwrap();
    (
        outcomes,
        recorded
            .into_iter()
            .map(|recorded| recorded.event)
            .collect(),
    )
}

fn attempts(events: &[Event]) -> usize {
    events
        .iter()
        .filter(|event| matches!(event, Event::AttemptScheduled { .. }))
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_limit_takes_nothing_of_an_attempts_time() {
    let (outcomes, events) = paced(Vendor(Duration::from_secs(80))).await;
    assert!(outcomes.iter().all(Outcome::is_ok), "{outcomes:?}");
    assert_eq!(attempts(&events), 3, "nobody was tried twice");
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_limit_is_told_apart_from_what_the_request_takes() {
    let (_, events) = paced(Vendor(Duration::from_secs(7))).await;
    let (mut took, mut waited) = (vec![], vec![]);
    for event in &events {
        if let Event::TurnEnded { turn, .. } = event {
            took.push(turn.took.0);
        }
        if let Event::AttemptEnded { waited: millis, .. } = event {
            waited.push(millis.0);
        }
    }
    assert_eq!(took, [7_000, 7_000, 7_000]);
    assert_eq!(
        waited
            .iter()
            .map(|millis| millis / 1_000)
            .collect::<Vec<_>>(),
        [0, 60, 120]
    );
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_must_still_be_done_in_time() {
    let (outcomes, _) = paced(Vendor(Duration::from_secs(100))).await;
    let timed_out = |outcome: &Outcome| matches!(outcome, Outcome::Failed(failure) if failure.class == FailureClass::Timeout);
    assert!(
        outcomes.len() == 3 && outcomes.iter().all(timed_out),
        "{outcomes:?}"
    );
}
