//! What becomes of attempts when a run is parked or cancelled, and what is booked
//! for them, in virtual time.
#![allow(clippy::unwrap_used, clippy::panic)]

use async_trait::async_trait;
use divisi_core::check::Check;
use divisi_core::governor::RateSettings;
use divisi_core::retry::QuotaWait;
use divisi_core::{Millis, PicoUsd, Usage};
use divisi_engine::core::{Event, FailureClass, Outcome, Position, Task};
use divisi_engine::store::MemoryStore;
use divisi_engine::{
    Engine, Finished, Job, Models, Permissions, ProviderModels, RunOptions, Setup,
};
use divisi_providers::{Block, Progress, Provider, ProviderError, Reply, Request, Stop};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// Answers everything after the same time, and counts.
#[derive(Default)]
struct Vendor {
    takes: Duration,
    requests: Arc<AtomicU32>,
    /// Panics instead of answering.
    breaks: bool,
    /// The prompt as counted at the beginning of the reply, and the tokens that follow at once.
    begins: Option<(Usage, u64)>,
}

#[async_trait]
impl Provider for Vendor {
    fn name(&self) -> &str {
        "vendor"
    }

    async fn send(
        &self,
        request: &Request,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some((prompt, written)) = self.begins {
            progress(Progress::Prompt(prompt));
            progress(Progress::OutputTokens(written));
        }
        sleep(self.takes).await;
        assert!(!self.breaks, "the vendor breaks down");
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

/// A run in which one request a minute may leave.
async fn opened(vendor: Vendor, options: RunOptions) -> (Engine, Job) {
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
    let permissions = Permissions {
        run: true,
        ..Permissions::default()
    };
    let setup = Setup::new(models, std::env::temp_dir()).permissions(permissions);
    let engine = Engine::new(Arc::new(MemoryStore::default()));
    let job = engine
        .open("test", setup, options)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    (engine, job)
}

fn task(part: usize) -> Task {
    Task {
        retries: Some(0),
        ..Task::new(format!("look at part {part}."))
    }
}

async fn events(engine: &Engine, finished: &Finished) -> Vec<Event> {
    let recorded = engine
        .store()
        .events(&finished.id, Position::default())
        .await
        .unwrap();
    recorded
        .into_iter()
        .map(|recorded| recorded.event)
        .collect()
}

/// The amount booked for each attempt that ended without its own reply.
fn unanswered(events: &[Event]) -> Vec<PicoUsd> {
    let cost = |event: &Event| match event {
        Event::AttemptEnded {
            failure: Some(_),
            cost,
            ..
        } => Some(*cost),
        _ => None,
    };
    events.iter().filter_map(cost).collect()
}

fn reserved(events: &[Event]) -> PicoUsd {
    let reserved = events.iter().find_map(|event| match event {
        Event::AttemptScheduled { reserved, .. } => Some(*reserved),
        _ => None,
    });
    reserved.unwrap()
}

/// Four tasks, of which the first has its request out after five seconds; then
/// `stop` is called.
async fn stopped(options: RunOptions, stop: impl Fn(&Job)) -> (u32, Finished, Vec<Event>) {
    let vendor = Vendor {
        takes: Duration::from_secs(80),
        ..Vendor::default()
    };
    let requests = vendor.requests.clone();
    let (engine, job) = opened(vendor, options).await;
    let run = async {
        sleep(Duration::from_secs(5)).await;
        stop(&job);
    };
    let parts = futures::future::join_all((0..4).map(|part| job.run(task(part))));
    tokio::join!(parts, run);
    let finished = job.finish(Value::Null).await.unwrap();
    let events = events(&engine, &finished).await;
    (requests.load(Ordering::Relaxed), finished, events)
}

#[tokio::test(start_paused = true)]
async fn a_park_sends_nothing_more_and_waits_for_what_is_out() {
    for quota_wait in [None, Some(QuotaWait::default())] {
        let options = RunOptions::default().quota_wait(quota_wait);
        let begun = tokio::time::Instant::now();
        let (requests, finished, events) =
            stopped(options, |job| job.handle().control().park()).await;
        assert_eq!((requests, finished.status()), (1, None));
        assert_eq!(
            begun.elapsed().as_secs(),
            80,
            "it waits for the one request and for no limit"
        );
        assert_eq!(unanswered(&events), [PicoUsd::ZERO; 3]);
        assert_eq!(
            (finished.run.counts().ok, finished.run.counts().open),
            (1, 3)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_books_what_is_out_and_nothing_else() {
    let (requests, finished, events) =
        stopped(RunOptions::default(), |job| job.handle().control().cancel()).await;
    assert_eq!(requests, 1);
    let reserved = reserved(&events);
    assert!(reserved > PicoUsd::ZERO);
    let mut booked = unanswered(&events);
    booked.sort();
    assert_eq!(
        booked,
        [PicoUsd::ZERO, PicoUsd::ZERO, PicoUsd::ZERO, reserved]
    );
    assert_eq!(
        (
            finished.run.budget().settled,
            finished.run.counts().cancelled
        ),
        (reserved, 4)
    );
}

#[tokio::test(start_paused = true)]
async fn a_park_while_all_wait_ends_at_once() {
    let (engine, job) = opened(Vendor::default(), RunOptions::default()).await;
    assert!(job.run(task(0)).await.value().is_ok());
    let begun = tokio::time::Instant::now();
    let park = async {
        sleep(Duration::from_secs(5)).await;
        job.handle().control().park();
    };
    let parts = futures::future::join_all((1..4).map(|part| job.run(task(part))));
    tokio::join!(parts, park);
    let finished = job.finish(Value::Null).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(
        unanswered(&events(&engine, &finished).await),
        [PicoUsd::ZERO; 3]
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_at_work_is_no_silence_and_has_a_limit_of_its_own() {
    let (engine, job) = opened(Vendor::default(), RunOptions::default()).await;
    // The clock leaps ahead as long as nothing but the command is at work.
    let report = job
        .run(Task {
            check: vec![Check::Command("sleep 1000".into())],
            ..task(0)
        })
        .await;
    let failure = report.value().unwrap_err();
    assert_eq!(failure.class, FailureClass::Timeout);
    assert_eq!(
        failure.message,
        "the check `sleep 1000` took longer than 900s"
    );
    let finished = job.finish(Value::Null).await.unwrap();
    let events = events(&engine, &finished).await;
    assert_eq!(
        unanswered(&events),
        [PicoUsd::ZERO],
        "the reply is paid for, and nothing else is owed"
    );
    let turns = events
        .iter()
        .filter(|event| matches!(event, Event::TurnEnded { .. }))
        .count();
    assert_eq!((turns, finished.run.budget().settled), (1, report.cost));
    assert!(report.cost > PicoUsd::ZERO && report.cost < reserved(&events));
}

#[tokio::test(start_paused = true)]
async fn what_runs_out_of_time_or_panics_with_a_request_out_is_booked() {
    for (takes, breaks, class) in [
        (3_600, false, FailureClass::Stalled),
        (1, true, FailureClass::Program),
    ] {
        let vendor = Vendor {
            takes: Duration::from_secs(takes),
            breaks,
            ..Vendor::default()
        };
        let (engine, job) = opened(vendor, RunOptions::default()).await;
        job.run(task(0)).await;
        let finished = job.finish(Value::Null).await.unwrap();
        let events = events(&engine, &finished).await;
        assert_eq!(unanswered(&events), [reserved(&events)]);
        let outcomes: Vec<_> = finished
            .run
            .tasks()
            .filter_map(|(_, task)| task.outcome())
            .collect();
        assert!(
            matches!(outcomes[..], [Outcome::Failed(failure)] if failure.class == class),
            "{outcomes:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_had_arrived_of_a_reply_that_broke_off_is_spent_and_bounds_the_rest() {
    let prompt = Usage {
        input: 40,
        ..Usage::default()
    };
    for cancels in [true, false] {
        let vendor = Vendor {
            takes: Duration::from_secs(3_600),
            begins: Some((prompt, 7)),
            ..Vendor::default()
        };
        let (engine, job) = opened(vendor, RunOptions::default()).await;
        let stop = async {
            sleep(Duration::from_secs(5)).await;
            if cancels {
                job.handle().control().cancel();
            }
        };
        tokio::join!(job.run(task(0)), stop);
        let finished = job.finish(Value::Null).await.unwrap();
        let events = events(&engine, &finished).await;
        let (spent, reserved) = (finished.run.budget().spent(), reserved(&events));
        let usage = Usage {
            output: 7,
            ..prompt
        };
        assert_eq!(finished.run.usage(), usage);
        // Sonnet: $2 and $10 for a million tokens.
        assert_eq!(spent.billed, PicoUsd(40 * 2_000_000 + 7 * 10_000_000));
        assert_eq!(spent.estimated, spent.billed);
        assert!(spent.unconfirmed > PicoUsd::ZERO && spent.total() < reserved);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_uses_kept_replies_owes_nothing_however_it_ends() {
    let (engine, job) = opened(Vendor::default(), RunOptions::default()).await;
    let checked = |retries| Task {
        check: vec![Check::Command("sleep 1000".into())],
        retries: Some(retries),
        timeout: Some(Millis::from_secs(60)),
        ..task(0)
    };
    // Each of three attempts runs out of time while its check is at work; the reply is kept.
    assert!(job.run(checked(2)).await.value().is_err());
    let finished = job.finish(Value::Null).await.unwrap();
    let events = events(&engine, &finished).await;
    assert_eq!(unanswered(&events), [PicoUsd::ZERO; 3]);
    assert!(finished.run.budget().settled < reserved(&events));
}
