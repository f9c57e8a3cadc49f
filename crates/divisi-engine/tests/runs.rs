//! Runs from start to end, in memory and on disk, through the library's door.
#![allow(clippy::unwrap_used, clippy::panic)]

use async_trait::async_trait;
use divisi_core::Usage;
use divisi_engine::core::event::{Awaited, RunStatus};
use divisi_engine::core::run::Stage;
use divisi_engine::core::view::TaskView;
use divisi_engine::core::{Event, FailureClass, Position, RunId, RunView, Task, TaskId};
use divisi_engine::store::{MemoryStore, SqliteStore, Store};
use divisi_engine::{Engine, Finished, Flow, Models, RunOptions, Setup, StartError};
use divisi_providers::{Block, Message, Progress, Provider, ProviderError, Reply, Request, Stop};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Answers every prompt with `<prompt>!`, with configured exceptions, and counts.
#[derive(Default)]
struct Echo {
    asked: Mutex<BTreeMap<String, u32>>,
    /// Prompts that contain this never get an answer.
    mute: Option<&'static str>,
    muted: Notify,
    /// Whether its models have no known price.
    sends_bills: bool,
    /// Prompts that contain this fail, so often.
    failing: Mutex<Option<(&'static str, u32)>>,
}

impl Echo {
    fn asked(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|(prompt, n)| format!("{prompt} ×{n}"))
            .collect()
    }
}

#[async_trait]
impl Provider for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn is_free(&self) -> bool {
        !self.sends_bills
    }

    async fn send(
        &self,
        request: &Request,
        _: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        let Message { blocks, .. } = request.messages.last().unwrap();
        let Block::Text { text, .. } = blocks.last().unwrap() else {
            panic!("no text")
        };
        *self
            .asked
            .lock()
            .unwrap()
            .entry(text.to_string())
            .or_default() += 1;
        if self.mute.is_some_and(|mute| text.contains(mute)) {
            self.muted.notify_one();
            std::future::pending::<()>().await;
        }
        if let Some((word, left)) = &mut *self.failing.lock().unwrap()
            && text.contains(*word)
            && *left > 0
        {
            *left -= 1;
            return Err(ProviderError::new(FailureClass::BadRequest, "told to fail"));
        }
        let usage = Usage {
            input: 10,
            output: 5,
            ..Usage::default()
        };
        Ok(Reply {
            model: request.model.to_string(),
            blocks: vec![Block::text(format!("{text}!"))],
            stop: Stop::EndTurn,
            usage,
            billing: Default::default(),
            usage_estimated: false,
            request_id: None,
            rate: Default::default(),
        })
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        Ok(vec![])
    }
}

fn setup(echo: &Arc<Echo>) -> Setup {
    let models = Models::one(
        echo.clone(),
        &[("haiku", "echo-small"), ("sonnet", "echo-large")],
        &["echo-*"],
    );
    Setup::new(models, std::env::temp_dir())
}

async fn start(engine: &Engine, echo: &Arc<Echo>, source: &str) -> Finished {
    let run = engine
        .start(
            Flow::script("test", source),
            setup(echo),
            RunOptions::default(),
        )
        .await;
    run.unwrap_or_else(|error| panic!("{error}"))
        .finished()
        .await
        .unwrap()
}

async fn resume(
    engine: &Engine,
    echo: &Arc<Echo>,
    id: &RunId,
    source: &str,
    reopen_failed: bool,
) -> Finished {
    let options = RunOptions::default().reopen_failed(reopen_failed);
    let run = engine
        .resume(id, Flow::script("test", source), setup(echo), options)
        .await;
    run.unwrap_or_else(|error| panic!("{error}"))
        .finished()
        .await
        .unwrap()
}

fn result(finished: &Finished) -> &str {
    match &finished.result {
        Some(Ok(json)) => json,
        other => panic!("no result: {other:?}"),
    }
}

/// Three tasks at once and one over their results.
const SCATTER: &str = "
    const parts = await parallel(['a', 'b', 'c'].map(x => () => agent(`part ${x}`)))
    return agent(`all of ${parts.join(' ')}`)";

#[tokio::test]
async fn a_script_runs_to_its_result() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let finished = start(&engine, &echo, SCATTER).await;
    assert_eq!(result(&finished), r#""all of part a! part b! part c!!""#);
    assert_eq!(finished.status(), Some(RunStatus::Ok));
    assert_eq!(finished.run.counts().ok, 4);
    assert_eq!(echo.asked().len(), 4);
}

