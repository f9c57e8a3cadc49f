//! What a task costs when the model answers at once.

use crate::floor;
use crate::measure::{Table, best, per_task, resident_bytes, time};
use async_trait::async_trait;
use divisi_engine::core::{Limits, Task};
use divisi_engine::store::{MemoryStore, SqliteStore, Store};
use divisi_engine::{Engine, Flow, Models, RunOptions, Setup};
use divisi_providers::{Progress, Provider, ProviderError, Reply, Request, Scripted};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Tasks in flight at once.
const AT_ONCE: usize = 64;

/// Overhead per task, in memory and durable, through Rust and through a script.
pub(crate) fn tasks(table: &mut Table, rounds: u32) {
    let runtime = runtime();
    for tasks in [1_000, 10_000, 100_000] {
        let rounds = if tasks == 100_000 { rounds.min(2) } else { rounds };
        let bare = best(rounds, || time(|| runtime.block_on(floor::in_memory(tasks, AT_ONCE))));
        let ours = best(rounds, || time(|| runtime.block_on(by_rust(Arc::new(MemoryStore::new()), tasks))));
        let what = format!("task in memory, Rust API, fan-out of {tasks}");
        table.row(&what, per_task(ours, tasks), Some(per_task(bare, tasks)), "≤ 10 µs");
        let ours = best(rounds, || time(|| runtime.block_on(by_script(Arc::new(MemoryStore::new()), tasks))));
        let what = format!("task in memory, script, fan-out of {tasks}");
        table.row(&what, per_task(ours, tasks), Some(per_task(bare, tasks)), "≤ 20 µs");
    }
    for tasks in [1_000, 10_000, 100_000] {
        let rounds = if tasks == 100_000 { 1 } else { rounds };
        let bare =
            best(rounds, || in_folder(|folder| runtime.block_on(floor::durable(tasks, AT_ONCE, folder))));
        let ours = best(rounds, || {
            in_folder(|folder| match SqliteStore::open(folder.join("divisi.db")) {
                Ok(store) => runtime.block_on(by_rust(Arc::new(store), tasks)),
                Err(error) => panic!("no store: {error}"),
            })
        });
        let what = format!("task durable, Rust API, fan-out of {tasks}");
        table.row(&what, per_task(ours, tasks), Some(per_task(bare, tasks)), "≤ 40 µs");
    }
}

/// Memory per waiting task: 100,000 submitted, of which none gets an answer.
pub(crate) fn memory(table: &mut Table) {
    const TASKS: usize = 100_000;
    let runtime = runtime();
    let before = resident_bytes();
    let after = runtime.block_on(async {
        let engine = Engine::new(Arc::new(MemoryStore::new()));
        let models = Models::one(Arc::new(Silent), &[("haiku", "silent")], &["*"]);
        let job = engine.open("waiting", setup(models), RunOptions::default()).await.expect("a job");
        let waiting = futures::future::join_all((0..TASKS).map(|i| job.run(task(i))));
        // Long enough for all to be submitted and the store to have them.
        let _ = tokio::time::timeout(Duration::from_secs(4), waiting).await;
        resident_bytes()
    });
    let per_task = after.saturating_sub(before) / TASKS as u64;
    table.row("memory per waiting task, of 100,000", format!("{per_task} bytes"), None, "≤ 4,096 bytes");
}

async fn by_rust(store: Arc<dyn Store>, tasks: usize) {
    let job =
        Engine::new(store).open("bench", setup(scripted()), RunOptions::default()).await.expect("a job");
    let reports = futures::future::join_all((0..tasks).map(|i| job.run(task(i)))).await;
    if let Some(failure) = reports.iter().find_map(|report| report.value().err()) {
        panic!("a task failed: {failure}");
    }
    job.finish(serde_json::Value::Null).await.expect("an end");
}

async fn by_script(store: Arc<dyn Store>, tasks: usize) {
    let source = "const items = Array.from({length: args}, (_, i) => i)
        const all = await Promise.all(items.map(i => agent(`task ${i}`, {tools: []})))
        return all.filter(Boolean).length";
    let flow = Flow::script("bench", source).args(tasks.into());
    let run = Engine::new(store).start(flow, setup(scripted()), RunOptions::default()).await.expect("a run");
    let finished = run.finished().await.expect("an end");
    assert_eq!(finished.result.and_then(Result::ok).as_deref(), Some(&*tasks.to_string()));
}

fn task(i: usize) -> Task {
    Task { tools: Some(vec![]), ..Task::new(format!("task {i}")) }
}

fn scripted() -> Models {
    Models::one(Arc::new(Scripted::new()), &[("sonnet", "demo-sonnet")], &["*"])
}

fn setup(mut models: Models) -> Setup {
    models.default = "haiku".into();
    if !models.providers[&models.provider].tiers.contains_key("haiku") {
        models.default = "sonnet".into();
    }
    let limits = Limits { in_flight_max: AT_ONCE as u32, ..Limits::default() };
    Setup { limits, ..Setup::new(models, ".") }
}

fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

fn in_folder(work: impl FnOnce(&Path)) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    time(|| work(folder.path()))
}

/// A provider that never answers.
struct Silent;

#[async_trait]
impl Provider for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    async fn send(&self, _: &Request, _: &(dyn Fn(Progress) + Send + Sync)) -> Result<Reply, ProviderError> {
        std::future::pending().await
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        Ok(vec![])
    }
}
