//! Which task goes first where not all can go at once.
#![allow(clippy::unwrap_used, clippy::panic)]

use async_trait::async_trait;
use divisi_core::plan::{Plan, PlanTask};
use divisi_core::{Limits, Task};
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Flow, Models, RunOptions, Setup, patterns};
use divisi_providers::{Block, Progress, Provider, ProviderError, Reply, Request, Scripted};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// Answers by the script, and keeps the prompts in the order in which they came.
struct Seen {
    scripted: Scripted,
    prompts: Mutex<Vec<String>>,
}

#[async_trait]
impl Provider for Seen {
    fn name(&self) -> &str {
        "seen"
    }

    fn is_free(&self) -> bool {
        true
    }

    async fn send(
        &self,
        request: &Request,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        let Some(Block::Text { text, .. }) = request.messages[0].blocks.last() else {
            panic!("no text")
        };
        self.prompts.lock().unwrap().push(text.to_string());
        self.scripted.send(request, progress).await
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        self.scripted.models().await
    }
}

/// A setup with one slot, and a provider that records its prompts.
fn one_slot() -> (Arc<Seen>, Setup) {
    let seen = Arc::new(Seen {
        scripted: Scripted::new(),
        prompts: Mutex::default(),
    });
    let models = Models::one(seen.clone(), &[("sonnet", "model")], &["*"]);
    let setup = Setup::new(models, std::env::temp_dir());
    (
        seen,
        setup.limits(Limits {
            in_flight_max: 1,
            ..Limits::default()
        }),
    )
}

/// Five tasks by themselves, then a chain of three, which has to go first.
fn plan() -> Plan {
    let mut tasks: Vec<PlanTask> = (1..=5)
        .map(|i| PlanTask::new(format!("single-{i}"), format!("single {i}")))
        .collect();
    tasks.push(PlanTask::new("head", "head of the chain"));
    tasks.push(PlanTask::new("middle", "middle of the chain").after(["head"]));
    tasks.push(PlanTask::new("end", "end of the chain").after(["middle"]));
    Plan::new(None, tasks).unwrap()
}

/// All eight tasks have been requested, the head of the chain first.
fn assert_chain_first(seen: &Seen) {
    let prompts = seen.prompts.lock().unwrap();
    assert_eq!(
        (prompts.len(), &*prompts[0]),
        (8, "head of the chain"),
        "{prompts:?}"
    );
}

#[tokio::test]
async fn the_longest_chain_of_a_plan_goes_first() {
    let (seen, setup) = one_slot();
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let job = engine
        .open("plan", setup, RunOptions::default())
        .await
        .unwrap();
    patterns::run_plan(&job, &plan(), &Task::default()).await;
    job.finish(json!(null)).await.unwrap();
    assert_chain_first(&seen);
}

#[tokio::test]
async fn the_longest_chain_of_a_decomposition_in_a_script_goes_first() {
    let (seen, setup) = one_slot();
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let flow =
        Flow::script("split", "return decompose('all of it', {plan: args})").args(json!(plan()));
    engine
        .start(flow, setup, RunOptions::default())
        .await
        .unwrap()
        .finished()
        .await
        .unwrap();
    assert_chain_first(&seen);
}

#[tokio::test]
async fn a_script_may_say_how_long_a_chain_waits() {
    let (seen, setup) = one_slot();
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let source = "const priorities = [0, 0, 2, 0];
        return parallel(priorities.map((priority, i) => () => agent(`task ${i}`, {priority})))";
    let flow = Flow::script("said", source);
    engine
        .start(flow, setup, RunOptions::default())
        .await
        .unwrap()
        .finished()
        .await
        .unwrap();
    assert_eq!(
        *seen.prompts.lock().unwrap(),
        ["task 2", "task 0", "task 1", "task 3"]
    );
}