#[tokio::test]
async fn a_resume_of_a_finished_run_asks_for_nothing() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let first = start(&engine, &echo, SCATTER).await;
    let second = resume(&engine, &echo, &first.id, SCATTER, false).await;
    assert_eq!(result(&second), result(&first));
    assert_eq!(second.run.reused(), 4);
    assert!(
        echo.asked().iter().all(|asked| asked.ends_with("×1")),
        "{:?}",
        echo.asked()
    );
}

#[tokio::test]
async fn an_edited_prompt_runs_again_with_what_depends_on_it() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let first = start(&engine, &echo, SCATTER).await;
    let edited = SCATTER.replace("'b'", "'B'");
    let second = resume(&engine, &echo, &first.id, &edited, false).await;
    assert_eq!(result(&second), r#""all of part a! part B! part c!!""#);
    assert_eq!(second.run.reused(), 2);
    assert_eq!(echo.asked().len(), 6);
    let events = engine.store().events(&first.id, Position(0)).await.unwrap();
    let caught_up = events.iter().find_map(|recorded| match &recorded.event {
        Event::CaughtUp { reused, to_run, .. } => Some((*reused, *to_run)),
        _ => None,
    });
    assert_eq!(caught_up, Some((2, 1)));
}

#[tokio::test]
async fn a_rehearsal_says_what_a_resume_runs_and_neither_asks_nor_writes() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let first = start(&engine, &echo, SCATTER).await;
    let before = engine.store().events(&first.id, Position(0)).await.unwrap();
    let rehearse = async |source: &str, options: RunOptions| {
        let flow = Flow::script("test", source);
        let rehearsed = engine
            .rehearse(&first.id, flow, setup(&echo), options)
            .await;
        let rehearsed = rehearsed.unwrap_or_else(|error| panic!("{error}"));
        let runs: Vec<TaskId> = rehearsed.to_run().collect();
        (runs, rehearsed.after.reused)
    };
    let nothing = rehearse(SCATTER, RunOptions::default()).await;
    assert_eq!(nothing, (vec![], 4));
    let edited = rehearse(&SCATTER.replace("'b'", "'B'"), RunOptions::default()).await;
    assert_eq!(edited, (vec![TaskId(4)], 2));
    let named = RunOptions::default().reopen(vec![TaskId(1)]);
    assert_eq!(rehearse(SCATTER, named).await, (vec![TaskId(1)], 2));
    assert_eq!(echo.asked().len(), 4);
    let after = engine.store().events(&first.id, Position(0)).await.unwrap();
    assert_eq!(after, before);
}

#[tokio::test]
async fn an_outcome_and_the_task_it_leads_to_are_written_together() {
    const STEPS: i64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("divisi.db");
    let engine = Engine::new(Arc::new(SqliteStore::open(&path).unwrap()));
    let source = format!(
        "let last = ''; for (let i = 0; i < {STEPS}; i++) last = await agent(last + i); return last"
    );
    let finished = start(&engine, &Arc::default(), &source).await;
    assert_eq!(*finished.run.stage(), Stage::Ended(RunStatus::Ok));
    let appends = "SELECT count(*) FROM journal";
    let appends: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row(appends, [], |row| row.get(0))
        .unwrap();
    // With a separate append for the script's events there would be two per step. On a busy machine
    // a few may be late.
    assert!(appends < STEPS * 3 / 2, "{appends} appends");
}

