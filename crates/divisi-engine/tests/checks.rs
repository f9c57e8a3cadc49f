//! Checks, ladders, fallbacks and the effect of budgets on replies, through the public API.
#![allow(clippy::unwrap_used, clippy::panic)]

use async_trait::async_trait;
use divisi_core::Usage;
use divisi_core::check::{Check, Judge, Ladder};
use divisi_core::event::Caps;
use divisi_engine::core::event::ParkReason;
use divisi_engine::core::run::Stage;
use divisi_engine::core::{Event, FailureClass, PicoUsd, Position, RunId, Task};
use divisi_engine::preflight::{TraceLimits, trace};
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Finished, Flow, Job, Models, Permissions, RunOptions, Setup};
use divisi_providers::{Block, Progress, Provider, ProviderError, Reply, Request, Stop};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A request as the vendor sees it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    model: String,
    said: String,
    max_tokens: u32,
}

type Answer = Box<dyn Fn(&Seen) -> Result<&'static str, FailureClass> + Send + Sync>;

/// Answers with a given function and records its requests. Every reply has 1,000 tokens, or as many
/// as permitted.
struct Vendor {
    answer: Answer,
    seen: Mutex<Vec<Seen>>,
    /// The model named in replies, if it is not the requested one.
    answers_as: Option<&'static str>,
}

impl Vendor {
    fn new(
        answer: impl Fn(&Seen) -> Result<&'static str, FailureClass> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(answer),
            seen: Mutex::default(),
            answers_as: None,
        })
    }

    fn models(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|seen| seen.model.replace("claude-", ""))
            .collect()
    }

    fn rooms(&self) -> Vec<u32> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|seen| seen.max_tokens)
            .collect()
    }
}

#[async_trait]
impl Provider for Vendor {
    fn name(&self) -> &str {
        "vendor"
    }

