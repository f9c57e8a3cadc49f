//! A custom executor: it carries out tasks in another way than by asking a model.
//!
//! `cargo run -p divisi-engine --example own_executor`
//!
//! The agent here is invented. A real one would start a program or call a service at the places
//! marked below; nothing else would differ.

#![allow(clippy::print_stdout, reason = "a program that writes to stdout")]

use async_trait::async_trait;
use divisi_engine::core::{Failure, FailureClass, PicoUsd, Task, TaskId, Usage};
use divisi_engine::executor::{Context, Cost, Ending, Executor, ExecutorSpec, ModelUse, Progress};
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Models, RunOptions, Setup};
use divisi_providers::Scripted;
use serde_json::{Value, json};
use std::error::Error;
use std::sync::Arc;

/// What one attempt of the agent costs at most: half a dollar.
const COST_MAX: PicoUsd = PicoUsd(PicoUsd::DOLLAR.0 / 2);

/// An agent with sessions: it reads, asks whether it may write, and continues.
struct Agent;

#[async_trait]
impl Executor for Agent {
    fn spec(&self) -> ExecutorSpec {
        // Another version is another executor: its results are not reused for this one.
        ExecutorSpec::new("agent 1.0")
            .models(ModelUse::Names)
            .cost(Cost::UpTo(COST_MAX))
            .resumes()
            .asks_permission()
    }

    async fn run(&self, context: &Context) -> Ending {
        match (context.handle(), context.answer()) {
            // An earlier attempt began this session, and its question has been answered.
            (Some(session), Some(answer)) => finish(context, &session, &answer),
            // The earlier attempt was lost: here the session would be resumed.
            (Some(session), None) => ask(context, &session),
            (None, _) => begin(context),
        }
    }
}

/// Reads, and reports the cost while it runs.
fn begin(context: &Context) -> Ending {
    // Here the program would start and return its session id.
    let session = json!({ "session": "s-1", "model": context.model() });
    context.keeps(&session);
    for file in ["README.md", "STYLE.md"] {
        context.shows(Progress::File(file.into()));
        context.spent(
            Usage {
                input: 1_000,
                output: 50,
                ..Usage::default()
            },
            PicoUsd(PicoUsd::DOLLAR.0 / 100),
        );
    }
    ask(context, &session)
}

fn ask(context: &Context, session: &Value) -> Ending {
    context.log("the agent wants to write");
    Ending::asks("May I change README.md?").handle(session)
}

fn finish(context: &Context, session: &Value, answer: &Value) -> Ending {
    if answer != "yes" {
        return Failure::new(FailureClass::Declined, "it was not allowed to write").into();
    }
    context.spent(
        Usage {
            output: 200,
            ..Usage::default()
        },
        PicoUsd(PicoUsd::DOLLAR.0 / 50),
    );
    Ending::ok(format!(
        "{} wrote: {}",
        session["model"].as_str().unwrap_or("it"),
        context.prompt()
    ))
}

/// Runs one task with it; returns the lines to print.
pub(crate) async fn show() -> Result<Vec<String>, Box<dyn Error>> {
    let mut told = vec![];
    let models = Models::one(Arc::new(Scripted::demo()), &[("sonnet", "demo")], &[]);
    let mut setup = Setup::new(models, std::env::current_dir()?);
    // The one registration.
    setup.executors.add("agent", Agent)?;

    let engine = Engine::new(Arc::new(MemoryStore::default()));
    let task = || {
        Task::new("a better README")
            .executor("agent")
            .model("large")
    };
    let capped =
        || RunOptions::default().caps(divisi_engine::core::event::Caps::of(Some(PicoUsd::DOLLAR)));

    // The agent asks, and the run parks: nothing is lost if this process ends now.
    let job = engine.open("own executor", setup.clone(), capped()).await?;
    let id = job.handle().id().clone();
    job.run(task()).await;
    let run = job.finish(Value::Null).await?.run;
    for task in run.suspended() {
        let suspension = run.task(task).and_then(|task| task.suspension());
        told.extend(
            suspension
                .and_then(|suspension| suspension.question.as_deref())
                .map(str::to_owned),
        );
    }
    told.push(format!("spent so far: {}", run.budget().spent().total()));

    engine.answer(&id, TaskId(0), "yes").await?;
    let job = engine.reopen_job(&id, setup, capped()).await?;
    let report = job.run(task()).await;
    told.push(report.text()?);
    let run = job.finish(Value::Null).await?.run;
    told.push(format!("spent in all: {}", run.budget().spent().total()));
    Ok(told)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in show().await? {
        println!("{line}");
    }
    Ok(())
}