#[tokio::test]
async fn a_killed_run_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = || Arc::new(SqliteStore::open(folder.path().join("divisi.db")).unwrap());
    let mute = Arc::new(Echo {
        mute: Some("part c"),
        ..Echo::default()
    });
    let engine = Engine::new(store());
    let run = engine
        .start(
            Flow::script("test", SCATTER),
            setup(&mute),
            RunOptions::default(),
        )
        .await
        .unwrap();
    let id = run.id().clone();
    mute.muted.notified().await;
    // The other tasks end by themselves; the mute one never would.
    while engine
        .store()
        .run(&id)
        .await
        .unwrap()
        .is_none_or(|summary| summary.ok < 2)
    {
        tokio::task::yield_now().await;
    }
    let refused = engine
        .resume(
            &id,
            Flow::script("test", SCATTER),
            setup(&mute),
            RunOptions::default(),
        )
        .await;
    assert!(
        matches!(refused, Err(StartError::Lease(_))),
        "two drivers of one run"
    );
    run.kill();
    let echo = Arc::new(Echo::default());
    let finished = loop {
        let again = engine
            .resume(
                &id,
                Flow::script("test", SCATTER),
                setup(&echo),
                RunOptions::default(),
            )
            .await;
        match again {
            Ok(run) => break run.finished().await.unwrap(),
            Err(StartError::Lease(_)) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(result(&finished), r#""all of part a! part b! part c!!""#);
    assert_eq!(
        echo.asked(),
        ["all of part a! part b! part c! ×1", "part c ×1"]
    );
}

#[tokio::test]
async fn failures_are_kept_until_they_are_reopened() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    *echo.failing.lock().unwrap() = Some(("part b", 1));
    let first = start(&engine, &echo, SCATTER).await;
    assert_eq!(first.status(), Some(RunStatus::Partial));
    assert_eq!(result(&first), r#""all of part a!  part c!!""#);
    let second = resume(&engine, &echo, &first.id, SCATTER, false).await;
    assert_eq!((result(&second), second.run.reused()), (result(&first), 4));
    let third = resume(&engine, &echo, &first.id, SCATTER, true).await;
    assert_eq!(result(&third), r#""all of part a! part b! part c!!""#);
    assert_eq!(third.status(), Some(RunStatus::Ok));
}

#[tokio::test]
async fn what_is_not_there_is_a_failure_with_advice() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let source = "return [
        await agent.outcome('p', {model: 'nobody'}),
        await agent.outcome('p', {agentType: 'Explorer'}),
        await agent.outcome('p', {executor: 'none'}),
        await agent.outcome('p', {inputs: ['no/such/file']}),
    ].map(o => o.status + ': ' + o.reason)";
    let finished = start(&engine, &echo, source).await;
    insta::assert_json_snapshot!(serde_json::from_str::<serde_json::Value>(result(&finished)).unwrap(), @r#"
    [
      "failed: provider `echo` knows no model `nobody`",
      "failed: there is no agent `Explorer`",
      "failed: there is no executor `none`",
      "failed: cannot read `no/such/file`, which the task names as an input: No such file or directory (os error 2)"
    ]
    "#);
    assert_eq!(finished.status(), Some(RunStatus::Failed));
}

#[tokio::test]
async fn a_model_without_a_price_is_not_asked() {
    let echo = Arc::new(Echo {
        sends_bills: true,
        ..Echo::default()
    });
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let job = engine
        .open("unpriced", setup(&echo), RunOptions::default())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let failure = job.run(Task::new("p")).await.value().unwrap_err();
    insta::assert_snapshot!(failure, @"not available: model `echo-large` of `echo` has no price here");
    assert_eq!(failure.hint.as_deref(), Some(PRICE_HINT));
    assert_eq!(echo.asked(), [""; 0]);
    assert_eq!(
        job.finish(serde_json::Value::Null).await.unwrap().status(),
        Some(RunStatus::Failed)
    );
}

const PRICE_HINT: &str = "give it one in divisi.toml: prices.\"echo-large\" = { input = 1.0, output = 2.0 }, \
    in dollars per million tokens, 0 if no vendor bills it";

#[tokio::test]
async fn a_parked_run_rests_and_goes_on() {
    let (mute, engine) = (
        Arc::new(Echo {
            mute: Some("part c"),
            ..Echo::default()
        }),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let run = engine
        .start(
            Flow::script("test", SCATTER),
            setup(&mute),
            RunOptions::default(),
        )
        .await
        .unwrap();
    mute.muted.notified().await;
    let control = run.control();
    control.park();
    control.cancel();
    let finished = run.finished().await.unwrap();
    assert_eq!(finished.status(), Some(RunStatus::Cancelled));
    assert_eq!(finished.run.counts().open, 0);
    let echo = Arc::new(Echo::default());
    let again = resume(&engine, &echo, &finished.id, SCATTER, false).await;
    assert_eq!(again.status(), Some(RunStatus::Ok));
}

#[tokio::test]
async fn a_script_that_throws_fails_the_run() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let finished = start(
        &engine,
        &echo,
        "await agent('p')\nthrow new Error('no good')",
    )
    .await;
    assert_eq!(finished.status(), Some(RunStatus::Failed));
    let error = finished
        .script_error
        .unwrap_or_else(|| panic!("no script error"));
    assert!(error.to_string().contains("no good"), "{error}");
}

#[tokio::test]
async fn structured_results_are_repaired() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    // An echo is never an object, so all attempts are used up and the script gets the failure.
    let source = "return agent('p', {schema: {type: 'object', properties: {n: {type: 'integer'}}, required: ['n']}})";
    let finished = start(&engine, &echo, source).await;
    assert_eq!(finished.status(), Some(RunStatus::Failed));
    assert_eq!(echo.asked.lock().unwrap().values().sum::<u32>(), 5);
}

#[tokio::test]
async fn a_program_feeds_a_run_and_goes_on_with_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (echo, engine) = (Arc::new(Echo::default()), Engine::new(store));
    let job = engine
        .open("job", setup(&echo), RunOptions::default())
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(job.run(Task::new("one")).await.text().unwrap(), "one!");
    let id = job.finish("first".into()).await.unwrap().id;
    let job = engine
        .reopen_job(&id, setup(&echo), RunOptions::default())
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(job.run(Task::new("one")).await.text().unwrap(), "one!");
    assert_eq!(job.run(Task::new("two")).await.text().unwrap(), "two!");
    let finished = job.finish("second".into()).await.unwrap();
    assert_eq!(*finished.run.stage(), Stage::Ended(RunStatus::Ok));
    assert_eq!(echo.asked(), ["one ×1", "two ×1"]);
}

