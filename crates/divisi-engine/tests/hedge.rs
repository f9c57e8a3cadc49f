//! Requests that hang, and are sent a second time where that is allowed.
#![allow(clippy::unwrap_used, clippy::panic)]

use async_trait::async_trait;
use divisi_core::governor::RateSettings;
use divisi_core::{Ledger, Millis, Usage};
use divisi_engine::core::{Event, FailureClass, PicoUsd, Position, Task};
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Finished, Models, ProviderModels, RunOptions, Setup};
use divisi_providers::{Block, Progress, Provider, ProviderError, Reply, Request, Stop};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const TASKS: u32 = 40;

/// How long an answer takes.
const ANSWER: Duration = Duration::from_millis(10);

/// How long an attempt may take.
const TIMEOUT: Millis = Millis::from_secs(30);

/// Answers everything in 10 ms, but for the first request for one task.
#[derive(Default)]
struct Vendor {
    /// How long that one takes; for ever where nothing is said.
    slow: Option<Duration>,
    /// Whether it is refused then.
    fails: bool,
    /// Whether the second request for it is refused.
    refuses: bool,
    /// Most requests per minute after the first of each task; `None` is no limit.
    per_minute: Option<u64>,
    seen: Mutex<BTreeMap<String, u32>>,
    given_up: AtomicU32,
}

