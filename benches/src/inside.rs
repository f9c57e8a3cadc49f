//! The Rust API in this process, with a model that answers at once.

use crate::table::say;
use anyhow::{Result, bail, ensure};
use async_trait::async_trait;
use divisi_engine::core::{Limits, Task};
use divisi_engine::store::{MemoryStore, SqliteStore, Store};
use divisi_engine::{Engine, Flow, Job, Models, RunOptions, Setup};
use divisi_providers::{
    Anthropic, Endpoint, Progress, Provider, ProviderError, Reply, Request, Scripted, Secret,
};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Tasks in flight at once, as by default.
pub(crate) const AT_ONCE: usize = 64;

/// Tasks through the Rust API.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Tasks of a run
    #[arg(long, default_value_t = 10_000)]
    tasks: usize,
    /// Runs, in sequence
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Keeps the journal in a file in this folder; in memory without it
    #[arg(long)]
    store: Option<PathBuf>,
    /// Sends requests to this server; a scripted model without it
    #[arg(long)]
    url: Option<String>,
    /// Submits the tasks by a script
    #[arg(long)]
    script: bool,
    /// Never gets an answer, and does not end
    #[arg(long)]
    wait: bool,
}

/// Runs them, and prints the time of a task.
pub(crate) fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    for _ in 0..args.runs {
        let store: Arc<dyn Store> = match &args.store {
            Some(folder) => Arc::new(SqliteStore::open(fresh(folder)?)?),
            None => Arc::new(MemoryStore::new()),
        };
        if args.wait {
            return runtime.block_on(waiting(store, args.tasks));
        }
        let start = Instant::now();
        match (&args.url, args.script) {
            (None, false) => runtime.block_on(fan_out(store, scripted(), args.tasks))?,
            (None, true) => runtime.block_on(by_script(store, args.tasks))?,
            (Some(url), _) => runtime.block_on(fan_out(store, over_http(url)?, args.tasks))?,
        }
        say(&format!(
            "{:.1} µs a task",
            start.elapsed().as_secs_f64() * 1e6 / args.tasks as f64
        ));
    }
    Ok(())
}

/// A fan-out of `tasks`, all submitted before the first ends.
pub(crate) async fn fan_out(store: Arc<dyn Store>, models: Models, tasks: usize) -> Result<()> {
    let job = open(store, models).await?;
    let reports = futures::future::join_all((0..tasks).map(|i| job.run(task(i)))).await;
    let failed = reports
        .iter()
        .filter(|report| report.value().is_err())
        .count();
    ensure!(failed == 0, "{failed} of {tasks} tasks failed");
    job.finish(Value::Null).await?;
    Ok(())
}

/// The same, submitted by a script.
pub(crate) async fn by_script(store: Arc<dyn Store>, tasks: usize) -> Result<()> {
    let source = "export const meta = {name: 'inside', description: 'Tasks', maxAgents: 1_000_000}
        const items = Array.from({length: args}, (_, i) => i)
        const all = await Promise.all(items.map(i => agent(`task ${i}`, {tools: []})))
        return all.filter(Boolean).length";
    ran(store, source, tasks).await
}

/// A chain: each task begins when the previous one has ended.
pub(crate) async fn chain(store: Arc<dyn Store>, tasks: usize) -> Result<()> {
    let job = open(store, scripted()).await?;
    for i in 0..tasks {
        job.run(task(i))
            .await
            .value()
            .map_err(|failure| anyhow::anyhow!("task {i} failed: {failure}"))?;
    }
    job.finish(Value::Null).await?;
    Ok(())
}

/// The same, submitted by a script.
pub(crate) async fn chain_by_script(store: Arc<dyn Store>, tasks: usize) -> Result<()> {
    let source = "export const meta = {name: 'inside', description: 'Tasks', maxAgents: 1_000_000}
        let done = 0
        for (let i = 0; i < args; i++) if (await agent(`task ${i}`, {tools: []})) done++
        return done";
    ran(store, source, tasks).await
}

/// Runs a script that returns the number of its finished tasks.
async fn ran(store: Arc<dyn Store>, source: &str, tasks: usize) -> Result<()> {
    let flow = Flow::script("bench", source).args(tasks.into());
    let run = Engine::new(store)
        .start(flow, setup(scripted()), RunOptions::default())
        .await?;
    let result = run.finished().await?.result.and_then(Result::ok);
    ensure!(
        result.as_deref() == Some(&*tasks.to_string()),
        "the run returned {result:?}"
    );
    Ok(())
}

/// Submits tasks that never end, and waits.
async fn waiting(store: Arc<dyn Store>, tasks: usize) -> Result<()> {
    let models = Models::one(Arc::new(Silent), &[("sonnet", "claude-sonnet-5-5")], &["*"]);
    let job = open(store, models).await?;
    let reports = futures::future::join_all((0..tasks).map(|i| job.run(task(i)))).await;
    bail!(
        "the tasks did not wait: {:?}",
        reports.first().map(|report| report.value().err())
    )
}

async fn open(store: Arc<dyn Store>, models: Models) -> Result<Job> {
    Ok(Engine::new(store)
        .open("bench", setup(models), RunOptions::default())
        .await?)
}

fn task(i: usize) -> Task {
    Task {
        tools: Some(vec![]),
        ..Task::new(format!("task {i}"))
    }
}

/// A model that answers at once.
pub(crate) fn scripted() -> Models {
    Models::one(
        Arc::new(Scripted::new()),
        &[("sonnet", "demo-sonnet")],
        &["*"],
    )
}

fn over_http(url: &str) -> Result<Models> {
    let endpoint = Endpoint::new("main", url).key(Some(Secret::new("bench")), "ANTHROPIC_API_KEY");
    let provider = Arc::new(Anthropic::new(endpoint)?);
    Ok(Models::one(
        provider,
        &[("sonnet", "claude-sonnet-5-5")],
        &["*"],
    ))
}

fn setup(models: Models) -> Setup {
    let limits = Limits {
        in_flight_max: AT_ONCE as u32,
        ..Limits::default()
    };
    Setup::new(models, ".").limits(limits)
}

/// The path of a new store.
fn fresh(folder: &Path) -> Result<PathBuf> {
    let runs = std::fs::read_dir(folder)?.count();
    Ok(folder.join(format!("{runs}.db")))
}

/// A provider that never answers.
struct Silent;

#[async_trait]
impl Provider for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    async fn send(
        &self,
        _: &Request,
        _: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        std::future::pending().await
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        Ok(vec![])
    }
}