#[test]
fn while_inputs_are_read_others_go_on_and_tasks_keep_their_order() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap_or_else(|error| panic!("{error}"));
    let order = runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("input"), "content").unwrap();
        // Files are read on the one thread for them, which is busy.
        let (go_on, held) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || held.recv_timeout(Duration::from_secs(30)));
        let (echo, engine) = (Arc::new(Echo::default()), Engine::new(Arc::new(MemoryStore::new())));
        let workspace = folder.path().to_owned();
        let mut setup = setup(&echo);
        setup.workspace = workspace;
        let job = engine.open("job", setup, RunOptions::default()).await.unwrap_or_else(|e| panic!("{e}"));
        let mut both = std::pin::pin!(async {
            let reads = Task { inputs: vec!["input".into()], ..Task::new("reads") };
            tokio::join!(job.run(reads), job.run(Task::new("comes after")))
        });
        tokio::select! {
            biased;
            _ = &mut both => panic!("nobody can have read the input"),
            other = start(&engine, &echo, "return agent('other')") => assert_eq!(result(&other), "\"other!\""),
        }
        go_on.send(()).unwrap();
        let (reads, comes_after) = both.await;
        assert_eq!((&*reads.text().unwrap(), &*comes_after.text().unwrap()), ("reads!", "comes after!"));
        let events = engine.store().events(job.handle().id(), Position(0)).await.unwrap();
        let submitted = events.iter().filter_map(|recorded| match &recorded.event {
            Event::TaskSubmitted(submitted) => Some(submitted.facts.label.to_string()),
            _ => None,
        });
        submitted.collect::<Vec<_>>()
    });
    assert_eq!(order, ["reads", "comes after"]);
}

/// A result that is long enough to be found in a prompt.
const LONG: &str = "a long text about a part, which is longer than what is found by chance";