/// Counts requests that were given up.
struct UnderWay<'a>(&'a AtomicU32);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

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
        let prompt = request.messages[0]
            .blocks
            .iter()
            .filter_map(Block::as_text)
            .collect::<String>();
        let nth = {
            let mut seen = self.seen.lock().unwrap();
            let nth = seen.entry(prompt.clone()).or_default();
            *nth += 1;
            *nth
        };
        let under_way = UnderWay(&self.given_up);
        match (prompt.contains("part 17"), nth, self.slow) {
            (true, 1, None) => std::future::pending().await,
            (true, 1, Some(slow)) if self.fails => {
                sleep(slow).await;
                std::mem::forget(under_way);
                return Err(ProviderError::new(
                    FailureClass::BadRequest,
                    "the prompt is no good",
                ));
            }
            (true, 1, Some(slow)) => sleep(slow).await,
            (true, 2, _) if self.fails => sleep(2 * ANSWER).await,
            (true, _, _) if self.refuses => {
                std::mem::forget(under_way);
                return Err(ProviderError::new(FailureClass::Overloaded, "no capacity"));
            }
            _ => sleep(ANSWER).await,
        }
        std::mem::forget(under_way);
        Ok(Reply {
            model: request.model.to_string(),
            blocks: vec![Block::text(format!("answer {nth}"))],
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

/// A fan-out of tasks of which one takes long; then its events.
async fn fan_out(vendor: &Arc<Vendor>, hedge: bool) -> (Finished, Vec<Event>, Ledger) {
    let burst = vendor.per_minute.map(|_| TASKS.into());
    let rate = RateSettings {
        requests_per_minute: vendor.per_minute,
        burst,
        ..RateSettings::default()
    };
    let models = ProviderModels::new(
        vendor.clone(),
        &[("sonnet", "claude-sonnet-5-5")],
        &["claude-*"],
    )
    .limited(rate);
    let providers = BTreeMap::from([("main".to_owned(), models)]);
    let models = Models {
        default: "sonnet".into(),
        provider: "main".to_owned(),
        providers,
    };
    let setup = Setup::new(models, std::env::temp_dir())
        .hedge(hedge)
        .timeout(TIMEOUT);
    let engine = Engine::new(Arc::new(MemoryStore::default()));
    let job = engine
        .open("test", setup, RunOptions::default())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let parts = (0..TASKS).map(|part| {
        let task = Task {
            retries: Some(0),
            ..Task::new(format!("look at part {part}."))
        };
        job.run(task)
    });
    let reports = futures::future::join_all(parts).await;
    let failed = reports
        .iter()
        .filter(|report| report.value().is_err())
        .count();
    assert_eq!(failed, usize::from(vendor.per_minute.is_some()));
    let finished = job.finish(Value::Null).await.unwrap();
    let recorded = engine
        .store()
        .events(&finished.id, Position::default())
        .await
        .unwrap();
    let mut ledger = Ledger::default();
    recorded
        .iter()
        .for_each(|recorded| ledger.record(recorded.at, &recorded.event));
    (
        finished,
        recorded
            .into_iter()
            .map(|recorded| recorded.event)
            .collect(),
        ledger,
    )
}

/// What was set aside for second requests, and what the loser of two cost.
fn hedges(events: &[Event]) -> (Vec<PicoUsd>, Vec<PicoUsd>) {
    let reserved = |event: &Event| match event {
        Event::TurnHedged { reserved, .. } => Some(*reserved),
        _ => None,
    };
    let cost = |event: &Event| match event {
        Event::HedgeEnded { cost, .. } => Some(*cost),
        _ => None,
    };
    (
        events.iter().filter_map(reserved).collect(),
        events.iter().filter_map(cost).collect(),
    )
}

#[tokio::test(start_paused = true)]
async fn one_of_forty_hangs_and_is_sent_again() {
    let vendor = Arc::new(Vendor::default());
    let (finished, events, ledger) = fan_out(&vendor, true).await;
    assert_eq!(finished.run.counts().ok, TASKS);
    assert_eq!(vendor.seen.lock().unwrap().values().sum::<u32>(), TASKS + 1);
    assert_eq!(
        vendor.given_up.load(Ordering::Relaxed),
        1,
        "the one that hangs is given up"
    );

    let (reserved, costs) = hedges(&events);
    assert_eq!(costs, reserved, "what was given up may be billed");
    let [set_aside] = reserved[..] else {
        panic!("{reserved:?}")
    };
    let each = ledger.entries()[0].cost;
    assert_eq!(
        ledger.entries().len() as u32,
        TASKS + 1,
        "both stand in the ledger"
    );
    assert_eq!(
        finished.run.budget().settled,
        PicoUsd(each.0 * u64::from(TASKS)) + set_aside
    );
    assert_eq!(finished.run.budget().reserved, PicoUsd::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_second_request_that_is_refused_leaves_the_first_to_answer_and_costs_nothing() {
    let slow = Some(Duration::from_secs(20));
    let vendor = Arc::new(Vendor {
        slow,
        refuses: true,
        ..Vendor::default()
    });
    let (finished, events, _) = fan_out(&vendor, true).await;
    assert_eq!(
        (
            finished.run.counts().ok,
            vendor.given_up.load(Ordering::Relaxed)
        ),
        (TASKS, 0)
    );
    assert_eq!(vendor.seen.lock().unwrap().values().sum::<u32>(), TASKS + 1);
    assert_eq!(hedges(&events).1, [PicoUsd::ZERO]);
    assert_eq!(
        finished
            .run
            .task(divisi_core::TaskId(17))
            .unwrap()
            .attempts(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_twice_unless_the_user_allows_it() {
    let vendor = Arc::new(Vendor {
        slow: Some(Duration::from_secs(20)),
        ..Vendor::default()
    });
    let (_, events, _) = fan_out(&vendor, false).await;
    assert_eq!(vendor.seen.lock().unwrap().values().sum::<u32>(), TASKS);
    assert_eq!(hedges(&events), (vec![], vec![]));
}

/// Why the attempt failed that was hedged, and how long the whole run took.
async fn failing(vendor: Vendor) -> (FailureClass, Duration, Vec<PicoUsd>, Finished) {
    let (vendor, begun) = (Arc::new(vendor), Instant::now());
    let (finished, events, _) = fan_out(&vendor, true).await;
    assert_eq!(
        vendor.seen.lock().unwrap().values().sum::<u32>(),
        TASKS,
        "the second one never left"
    );
    let class = events.iter().find_map(|event| match event {
        Event::AttemptEnded {
            failure: Some(failure),
            ..
        } => Some(failure.class),
        _ => None,
    });
    (class.unwrap(), begun.elapsed(), hedges(&events).1, finished)
}

#[tokio::test(start_paused = true)]
async fn a_first_one_that_fails_does_not_wait_for_a_second_that_has_not_left() {
    let slow = Some(Duration::from_secs(5));
    let vendor = Vendor {
        slow,
        fails: true,
        per_minute: Some(1),
        ..Vendor::default()
    };
    let (class, took, costs, finished) = failing(vendor).await;
    assert_eq!(
        (class, costs),
        (FailureClass::BadRequest, vec![PicoUsd::ZERO])
    );
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert_eq!(finished.run.budget().reserved, PicoUsd::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_second_one_that_never_left_costs_nothing_when_time_is_up() {
    let vendor = Vendor {
        per_minute: Some(1),
        ..Vendor::default()
    };
    let (class, took, costs, finished) = failing(vendor).await;
    assert_eq!((class, costs), (FailureClass::Timeout, vec![PicoUsd::ZERO]));
    assert!(took < Duration::from_secs(31), "{took:?}");
    assert_eq!(finished.run.budget().reserved, PicoUsd::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_first_one_that_fails_leaves_the_second_to_answer() {
    // Both are under way when it fails, which the second leaves after a quarter of a second at
    // most.
    let slow = Some(Duration::from_millis(255));
    let vendor = Arc::new(Vendor {
        slow,
        fails: true,
        ..Vendor::default()
    });
    let (finished, events, _) = fan_out(&vendor, true).await;
    assert_eq!(vendor.seen.lock().unwrap().values().sum::<u32>(), TASKS + 1);
    assert_eq!(hedges(&events).1, [PicoUsd::ZERO], "the first was refused");
    assert_eq!(
        finished
            .run
            .task(divisi_core::TaskId(17))
            .unwrap()
            .attempts(),
        1
    );
}
