//! External executors: what they declare decides about keys, ladders, money and the input of an
//! attempt.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../examples/own_executor.rs"]
#[allow(dead_code, reason = "its main is that of a program")]
mod own_executor;

#[path = "executors/polled.rs"]
mod polled;

use async_trait::async_trait;
use divisi_engine::core::check::{Check, Ladder};
use divisi_engine::core::event::{Caps, ParkReason};
use divisi_engine::core::run::Stage;
use divisi_engine::core::{
    Content, Failure, FailureClass, Millis, Outcome, PicoUsd, Run, RunId, Task, TaskId, Usage,
};
use divisi_engine::executor::{CommandExecutor, CommandLine, Context, Cost, Ending, Executor};
use divisi_engine::executor::{ExecutorSpec, ModelUse, Progress, Reports};
use divisi_engine::store::MemoryStore;
use divisi_engine::{
    Engine, Finished, Flow, Models, Permissions, RunHandle, RunOptions, Setup, TaskReport,
};
use divisi_providers::Scripted;
use serde_json::{Value, json};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CENT: PicoUsd = PicoUsd(PicoUsd::DOLLAR.0 / 100);

fn cents(n: u64) -> PicoUsd {
    PicoUsd(CENT.0 * n)
}

/// What it does at an attempt, beside writing down what it was given.
#[derive(Clone, Copy)]
enum Does {
    /// Echoes its model and prompt.
    Echoes,
    /// Says that it has cost so much, step by step, then hangs or ends.
    Costs(&'static [u64], bool),
    /// Leaves a handle, then hangs; with a handle it ends.
    Sessions,
    Asks,
    /// Waits for this long in its own queue, then works for as long.
    Queues(Duration, Duration),
    FailsOnce(FailureClass),
    Makes(&'static str),
}

#[derive(Clone)]
struct Fake {
    spec: ExecutorSpec,
    does: Does,
    given: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn new(spec: ExecutorSpec, does: Does) -> Self {
        Self {
            spec,
            does,
            given: Arc::default(),
        }
    }

    fn given(&self) -> Vec<String> {
        std::mem::take(&mut self.given.lock().unwrap())
    }
}

#[async_trait]
impl Executor for Fake {
    fn spec(&self) -> ExecutorSpec {
        self.spec.clone()
    }

    async fn run(&self, context: &Context) -> Ending {
        let given = format!(
            "{} {:?} {}",
            context.id(),
            context.model(),
            context.prompt()
        );
        self.given.lock().unwrap().push(given);
        let attempt = context.id().number;
        match self.does {
            Does::Echoes => Ending::ok(format!(
                "{} {}",
                context.model().unwrap_or("-"),
                context.task().prompt
            )),
            Does::Costs(costs, ends) => {
                for cost in costs {
                    context.spent(
                        Usage {
                            output: 1,
                            ..Usage::default()
                        },
                        cents(*cost),
                    );
                    tokio::task::yield_now().await;
                }
                if !ends {
                    pending::<()>().await;
                }
                Ending::ok("done")
            }
            Does::Sessions => match context.handle() {
                Some(handle) => Ending::ok(handle.to_string()),
                None => {
                    context.keeps(&json!({"session": attempt}));
                    context.shows(Progress::Tool("hangs".to_owned()));
                    pending().await
                }
            },
            Does::Asks => Ending::asks("may I?").handle(&json!("s")),
            Does::Queues(queue, work) => {
                context.waits(tokio::time::sleep(queue)).await;
                tokio::time::sleep(work).await;
                Ending::ok("done")
            }
            Does::FailsOnce(class) if attempt == 1 => Failure::new(class, "not now").into(),
            Does::FailsOnce(_) => Ending::ok(context.model().unwrap_or("-")),
            Does::Makes(json) => Ending::ok(serde_json::from_str::<Value>(json).unwrap()),
        }
    }
}

fn setup(executor: impl Executor + 'static) -> Setup {
    let models = Models::one(
        Arc::new(Scripted::demo()),
        &[("sonnet", "demo"), ("haiku", "demo-small")],
        &[],
    );
    let mut setup = Setup::new(models, std::env::temp_dir());
    setup.permissions = Permissions {
        run: true,
        write: false,
    };
    setup.executors.add("fake", executor).unwrap();
    setup
}

fn engine() -> Engine {
    Engine::new(Arc::new(MemoryStore::default()))
}

fn capped(cap: Option<u64>) -> RunOptions {
    RunOptions::default().caps(Caps::of(cap.map(cents)))
}

fn task() -> Task {
    Task::new("work").executor("fake")
}

/// One task from start to end.
async fn run(setup: Setup, task: Task, cap: Option<u64>) -> (TaskReport, Finished) {
    let job = engine().open("test", setup, capped(cap)).await.unwrap();
    let report = job.run(task).await;
    (report, job.finish(Value::Null).await.unwrap())
}

fn money(run: &Run) -> (PicoUsd, PicoUsd, PicoUsd) {
    let spent = run.budget().spent();
    (spent.billed, spent.unconfirmed, spent.over)
}

fn free() -> ExecutorSpec {
    ExecutorSpec::new("fake 1")
}

#[tokio::test]
async fn the_example_asks_is_answered_and_goes_on() {
    let told = own_executor::show().await.unwrap();
    insta::assert_snapshot!(told.join("\n"), @"
    May I change README.md?
    spent so far: $0.0200
    large wrote: a better README
    spent in all: $0.0400
    ");
}

#[tokio::test]
async fn what_it_depends_on_and_the_words_it_understands_are_part_of_the_key() {
    let engine = engine();
    let names = |version: &str| ExecutorSpec::new(version).models(ModelUse::Names);
    let fake = Fake::new(names("1"), Does::Echoes);
    let job = engine
        .open("test", setup(fake.clone()), RunOptions::default())
        .await
        .unwrap();
    let id = job.handle().id().clone();
    assert_eq!(job.run(task().model("a")).await.text().unwrap(), "a work");
    job.finish(Value::Null).await.unwrap();
    fake.given();

    let attempts = async |spec: ExecutorSpec, model: &str| {
        let fake = Fake::new(spec, Does::Echoes);
        let job = engine
            .reopen_job(&id, setup(fake.clone()), RunOptions::default())
            .await
            .unwrap();
        job.run(task().model(model)).await;
        job.finish(Value::Null).await.unwrap();
        fake.given().len()
    };
    assert_eq!(attempts(names("1"), "a").await, 0, "known");
    assert_eq!(attempts(names("1"), "b").await, 1, "another word");
    assert_eq!(attempts(names("2"), "a").await, 1, "another version");
    // Words mean nothing to this one.
    assert_eq!(attempts(ExecutorSpec::new("1"), "a").await, 1);
    assert_eq!(attempts(ExecutorSpec::new("1"), "b").await, 0);
}

#[tokio::test]
async fn a_ladder_climbs_on_any_executor_that_names_models() {
    let fake = Fake::new(free().models(ModelUse::Names), Does::Echoes);
    let ladder = |words: &[&str]| Task {
        model: Ladder(words.iter().map(|&word| word.into()).collect()),
        check: vec![Check::Command("grep large".into())],
        ..task()
    };
    let (report, _) = run(setup(fake.clone()), ladder(&["small", "large"]), None).await;
    assert_eq!(report.text().unwrap(), "large work");
    let given = fake.given();
    assert_eq!(given[0], "t0#1 Some(\"small\") work");
    assert!(
        given[1].starts_with("t0#2 Some(\"large\") work\n\n"),
        "it is told why: {}",
        given[1]
    );
    let (report, _) = run(setup(fake.clone()), ladder(&["small"]), None).await;
    assert_eq!(report.value().unwrap_err().class, FailureClass::Check);
    assert_eq!(fake.given().len(), 2, "the only one is tried once more");
}

#[tokio::test]
async fn another_word_stands_in_where_the_first_is_out_of_order() {
    let fake = Fake::new(
        free().models(ModelUse::Names),
        Does::FailsOnce(FailureClass::Overloaded),
    );
    let mut setup = setup(fake.clone());
    setup.retry.rest_first = Millis(1);
    let (report, _) = run(setup, task().model("large"), None).await;
    assert_eq!(
        report.text().unwrap(),
        "large",
        "after one refusal it is asked again"
    );
}

#[tokio::test]
async fn the_fallbacks_of_one_that_knows_tiers_are_read_like_its_model() {
    let fake = Fake::new(free().models(ModelUse::Tiers), Does::Echoes);
    for (fallback, expected) in [("scripted:haiku", "haiku"), ("inherit", "sonnet")] {
        let task = Task {
            fallback: vec![fallback.into()],
            ..task().model("opus")
        };
        let (_, ended) = run(setup(fake.clone()), task, None).await;
        let fallbacks = ended.run.task(TaskId(0)).unwrap().facts().fallbacks.clone();
        assert_eq!(fallbacks, [expected.into()], "{fallback}");
    }
}

/// Runs a program to find out its version.
#[derive(Clone, Default)]
struct Versioned(Arc<Mutex<Vec<std::thread::ThreadId>>>);

#[async_trait]
impl Executor for Versioned {
    fn spec(&self) -> ExecutorSpec {
        free()
    }

    fn version(&self) -> Result<Arc<str>, Failure> {
        self.0.lock().unwrap().push(std::thread::current().id());
        Ok("1".into())
    }

    async fn run(&self, _: &Context) -> Ending {
        Ending::ok("done")
    }
}

#[tokio::test]
async fn a_version_is_asked_for_once_a_run_and_not_on_a_thread_of_the_runtime() {
    let versioned = Versioned::default();
    let job = engine()
        .open("test", setup(versioned.clone()), RunOptions::default())
        .await
        .unwrap();
    for prompt in ["one", "two"] {
        let task = Task::new(prompt).executor("fake");
        assert!(job.run(task).await.text().is_ok());
    }
    job.finish(Value::Null).await.unwrap();
    let asked = versioned.0.lock().unwrap().clone();
    assert_eq!(asked.len(), 1);
    assert_ne!(asked[0], std::thread::current().id());
}

#[tokio::test]
async fn a_bound_is_set_aside_and_what_is_not_said_may_have_been_spent() {
    let bounded = |does| Fake::new(free().cost(Cost::UpTo(cents(50))), does);
    let (report, ended) = run(setup(bounded(Does::Echoes)), task(), Some(100)).await;
    assert!(report.text().is_ok());
    assert_eq!(money(&ended.run), (cents(0), cents(50), cents(0)));

    let (_, ended) = run(
        setup(bounded(Does::Costs(&[10, 20], true))),
        task(),
        Some(100),
    )
    .await;
    assert_eq!(money(&ended.run), (cents(30), cents(0), cents(0)));
    assert_eq!(ended.run.usage().output, 2);

    let fake = bounded(Does::Echoes);
    let (_, ended) = run(setup(fake.clone()), task(), Some(49)).await;
    assert_eq!(
        *ended.run.stage(),
        Stage::Parked(ParkReason::Budget { phase: None })
    );
    assert_eq!(fake.given(), [""; 0], "the cap does not hold one attempt");
}

#[tokio::test]
async fn one_that_costs_more_than_was_set_aside_is_ended_while_it_works() {
    let fake = Fake::new(
        free().cost(Cost::UpTo(cents(50))),
        Does::Costs(&[30, 30], false),
    );
    let (_, ended) = run(setup(fake), task(), Some(100)).await;
    assert_eq!(money(&ended.run), (cents(50), cents(0), cents(10)));
    let outcome = ended.run.task(TaskId(0)).unwrap().outcome().unwrap();
    let Outcome::Failed(failure) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        failure.message.starts_with("it had cost"),
        "{}",
        failure.message
    );
    let Stage::Parked(ParkReason::Overcharged { reserved, cost, .. }) = ended.run.stage() else {
        panic!("{:?}", ended.run.stage())
    };
    assert_eq!((*reserved, *cost), (cents(50), cents(60)));
}

#[tokio::test]
async fn one_that_reports_without_a_bound_runs_where_there_is_no_cap_or_a_budget_of_the_task() {
    let fake = || Fake::new(free().cost(Cost::Reported), Does::Costs(&[30, 30], true));
    let (report, ended) = run(setup(fake()), task(), None).await;
    assert!(report.text().is_ok());
    assert_eq!(money(&ended.run), (cents(60), cents(0), cents(0)));

    let (report, _) = run(setup(fake()), task(), Some(1_000)).await;
    let failure = report.value().unwrap_err();
    assert_eq!(
        failure.message,
        "what it may cost has no bound, and there is a cap"
    );

    let own = |most| Task {
        max_cost: Some(cents(most)),
        ..task()
    };
    let (report, ended) = run(setup(fake()), own(70), Some(1_000)).await;
    assert!(report.text().is_ok());
    assert_eq!(money(&ended.run), (cents(60), cents(0), cents(0)));
    let (_, ended) = run(setup(fake()), own(40), Some(1_000)).await;
    assert_eq!(money(&ended.run), (cents(40), cents(0), cents(20)));
}

/// A run whose process is killed as soon as its attempt has reported a handle, and that is resumed.
async fn killed_and_resumed(spec: ExecutorSpec) -> (Engine, RunHandle) {
    let engine = engine();
    let fake = Fake::new(spec, Does::Sessions);
    let flow = || Flow::script("test", "return await agent('work', { executor: 'fake' })");
    let run = engine
        .start(flow(), setup(fake.clone()), RunOptions::default())
        .await
        .unwrap();
    let id = run.id().clone();
    until_kept(&engine, &id, r#"{"session":1}"#).await;
    run.kill();
    while engine.is_driven(&id).await.unwrap() {
        tokio::task::yield_now().await;
    }
    let resumed = engine
        .resume(&id, flow(), setup(fake), RunOptions::default())
        .await
        .unwrap();
    (engine, resumed)
}

async fn until_kept(engine: &Engine, id: &RunId, wanted: &str) {
    let wanted = Content::Inline(wanted.into());
    let is_kept = async || match engine.load(id).await {
        Ok(run) => run
            .task(TaskId(0))
            .is_some_and(|task| task.session().handle.as_ref() == Some(&wanted)),
        Err(_) => false,
    };
    while !is_kept().await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_attempt_after_a_lost_one_is_given_its_handle() {
    let (_, run) = killed_and_resumed(free().resumes()).await;
    let result = run.finished().await.unwrap().result.unwrap().unwrap();
    assert_eq!(
        serde_json::from_str::<String>(&result).unwrap(),
        r#"{"session":1}"#
    );
}

#[tokio::test]
async fn one_that_does_not_say_that_it_resumes_begins_afresh() {
    let (engine, run) = killed_and_resumed(free()).await;
    until_kept(&engine, run.id(), r#"{"session":2}"#).await;
    run.kill();
}

#[tokio::test]
async fn one_that_asks_has_to_have_said_so() {
    let (report, _) = run(setup(Fake::new(free(), Does::Asks)), task(), None).await;
    assert!(
        report
            .value()
            .unwrap_err()
            .message
            .contains("has not said that it can go on")
    );
}

#[tokio::test(start_paused = true)]
async fn what_it_waits_for_is_not_its_own_time() {
    let (hour, second) = (Duration::from_secs(3_600), Duration::from_secs(1));
    let timed = |queue, work| {
        let task = Task {
            timeout: Some(Millis(5_000)),
            retries: Some(0),
            ..task()
        };
        run(
            setup(Fake::new(free(), Does::Queues(queue, work))),
            task,
            None,
        )
    };
    let (report, _) = timed(hour, second).await;
    assert!(report.text().is_ok());
    let (report, _) = timed(second, hour).await;
    assert_eq!(report.value().unwrap_err().class, FailureClass::Timeout);
    let (report, _) = timed(hour, hour).await;
    assert_eq!(report.value().unwrap_err().class, FailureClass::Timeout);
}

#[tokio::test]
async fn what_it_makes_is_held_to_the_schema() {
    let asked = || task().schema(json!({"type": "object", "required": ["a"]}));
    let (report, _) = run(
        setup(Fake::new(free(), Does::Makes("{\"a\": 1}"))),
        asked(),
        None,
    )
    .await;
    assert_eq!(report.value().unwrap(), json!({"a": 1}));
    let (report, _) = run(
        setup(Fake::new(free(), Does::Makes("{\"b\": 1}"))),
        asked(),
        None,
    )
    .await;
    assert_eq!(report.value().unwrap_err().class, FailureClass::Schema);
}

/// A program of the settings that prints these lines.
fn printing(lines: &str) -> CommandLine {
    let reports = Reports {
        cost: Some("total_cost_usd".to_owned()),
        output_tokens: Some("usage.output_tokens".to_owned()),
        result: Some("result".to_owned()),
        ..Reports::default()
    };
    CommandLine::new(["sh", "-c", &format!("cat > /dev/null; printf '{lines}'")]).reports(reports)
}

#[tokio::test]
async fn a_program_says_in_lines_of_json_what_it_has_cost_and_what_its_result_is() {
    let line = printing(concat!(
        r#"starting\n{"total_cost_usd": 0.1, "usage": {"output_tokens": 5}}\n"#,
        r#"{"total_cost_usd": 0.25, "usage": {"output_tokens": 9}, "result": "done"}"#
    ));
    let program = |line: &CommandLine| CommandExecutor::new(line.clone());
    let (report, ended) = run(setup(program(&line)), task(), None).await;
    assert_eq!(report.text().unwrap(), "done");
    assert_eq!(
        (money(&ended.run).0, ended.run.usage().output),
        (cents(25), 9)
    );

    let bounded = line.cost_max(cents(20));
    let (_, ended) = run(setup(program(&bounded)), task(), Some(100)).await;
    assert_eq!(money(&ended.run), (cents(20), cents(0), cents(5)));

    let mute = printing("nothing").cost_max(cents(20));
    let (report, ended) = run(
        setup(program(&mute)),
        Task {
            retries: Some(0),
            ..task()
        },
        Some(100),
    )
    .await;
    let failure = report.value().unwrap_err();
    assert_eq!(
        failure.message,
        "`sh` printed no line of JSON with `result`, its result"
    );
    assert_eq!(
        money(&ended.run),
        (cents(0), cents(20), cents(0)),
        "it may have cost all of it"
    );
}

#[tokio::test]
async fn a_program_that_does_not_start_costs_nothing() {
    let line = CommandLine::new(["no-such-program"]).cost_max(cents(20));
    let (_, ended) = run(setup(CommandExecutor::new(line)), task(), Some(100)).await;
    assert_eq!(money(&ended.run), (cents(0), cents(0), cents(0)));
}