#[tokio::test]
async fn tasks_say_what_the_flow_waited_for_and_what_they_read() {
    let source = format!(
        "const parts = await parallel(['a', 'b'].map(x => () => agent(`{LONG} ${{x}}`)))
        const whole = await agent(`all of ${{parts.join(' ')}}`)
        return agent(`again: ${{JSON.stringify(whole)}}`)"
    );
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let finished = start(&engine, &echo, &source).await;
    let (view, is_interrupted) = engine.view(&finished.id).await.unwrap();
    assert!(!is_interrupted);
    let told = |task: &TaskView| {
        let site = task.site.and_then(|site| view.sites.get(site)).unwrap();
        let reads: Vec<_> = task.reads.iter().map(|task| task.0).collect();
        (
            task.given,
            task.waits,
            reads,
            task.group.is_some(),
            site.line,
        )
    };
    let told: Vec<_> = view.tasks.iter().map(told).collect();
    assert_eq!(told[0], (0, None, vec![], true, 1));
    assert_eq!(told[1], (0, None, vec![], true, 1));
    assert_eq!(told[2], (2, Some(Awaited::Group(0)), vec![0, 1], false, 2));
    // The echo repeats its prompt, so the first results are part of the third one, too.
    assert_eq!(
        told[3],
        (3, Some(Awaited::Task(TaskId(2))), vec![0, 1, 2], false, 3)
    );
    assert_eq!((view.groups.len(), view.groups[0].width), (1, 2));

    // A replay asks for the same and records nothing of it again.
    let resumed = resume(&engine, &echo, &finished.id, &source, false).await;
    assert_eq!(resumed.run.counts().total(), 4);
    let again = engine.view(&finished.id).await.unwrap().0;
    assert_eq!(
        (
            again.groups.len(),
            again.tasks.iter().map(|task| task.given).max()
        ),
        (1, Some(3))
    );
    // A new task is recorded with its dependencies, after the known ones.
    let edited = source.replace("return agent(", "await agent('a new one'); return agent(");
    resume(&engine, &echo, &finished.id, &edited, false).await;
    let edited = engine.view(&finished.id).await.unwrap().0;
    assert_eq!(
        (edited.tasks[4].given, edited.tasks[4].waits),
        (3, Some(Awaited::Task(TaskId(2))))
    );
}

#[tokio::test]
async fn turns_say_when_their_request_was_sent_and_began_to_be_answered() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let finished = start(&engine, &echo, "return agent('a')").await;
    let view = engine.view(&finished.id).await.unwrap().0;
    let turn = &view.turns[0];
    let attempt = &view.attempts[turn.attempt.index()];
    assert!(attempt.began_at <= turn.sent_at && turn.sent_at <= turn.ended_at);
    assert!(attempt.ended_at.is_some_and(|ended| turn.ended_at <= ended));
}

#[tokio::test]
async fn a_run_is_listed_while_it_is_driven_and_followed_to_its_end() {
    let echo = Arc::new(Echo {
        mute: Some("never"),
        ..Echo::default()
    });
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let source = "await agent('a'); return agent('never')";
    let handle = engine
        .start(
            Flow::script("test", source),
            setup(&echo),
            RunOptions::default(),
        )
        .await
        .unwrap();
    echo.muted.notified().await;
    let live = engine.live();
    assert_eq!(
        live.iter().map(|run| run.id().clone()).collect::<Vec<_>>(),
        [handle.id().clone()]
    );
    let mut events = engine.subscribe(handle.id(), Position(0));
    let mut view = RunView::default();
    live[0].control().cancel();
    while let Some(batch) = events.next().await.unwrap() {
        batch.iter().for_each(|recorded| view.apply(recorded));
    }
    let finished = handle.finished().await.unwrap();
    assert_eq!(view, engine.view(&finished.id).await.unwrap().0);
    assert_eq!(
        (view.stage.clone(), view.counts.ok),
        (Stage::Ended(RunStatus::Cancelled), 1)
    );
    assert!(engine.live().is_empty());
}

/// Timers of a script, in the order in which they and its agents were answered.
const TIMERS: &str = "
    const told = []
    const sleep = ms => new Promise(done => setTimeout(done, ms))
    await Promise.all([
        agent('a').then(text => told.push(text)),
        sleep(300).then(() => told.push('300')),
        sleep(100).then(() => agent('b')).then(text => told.push(text)),
    ])
    return told.join()";

