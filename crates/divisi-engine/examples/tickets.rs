//! An executor that submits jobs to a service, and polls for their results: the run survives a kill
//! while it waits, and no job is submitted twice.
//!
//! ```sh
//! cargo run -p divisi-engine --example tickets -- service runs.db
//! # kill it with Ctrl-C or `kill -9`; finish a job; run the same line again
//! echo 'a fine text' > service/job-0.result
//! ```
//!
//! The service here is a folder: `job-N.request` is submitted, and `job-N.result` is written by
//! someone else. A batch of a vendor, a queue or a remote worker would take its place.

#![allow(clippy::print_stdout, reason = "a program that writes to stdout")]

use async_trait::async_trait;
use divisi_engine::core::{Failure, FailureClass, Millis, Task};
use divisi_engine::executor::{Context, Ending, Executor, ExecutorSpec, Polled, Ticket};
use divisi_engine::store::{SqliteStore, Store};
use divisi_engine::{Engine, Models, RunOptions, Setup};
use divisi_providers::Scripted;
use serde_json::{Value, json};
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

/// Submits jobs to a folder.
struct Service(PathBuf);

impl Service {
    fn file(&self, job: &Value, ending: &str) -> PathBuf {
        let name = job["job"].as_str().unwrap_or_default();
        self.0.join(format!("{name}.{ending}"))
    }
}

#[async_trait]
impl Executor for Service {
    fn spec(&self) -> ExecutorSpec {
        ExecutorSpec::new("folder 1")
            .polls(Millis(200))
            .runs_elsewhere()
            .writes_nothing()
    }

    /// Submits the task, and ends without a result: the handle is all that is needed to find it.
    async fn run(&self, context: &Context) -> Ending {
        let job = json!({ "job": format!("job-{}", context.id().task.0) });
        match std::fs::write(self.file(&job, "request"), context.prompt()) {
            Ok(()) => Ending::waits("job").handle(&job),
            Err(error) => Failure::new(FailureClass::Unavailable, error.to_string()).into(),
        }
    }

    async fn poll(&self, ticket: &Ticket) -> Polled {
        let job = ticket.handle().unwrap_or_default();
        println!("polled {}", job["job"]);
        match std::fs::read_to_string(self.file(&job, "result")) {
            Ok(result) => Polled::ended(Ok(result.trim().into())),
            // Not there yet.
            Err(_) => Polled::waits(),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(folder), Some(path)) = (args.next(), args.next()) else {
        return Err("name the folder of the service and the file in which runs are kept".into());
    };
    std::fs::create_dir_all(&folder)?;
    let store = Arc::new(SqliteStore::open(path)?);
    // A run without an end was interrupted, or is parked.
    let unfinished = |status: &str| matches!(status, "running" | "parked");
    let runs = store.runs(1).await?;
    let earlier = runs.into_iter().find(|run| unfinished(&run.status));

    let models = Models::one(Arc::new(Scripted::demo()), &[("sonnet", "demo")], &[]);
    let mut setup = Setup::new(models, ".");
    setup.executors.add("service", Service(folder.into()))?;
    let (engine, options) = (Engine::new(store), RunOptions::default());
    let job = match earlier {
        Some(run) => engine.reopen_job(&run.id, setup, options).await?,
        None => engine.open("tickets", setup, options).await?,
    };
    let report = job.run(Task::new("write a text").executor("service")).await;
    println!("{} in attempt {}", report.text()?, report.attempts);
    job.finish(Value::Null).await?;
    Ok(())
}
