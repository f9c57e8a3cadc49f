//! Runs against a vendor that is overloaded and drops connections, over real HTTP.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use divisi_core::{Millis, RetryPolicy};
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Finished, Flow, Models, RunOptions, Setup};
use divisi_mock::{
    Breakage, Config, ErrorKind, Fault, FaultRate, FaultRates, Latency, Mock, Rule, When,
};
use divisi_providers::{Anthropic, Endpoint, Secret};
use std::sync::Arc;
use std::time::Instant;

async fn fan_out(mock: &Mock, tasks: u32, retry: RetryPolicy) -> Finished {
    let source = format!(
        "return parallel(Array.from({{length: {tasks}}}, (_, i) => () => agent('look at part ' + i)))"
    );
    let endpoint = Endpoint::new("main", format!("{}/v1", mock.url()))
        .key(Some(Secret::new("sk-0123456789")), "MAIN_API_KEY");
    let provider = Arc::new(Anthropic::new(endpoint).unwrap());
    let models = Models::one(provider, &[("sonnet", "claude-sonnet-5-5")], &["claude-*"]);
    let setup = Setup::new(models, std::env::temp_dir()).retry(retry);
    let engine = Engine::new(Arc::new(MemoryStore::default()));
    let run = engine
        .start(Flow::script("test", source), setup, RunOptions::default())
        .await;
    run.unwrap_or_else(|error| panic!("{error}"))
        .finished()
        .await
        .unwrap()
}

/// The size of the run: larger on demand, to state numbers.
fn size() -> u32 {
    std::env::var("DIVISI_TROUBLED_TASKS")
        .ok()
        .and_then(|size| size.parse().ok())
        .unwrap_or(300)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overloads_and_dropped_streams_fail_no_task_and_nothing_answered_is_asked_again() {
    let faults = [
        (ErrorKind::Overloaded.into(), 0.05),
        (Fault::Break(Breakage::DropStream), 0.01),
    ];
    let faults = faults
        .map(|(fault, rate)| FaultRate { fault, rate })
        .to_vec();
    let config = Config {
        fault_rates: FaultRates { seed: 7, faults },
        ..Config::default()
    };
    let (mock, tasks, begun) = (Mock::start(config).await, size(), Instant::now());
    let finished = fan_out(&mock, tasks, RetryPolicy::default()).await;
    let stats = mock.stats();
    let refused = stats.statuses.get(&529).copied().unwrap_or(0);
    eprintln!(
        "{tasks} tasks: {refused} refused, {} dropped, {:.2} s",
        stats.dropped,
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(finished.run.counts().ok, tasks);
    assert!(refused > 0 && stats.dropped > 0, "{stats:?}");
    let sent: u64 = stats.requests.values().sum();
    assert_eq!(sent, u64::from(tasks) + refused + stats.dropped);
    assert_eq!(
        (stats.completed, stats.answered.values().max()),
        (tasks.into(), Some(&1))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overloads_are_waited_out_however_few_retries_there_are() {
    let busy = Rule::fault(When::any(), ErrorKind::Overloaded).times(40);
    let mock = Mock::start(Config {
        rules: vec![busy],
        latency: Latency::default(),
        ..Config::default()
    })
    .await;
    let patient = RetryPolicy {
        retries_max: 0,
        rest_first: Millis(1),
        ..RetryPolicy::default()
    };
    let finished = fan_out(&mock, 10, patient.clone()).await;
    assert_eq!(finished.run.counts().ok, 10);

    let mock = Mock::start(Config {
        rules: vec![Rule::fault(When::any(), ErrorKind::Overloaded)],
        ..Config::default()
    })
    .await;
    let hasty = RetryPolicy {
        overload_wait_max: Millis(0),
        ..patient
    };
    let finished = fan_out(&mock, 3, hasty).await;
    assert_eq!(finished.run.counts().failed, 3);
    assert_eq!(mock.stats().requests.values().sum::<u64>(), 3);
}