#[tokio::test]
async fn timers_fire_in_the_first_run_and_are_only_repeated_in_the_next() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let begun = Instant::now();
    let first = start(&engine, &echo, TIMERS).await;
    assert_eq!(result(&first), r#""a!,b!,300""#);
    assert_eq!(first.status(), Some(RunStatus::Ok));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let recorded = engine.store().events(&first.id, Position::default()).await;
    let attempts = |event: &Event| matches!(event, Event::AttemptScheduled { .. });
    let recorded = recorded.unwrap();
    assert_eq!(recorded.iter().filter(|r| attempts(&r.event)).count(), 2);
    // As if a day had passed: what has fired is given in its place, and nothing waits.
    let begun = Instant::now();
    let second = resume(&engine, &echo, &first.id, TIMERS, false).await;
    assert_eq!(result(&second), r#""a!,b!,300""#);
    assert_eq!(echo.asked(), ["a ×1", "b ×1"]);
    assert_eq!(second.run.reused(), 2);
    assert!(begun.elapsed() < Duration::from_millis(250));
}

#[tokio::test]
async fn a_race_against_a_timer_is_lost_again_in_a_resume() {
    let source = |more: &str| {
        format!(
            "const late = new Promise(done => setTimeout(() => done('late'), 50))
             const first = await Promise.race([agent('slow', {{ timeout: 400, retries: 0 }}), late])
             return first + {more}"
        )
    };
    let mute = Arc::new(Echo {
        mute: Some("slow"),
        ..Echo::default()
    });
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let first = start(&engine, &mute, &source("await agent('then')")).await;
    assert_eq!(result(&first), r#""latethen!""#);
    // The agent would answer now, and fails again in the journal: the timer was first.
    let echo = Arc::new(Echo::default());
    let second = resume(&engine, &echo, &first.id, &source("'!'"), true).await;
    assert_eq!(result(&second), r#""late!""#);
}

#[tokio::test]
async fn a_timer_that_the_run_was_parked_in_keeps_its_time() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let source = "await agent('a')
        await new Promise(done => setTimeout(done, 600))
        return agent('b')";
    let begun = Instant::now();
    let run = engine
        .start(
            Flow::script("test", source),
            setup(&echo),
            RunOptions::default(),
        )
        .await
        .unwrap();
    let (id, control) = (run.id().clone(), run.control());
    let watch = async {
        loop {
            let recorded = engine.store().events(&id, Position::default()).await;
            let is_timer =
                |event: &Event| matches!(event, Event::TaskSubmitted(s) if s.facts.wait.is_some());
            if recorded.unwrap().iter().any(|r| is_timer(&r.event)) {
                break control.park();
            }
            tokio::task::yield_now().await;
        }
    };
    let (finished, ()) = tokio::join!(run.finished(), watch);
    let parked = finished.unwrap();
    assert!(matches!(parked.run.stage(), Stage::Parked(_)));
    let resumed = resume(&engine, &echo, &parked.id, source, false).await;
    assert_eq!(result(&resumed), r#""b!""#);
    let took = begun.elapsed();
    assert!((600..1_100).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn a_flow_that_returns_does_not_wait_for_its_timers() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let source =
        "const limit = new Promise((_, no) => setTimeout(() => no(new Error('too slow')), 600_000))
        return await Promise.race([agent('a'), limit])";
    let finished = start(&engine, &echo, source).await;
    assert_eq!(result(&finished), r#""a!""#);
    assert_eq!(finished.status(), Some(RunStatus::Ok));
    assert_eq!(
        (finished.run.counts().total(), finished.run.counts().ok),
        (1, 1)
    );
}

#[tokio::test]
async fn a_script_makes_as_many_calls_as_its_meta_says() {
    let (echo, engine) = (
        Arc::new(Echo::default()),
        Engine::new(Arc::new(MemoryStore::new())),
    );
    let source = |said: &str| {
        format!(
            "export const meta = {{ name: 'many', description: 'Many'{said} }}
             let n = 0
             while (n < 5) await agent('round ' + n++)
             return n"
        )
    };
    let setup = setup(&echo).agents_max(2);
    let run = engine
        .start(
            Flow::script("many", source("")),
            setup.clone(),
            RunOptions::default(),
        )
        .await;
    let cut = run.unwrap().finished().await.unwrap();
    assert_eq!(cut.status(), Some(RunStatus::Failed));
    assert_eq!(cut.run.counts().ok, 2);
    let whole = Flow::script("many", source(", maxAgents: 5"));
    let options = RunOptions::default();
    let run = engine.resume(&cut.id, whole, setup.clone(), options).await;
    let whole = run.unwrap().finished().await.unwrap();
    assert_eq!(
        (whole.status(), whole.run.reused()),
        (Some(RunStatus::Ok), 2)
    );
    // Without the number, what the run has is repeated, and nothing more.
    let again = Flow::script("many", source(""));
    let run = engine.resume(&cut.id, again, setup, RunOptions::default());
    let again = run.await.unwrap().finished().await.unwrap();
    assert_eq!(
        (again.status(), again.run.reused()),
        (Some(RunStatus::Ok), 5)
    );
}