    async fn send(
        &self,
        request: &Request,
        _: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Reply, ProviderError> {
        let texts = request
            .messages
            .iter()
            .flat_map(|message| &message.blocks)
            .filter_map(Block::as_text);
        let seen = Seen {
            model: request.model.to_string(),
            said: texts.collect::<Vec<_>>().join("\n"),
            max_tokens: request.max_tokens,
        };
        self.seen.lock().unwrap().push(seen.clone());
        let said =
            (self.answer)(&seen).map_err(|class| ProviderError::new(class, "told to fail"))?;
        let output = 3_000.min(u64::from(request.max_tokens));
        Ok(Reply {
            model: self
                .answers_as
                .map_or_else(|| request.model.to_string(), str::to_owned),
            blocks: vec![Block::text(said)],
            stop: if output < 3_000 {
                Stop::MaxTokens
            } else {
                Stop::EndTurn
            },
            usage: Usage {
                input: 100,
                output,
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

const TIERS: [(&str, &str); 3] = [
    ("haiku", "claude-haiku-5-5"),
    ("sonnet", "claude-sonnet-5-5"),
    ("opus", "claude-opus-5-5"),
];

fn setup(vendor: &Arc<Vendor>) -> Setup {
    let models = Models::one(vendor.clone(), &TIERS, &["claude-*"]);
    let permissions = Permissions {
        run: true,
        ..Permissions::default()
    };
    Setup::new(models, std::env::temp_dir()).permissions(permissions)
}

async fn job(vendor: &Arc<Vendor>, caps: Caps) -> (Engine, Job) {
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let options = RunOptions::default().caps(caps);
    let job = engine
        .open("checks", setup(vendor), options)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    (engine, job)
}

fn climbing(prompt: &str, models: &[&str], check: Check) -> Task {
    let model = Ladder(models.iter().map(|model| (*model).into()).collect());
    Task {
        model,
        check: vec![check],
        tools: Some(vec![]),
        ..Task::new(prompt)
    }
}

async fn events(engine: &Engine, id: &RunId) -> Vec<Event> {
    let events = engine.store().events(id, Position(0)).await.unwrap();
    events.into_iter().map(|recorded| recorded.event).collect()
}

fn cents(cents: u64) -> PicoUsd {
    PicoUsd(PicoUsd::DOLLAR.0 / 100 * cents)
}

#[tokio::test]
async fn a_result_that_fails_its_command_is_tried_on_the_next_model_with_what_was_printed() {
    let vendor = Vendor::new(|seen| {
        Ok(if seen.model.contains("opus") {
            "good work"
        } else {
            "bad work"
        })
    });
    let (_, job) = job(&vendor, Caps::default()).await;
    let check =
        Check::Command("read word rest; echo \"it says $word\"; test \"$word\" = good".into());
    let report = job.run(climbing("work", &["haiku", "opus"], check)).await;
    assert_eq!(report.text().unwrap(), "good work");
    assert_eq!(
        (report.attempts, vendor.models()),
        (2, vec!["haiku-5-5".into(), "opus-5-5".into()])
    );
    let second = vendor.seen.lock().unwrap()[1].said.clone();
    assert!(
        second.contains("refused") && second.contains("it says bad"),
        "{second}"
    );
}

#[tokio::test]
async fn the_weak_model_does_not_pass_for_the_strong_one() {
    let answer = |seen: &Seen| {
        Ok(if seen.model.contains("opus") {
            "good"
        } else {
            "bad"
        })
    };
    let (seen, answers_as) = (Mutex::default(), Some("claude-haiku-5-5"));
    let vendor = Arc::new(Vendor {
        answer: Box::new(answer),
        seen,
        answers_as,
    });
    let (engine, job) = job(&vendor, Caps::default()).await;
    job.run(climbing(
        "work",
        &["haiku", "opus"],
        Check::Command("grep good".into()),
    ))
    .await;
    let finished = job.finish("done".into()).await.unwrap();
    let events = events(&engine, &finished.id).await;
    let told = events.iter().filter_map(|event| match event {
        Event::Logged { message } => Some(&**message),
        _ => None,
    });
    let expected = "warning: claude-opus-5-5 was asked, but claude-haiku-5-5 answered";
    assert_eq!(told.collect::<Vec<_>>(), [expected]);
}

#[tokio::test]
async fn evidence_against_the_strongest_model_fails_the_task_and_keeps_what_it_said() {
    let vendor = Vendor::new(|_| Ok("bad work"));
    let (_, job) = job(&vendor, Caps::default()).await;
    let check = Check::Schema(serde_json::json!({"type": "object"}).into());
    let failure = job
        .run(climbing("work", &["haiku", "opus"], check))
        .await
        .value()
        .unwrap_err();
    assert_eq!(failure.class, FailureClass::Check);
    insta::assert_snapshot!(failure, @r#"check failed: "bad work" is not of type "object""#);
    insta::assert_json_snapshot!(failure.partial, @r#"
    {
      "inline": "\"bad work\""
    }
    "#);
}

#[tokio::test]
async fn a_command_that_may_not_run_is_told_before_anything_is_paid_for() {
    let vendor = Vendor::new(|_| Ok("work"));
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let setup = setup(&vendor).permissions(Permissions::default());
    let job = engine
        .open("forbidden", setup, RunOptions::default())
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let failure = job
        .run(climbing("work", &["haiku"], Check::Command("true".into())))
        .await
        .value();
    insta::assert_snapshot!(failure.unwrap_err(), @"not available: a check wants to run a shell command, which is not allowed");
    assert_eq!(vendor.models(), [""; 0]);
}

#[tokio::test]
async fn what_was_killed_while_it_was_checked_is_not_asked_for_again() {
    let vendor = Vendor::new(|_| Ok("work"));
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let folder = tempfile::tempdir().unwrap();
    let (begun, go_on) = (folder.path().join("begun"), folder.path().join("go_on"));
    // The check says that it is at work, and is at it until it may go on.
    let check = format!(
        "touch '{}'; until test -e '{}'; do sleep 0.01; done",
        begun.display(),
        go_on.display()
    );
    let source = format!(
        "return agent('work', {{check: {}, tools: []}})",
        serde_json::json!(check)
    );
    let flow = || Flow::script("checked", &*source);
    let run = engine
        .start(flow(), setup(&vendor), RunOptions::default())
        .await;
    let run = run.unwrap_or_else(|error| panic!("{error}"));
    let id = run.id().clone();
    while !begun.exists() {
        tokio::task::yield_now().await;
    }
    run.kill();
    while engine.is_driven(&id).await.unwrap() {
        tokio::task::yield_now().await;
    }
    std::fs::write(&go_on, "").unwrap();
    let again = engine
        .resume(&id, flow(), setup(&vendor), RunOptions::default())
        .await;
    let finished = again
        .unwrap_or_else(|error| panic!("{error}"))
        .finished()
        .await
        .unwrap();
    assert_eq!(finished.result.unwrap().unwrap().as_ref(), "\"work\"");
    assert_eq!(vendor.models(), ["sonnet-5-5"]);
}

#[tokio::test]
async fn one_model_gets_a_second_chance() {
    let vendor = Vendor::new(|seen| {
        Ok(if seen.said.contains("refused") {
            "good"
        } else {
            "bad"
        })
    });
    let (_, job) = job(&vendor, Caps::default()).await;
    let report = job
        .run(climbing(
            "work",
            &["haiku"],
            Check::Command("grep good".into()),
        ))
        .await;
    assert_eq!(
        (report.text().unwrap().as_str(), report.attempts),
        ("good", 2)
    );
}

#[tokio::test]
async fn a_judge_sends_it_up_and_is_asked_only_where_that_decides_something() {
    let vendor = Vendor::new(|seen| {
        Ok(match seen.said.contains("# Rubric") {
            true => r#"{"findings": "too short", "score": 4}"#,
            false => "work",
        })
    });
    let (engine, job) = job(&vendor, Caps::default()).await;
    let judge = Judge {
        rubric: "long enough".into(),
        model: None,
        threshold: 7,
    };
    let report = job
        .run(climbing("work", &["sonnet", "opus"], Check::Judge(judge)))
        .await;
    assert_eq!(report.text().unwrap(), "work");
    assert_eq!(
        report.model.as_deref(),
        Some("claude-opus-5-5"),
        "the judge's model is not the task's"
    );
    // The strongest model's result is not judged.
    assert_eq!(vendor.models(), ["sonnet-5-5", "haiku-5-5", "opus-5-5"]);
    assert!(
        vendor.seen.lock().unwrap()[2]
            .said
            .contains("4 of 10, 7 are needed: too short")
    );
    let finished = job.finish("done".into()).await.unwrap();
    assert_eq!(finished.run.budget().settled, report.cost);
    let events = events(&engine, &finished.id).await;
    let judged = events
        .iter()
        .filter(|event| matches!(event, Event::TurnEnded { turn, .. } if turn.judges));
    assert_eq!(judged.count(), 1);
    let found = |event: &&Event| {
        matches!(
            event,
            Event::AttemptEnded {
                findings: Some(_),
                ..
            }
        )
    };
    assert_eq!(events.iter().filter(found).count(), 1);
}

#[tokio::test]
async fn a_model_that_is_overloaded_is_stood_in_for() {
    let vendor = Vendor::new(|seen| match seen.model.contains("opus") {
        true => Err(FailureClass::Overloaded),
        false => Ok("work"),
    });
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let retry = divisi_core::RetryPolicy {
        rest_first: divisi_core::Millis(1),
        ..Default::default()
    };
    let setup = setup(&vendor).retry(retry);
    let job = engine
        .open("outage", setup, RunOptions::default())
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    let task = Task {
        fallback: vec!["sonnet".into()],
        ..Task::new("work").model("opus")
    };
    assert_eq!(job.run(task).await.text().unwrap(), "work");
    assert_eq!(vendor.models(), ["opus-5-5", "opus-5-5", "sonnet-5-5"]);
}

#[tokio::test]
async fn near_the_cap_replies_get_the_room_that_is_left() {
    let vendor = Vendor::new(|_| Ok("work"));
    // Sonnet: 16,384 tokens of output are $0.164; each reply of 3,000 costs $0.0302.
    let (_, job) = job(&vendor, Caps::of(Some(cents(20)))).await;
    for n in 0..4 {
        job.run(Task {
            tools: Some(vec![]),
            ..Task::new(format!("work {n}"))
        })
        .await
        .value()
        .unwrap();
    }
    let rooms = vendor.rooms();
    assert_eq!(rooms[0], 16_384);
    assert!(
        rooms.windows(2).all(|pair| pair[1] <= pair[0]) && rooms[3] < 12_000,
        "{rooms:?}"
    );
    let finished = job.finish("done".into()).await.unwrap();
    assert!(finished.run.budget().settled <= cents(20));
}

#[tokio::test]
async fn an_answer_cut_off_for_want_of_money_waits_for_more_and_is_asked_for_again() {
    let vendor = Vendor::new(|_| Ok("work"));
    // Room for some 1,500 tokens of sonnet, where the answer has 3,000.
    let (engine, first) = job(&vendor, Caps::of(Some(cents(3)))).await;
    let report = first
        .run(Task {
            tools: Some(vec![]),
            ..Task::new("work")
        })
        .await;
    assert_eq!(report.value().unwrap_err().class, FailureClass::Interrupted);
    let finished = first.finish("done".into()).await.unwrap();
    assert_eq!(
        *finished.run.stage(),
        Stage::Parked(ParkReason::Budget { phase: None })
    );
    assert!(finished.run.budget().settled <= cents(3));
    let options = RunOptions::default().caps(Caps::of(Some(cents(50))));
    let again = engine
        .reopen_job(&finished.id, setup(&vendor), options)
        .await
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        again
            .run(Task {
                tools: Some(vec![]),
                ..Task::new("work")
            })
            .await
            .text()
            .unwrap(),
        "work"
    );
    assert_eq!(vendor.rooms()[1], 16_384);
}

#[tokio::test]
async fn a_task_over_its_own_budget_fails_and_says_so() {
    let vendor = Vendor::new(|_| Ok("work"));
    let (_, job) = job(&vendor, Caps::default()).await;
    let task = Task {
        max_cost: Some(cents(1)),
        tools: Some(vec![]),
        ..Task::new("work").model("opus")
    };
    let failure = job.run(task).await.value().unwrap_err();
    insta::assert_snapshot!(failure, @"over its budget: of its own $0.0100 it has spent $0.0000, and its next request may cost $0.0369");
    assert_eq!(vendor.models(), [""; 0]);
}

/// Runs a script, or goes on with the run it has.
async fn script(
    engine: &Engine,
    vendor: &Arc<Vendor>,
    source: &str,
    earlier: Option<&RunId>,
    caps: Caps,
) -> Finished {
    let (flow, setup) = (Flow::script("checks", source), setup(vendor));
    let options = RunOptions::default()
        .caps(caps)
        .reopen_failed(earlier.is_some());
    let handle = match earlier {
        None => engine.start(flow, setup, options).await,
        Some(id) => engine.resume(id, flow, setup, options).await,
    };
    handle
        .unwrap_or_else(|error| panic!("{error}"))
        .finished()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_script_climbs_a_ladder_by_the_opinion_of_a_judge() {
    let vendor = Vendor::new(|seen| {
        Ok(
            match (seen.said.contains("# Rubric"), seen.model.contains("opus")) {
                (true, _) => r#"{"findings": "too short", "score": 4}"#,
                (false, true) => "long work",
                (false, false) => "work",
            },
        )
    });
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let source = "const { value, attempts, cost } = await agent.outcome('work', { \
        model: ['sonnet', 'opus'], tools: [], maxCost: '$0.50', check: { judge: 'long enough', model: 'haiku' } })
        return [value, attempts, cost === budget.usd.spent(), budget.usd.total]";
    let caps = Caps::of(Some(cents(200)));
    let finished = script(&engine, &vendor, source, None, caps.clone()).await;
    assert_eq!(
        &*finished.result.unwrap().unwrap(),
        r#"["long work",2,true,2]"#
    );
    assert_eq!(vendor.models(), ["sonnet-5-5", "haiku-5-5", "opus-5-5"]);
    let again = script(&engine, &vendor, source, Some(&finished.id), caps).await;
    assert_eq!(
        &*again.result.unwrap().unwrap(),
        r#"["long work",2,true,2]"#
    );
    assert_eq!(vendor.models().len(), 3);
}

#[tokio::test]
async fn what_a_function_has_accepted_is_not_asked_for_again() {
    let is_down = AtomicBool::new(true);
    let vendor = Vendor::new(move |seen| match &*seen.model {
        "claude-haiku-5-5" => Ok("bad work"),
        "claude-opus-5-5" => Ok("good work"),
        _ if is_down.swap(false, Ordering::Relaxed) => Err(FailureClass::Auth),
        _ => Ok("done"),
    });
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let source = "const work = await agent('work', { model: ['haiku', 'opus'], tools: [], \
        check: async (text) => text === 'good work' || `it says ${text}` })
        return [work, await agent(`use ${work}`, { model: 'sonnet', tools: [], required: true })]";
    let finished = script(&engine, &vendor, source, None, Caps::default()).await;
    assert!(finished.result.unwrap().is_err());
    assert_eq!(vendor.models(), ["haiku-5-5", "opus-5-5", "sonnet-5-5"]);
    let second = vendor.seen.lock().unwrap()[1].said.clone();
    assert!(
        second.ends_with(&divisi_engine::framing::refused("it says bad work")),
        "{second}"
    );
    let again = script(
        &engine,
        &vendor,
        source,
        Some(&finished.id),
        Caps::default(),
    )
    .await;
    assert_eq!(&*again.result.unwrap().unwrap(), r#"["good work","done"]"#);
    assert_eq!(
        vendor.models(),
        ["haiku-5-5", "opus-5-5", "sonnet-5-5", "sonnet-5-5"]
    );
}

#[tokio::test]
async fn a_phase_of_a_script_parks_at_its_cap() {
    let vendor = Vendor::new(|_| Ok("work"));
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let source = "phase('Scan', { maxCost: 0.04 })
        for (let n = 0; n < 9; n++) await agent(`work ${n}`, { model: 'sonnet', tools: [] })";
    let finished = script(&engine, &vendor, source, None, Caps::default()).await;
    let phase = Some("Scan".into());
    assert_eq!(
        *finished.run.stage(),
        Stage::Parked(ParkReason::Budget { phase })
    );
    assert!(finished.run.budget().settled <= cents(4));
}

#[test]
fn a_plan_calls_no_function_that_checks() {
    let source = "const work = await agent('work', { model: ['haiku', 'opus'], tools: [], check: () => { throw new Error('called') } })
        await agent(`use ${work}`)";
    let vendor = Vendor::new(|_| Ok("never asked"));
    let graph = trace(
        &Flow::script("checks", source),
        setup(&vendor).into(),
        &TraceLimits::default(),
    )
    .unwrap();
    assert_eq!(graph.tasks.len(), 2);
    assert_eq!(vendor.models(), [""; 0]);
}
