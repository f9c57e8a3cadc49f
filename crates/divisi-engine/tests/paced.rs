//! Runs against a vendor that limits its requests, over real HTTP.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use divisi_core::governor::RateSettings;
use divisi_engine::core::event::ParkReason;
use divisi_engine::core::run::Stage;
use divisi_engine::core::{FailureClass, Outcome};
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Finished, Flow, Models, ProviderModels, RunOptions, Setup};
use divisi_mock::{Config, Limits, Mock};
use divisi_providers::{Anthropic, Endpoint, Secret};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

const PER_SECOND: u32 = 50;
const BURST: u32 = 50;

/// Requests under way, where there should be so few that none leaves on the
/// burst's account before the first are answered: their headers put right what a
/// busy machine has been late to send, so that the count does not hang on its pace.
const FEW: u32 = 8;

fn limited() -> Config {
    let limits = Limits {
        requests_per_second: Some(PER_SECOND.into()),
        requests_burst: BURST,
        ..Limits::default()
    };
    Config {
        limits,
        ..Config::default()
    }
}

fn models(mock: &Mock, limits: RateSettings) -> Models {
    let endpoint = Endpoint::new("main", format!("{}/v1", mock.url()))
        .key(Some(Secret::new("sk-0123456789")), "MAIN_API_KEY");
    let provider = Arc::new(Anthropic::new(endpoint).unwrap());
    let models = ProviderModels::new(provider, &[("sonnet", "claude-sonnet-5-5")], &["claude-*"]);
    let providers = BTreeMap::from([("main".to_owned(), models.limited(limits))]);
    Models {
        default: "sonnet".into(),
        provider: "main".to_owned(),
        providers,
    }
}

/// As many requests under way as there usually may be.
fn usual() -> u32 {
    divisi_core::Limits::default().in_flight_max
}

async fn fan_out(models: Models, tasks: u32, in_flight_max: u32) -> Finished {
    let source = format!(
        "return parallel(Array.from({{length: {tasks}}}, (_, i) => () => agent('look at part ' + i)))"
    );
    let mut setup = Setup::new(models, std::env::temp_dir());
    setup.limits.in_flight_max = in_flight_max;
    let engine = Engine::new(Arc::new(MemoryStore::default()));
    let run = engine
        .start(Flow::script("test", source), setup, RunOptions::default())
        .await;
    run.unwrap_or_else(|error| panic!("{error}"))
        .finished()
        .await
        .unwrap()
}

/// How many requests were answered with `status`.
fn answered(mock: &Mock, status: u16) -> u64 {
    mock.stats().statuses.get(&status).copied().unwrap_or(0)
}

fn all_ok(finished: &Finished, tasks: u32) -> bool {
    let ends: Vec<_> = finished
        .run
        .tasks()
        .filter_map(|(_, task)| task.outcome())
        .collect();
    ends.len() as u32 == tasks && ends.into_iter().all(Outcome::is_ok)
}

/// Says how the run went beside the best there could be.
fn tell(mock: &Mock, tasks: u32, begun: Instant) {
    let ideal = f64::from(tasks - BURST) / f64::from(PER_SECOND);
    let refused = answered(mock, 429);
    eprintln!(
        "{tasks} tasks: {refused} answered 429, {:.2} s of {ideal:.2} s",
        begun.elapsed().as_secs_f64()
    );
}

/// The size of the run: larger on demand, to state numbers.
fn size() -> u32 {
    std::env::var("DIVISI_PACED_TASKS")
        .ok()
        .and_then(|size| size.parse().ok())
        .unwrap_or(120)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_limit_refuses_next_to_nobody() {
    let (mock, tasks) = (Mock::start(limited()).await, size());
    let limits = RateSettings {
        requests_per_minute: Some((PER_SECOND * 60).into()),
        burst: Some(BURST.into()),
        ..RateSettings::default()
    };
    let begun = Instant::now();
    let finished = fan_out(models(&mock, limits), tasks, FEW).await;
    tell(&mock, tasks, begun);
    assert!(all_ok(&finished, tasks));
    assert!(
        answered(&mock, 429) * 100 <= u64::from(tasks),
        "{} refused",
        answered(&mock, 429)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_only_the_vendor_tells_of_is_learnt_from_its_answers() {
    let (mock, tasks) = (Mock::start(limited()).await, size());
    let begun = Instant::now();
    let finished = fan_out(models(&mock, RateSettings::default()), tasks, usual()).await;
    tell(&mock, tasks, begun);
    assert!(all_ok(&finished, tasks));
    // The requests sent before the first answer, and one in a hundred of the rest.
    let before = u64::from(usual());
    assert!(
        answered(&mock, 429) <= before + u64::from(tasks) / 100,
        "{} refused",
        answered(&mock, 429)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_refused_key_nothing_more_is_sent() {
    let mock = Mock::start(Config {
        keys: vec!["another".to_owned()],
        ..Config::default()
    })
    .await;
    let finished = fan_out(models(&mock, RateSettings::default()), 1_000, usual()).await;
    let failed = finished.run.counts().failed;
    assert!(matches!(
        finished.run.stage(),
        Stage::Parked(ParkReason::Hopeless {
            class: FailureClass::Auth,
            ..
        })
    ));
    assert!(
        (5..1_000).contains(&failed),
        "{failed} have failed, and a person is asked"
    );
    // Those in flight when the first answer came.
    let sent = answered(&mock, 401);
    assert!((1..=u64::from(usual())).contains(&sent), "{sent} sent");
}
