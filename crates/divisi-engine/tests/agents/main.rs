//! Executors of agent programs, with a script that prints what the real ones print.
#![allow(clippy::unwrap_used, clippy::panic)]

mod acp;
mod same;

use divisi_engine::core::event::{Caps, Event, ParkReason, Refusal};
use divisi_engine::core::run::Stage;
use divisi_engine::core::{
    Content, Failure, FailureClass, Ledger, Outcome, PicoUsd, Position, Run, Task, TaskId,
};
use divisi_engine::executor::{AgentProgram, ClaudeExecutor, CodexExecutor, Signal};
use divisi_engine::store::{MemoryStore, Store};
use divisi_engine::{Engine, Models, Permissions, RunOptions, Setup};
use divisi_providers::Scripted;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const CENT: u64 = PicoUsd::DOLLAR.0 / 100;

/// A folder in which the stand-in works.
struct Scene {
    folder: TempDir,
    setup: Setup,
    cap: Option<PicoUsd>,
    /// Whether the run is cancelled when its agent hangs.
    cancels: bool,
}

/// How a run of one task ended.
struct Ended {
    outcome: Option<Outcome>,
    run: Run,
    events: Vec<Event>,
    ledger: Ledger,
}

impl Scene {
    fn new() -> Self {
        Self::with(|program| program)
    }

    /// The same with Codex in place of Claude Code.
    fn codex() -> Self {
        // As with a key: of what a login pays for, only the list price is known.
        Self::codex_with([("CODEX_API_KEY", "none")])
    }

    fn codex_with<const N: usize>(env: [(&str, &str); N]) -> Self {
        let mut scene = Self::new();
        let program = AgentProgram::new([
            "python3",
            concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/agents/codex_stand_in.py"
            ),
        ]);
        let own = |text: &str| text.to_owned();
        let program = program.env(env.map(|(name, value)| (own(name), own(value))).into());
        let executor = CodexExecutor::new(program);
        scene.setup.executors.add("codex", executor).unwrap();
        scene
    }

    fn with(change: impl FnOnce(AgentProgram) -> AgentProgram) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let models = Models::one(
            Arc::new(Scripted::demo()),
            &[("sonnet", "demo"), ("haiku", "demo-small")],
            &[],
        );
        let mut setup = Setup::new(models, folder.path());
        setup.retry.retries_max = 0;
        let program = AgentProgram::new([
            "python3",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agents/stand_in.py"),
        ]);
        let executor = ClaudeExecutor::new(change(program));
        setup.executors.add("claude", executor).unwrap();
        Self {
            folder,
            setup,
            cap: None,
            cancels: false,
        }
    }

    async fn run(&self, task: Task) -> Ended {
        self.run_by("claude", task).await
    }

    async fn run_by(&self, executor: &str, task: Task) -> Ended {
        let store = Arc::new(MemoryStore::default());
        let engine = Engine::new(store.clone());
        let options = RunOptions::default().caps(Caps::of(self.cap));
        let job = engine
            .open("test", self.setup.clone(), options)
            .await
            .unwrap();
        let id = job.handle().id().clone();
        let control = job.handle().control();
        let mut signals = job.handle().signals();
        let until_it_hangs = async {
            while let Ok(signal) = signals.recv().await {
                if matches!(&signal, Signal::Tool { what, .. } if &**what == "I hang.") {
                    control.cancel();
                }
            }
        };
        tokio::select! {
            _ = job.run(task.executor(executor)) => {}
            () = until_it_hangs, if self.cancels => {}
        }
        let finished = job.finish(Value::Null).await.unwrap();
        let recorded = store.events(&id, Position::default()).await.unwrap();
        let ledger = Ledger::of(&recorded);
        Ended {
            outcome: finished.run.task(TaskId(0)).unwrap().outcome().cloned(),
            run: finished.run,
            events: recorded
                .into_iter()
                .map(|recorded| recorded.event)
                .collect(),
            ledger,
        }
    }

    async fn fails(&self, prompt: &str) -> (Failure, Ended) {
        let ended = self.run(Task::new(prompt).model("haiku")).await;
        match ended.outcome.clone() {
            Some(Outcome::Failed(failure)) => (failure, ended),
            other => panic!("{prompt}: {other:?}"),
        }
    }

    fn seen(&self) -> Value {
        let seen = std::fs::read(self.folder.path().join("seen.json")).unwrap();
        serde_json::from_slice(&seen).unwrap()
    }

    fn args(&self) -> Vec<String> {
        serde_json::from_value(self.seen()["args"].clone()).unwrap()
    }
}

fn value(ended: &Ended) -> Value {
    match &ended.outcome {
        Some(Outcome::Ok {
            value: Content::Inline(json),
        }) => serde_json::from_str(json).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn spent(ended: &Ended) -> (PicoUsd, PicoUsd, PicoUsd) {
    let spent = ended.run.budget().spent();
    (spent.billed, spent.unconfirmed, spent.over)
}

fn cents(n: u64) -> PicoUsd {
    PicoUsd(CENT * n)
}

fn haiku(prompt: &str) -> Task {
    Task::new(prompt).model("haiku")
}

fn number() -> Value {
    json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
}

/// The value after a flag.
fn after<'a>(args: &'a [String], flag: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| arg == flag)?;
    args.get(at + 1).map(String::as_str)
}

#[tokio::test]
async fn a_task_is_carried_out_and_its_cost_and_model_are_recorded() {
    let scene = Scene::new();
    let ended = scene.run(haiku("success please")).await;
    assert_eq!(value(&ended), "the answer");
    assert_eq!(spent(&ended), (cents(1), PicoUsd::ZERO, PicoUsd::ZERO));
    assert_eq!(ended.run.usage().input, 1000);
    let entry = &ended.ledger.entries()[0];
    assert_eq!(entry.asked.as_deref(), Some("haiku"));
    assert_eq!(entry.answered.as_deref(), Some("claude-haiku-5-5"));
    assert_eq!(ended.ledger.substitutions(), BTreeMap::new());
    let ended = scene.run(Task::new("success").model("opus")).await;
    assert_eq!(
        ended.ledger.substitutions().len(),
        1,
        "haiku answered for opus"
    );
}

#[tokio::test]
async fn it_gets_the_prompt_the_limits_and_no_more_tools_than_the_run_permits() {
    let mut scene = Scene::new();
    let task = Task {
        effort: Some(divisi_engine::core::Effort::Low),
        max_turns: Some(7),
        max_cost: Some(cents(50)),
        context: Some("success context".into()),
        ..haiku("the prompt").schema(number())
    };
    scene.run(task).await;
    assert_eq!(scene.seen()["prompt"], "success context\n\nthe prompt");
    insta::assert_snapshot!(scene.args().join("\n"), @r#"
    -p
    --output-format
    stream-json
    --verbose
    --setting-sources

    --strict-mcp-config
    --disable-slash-commands
    --no-session-persistence
    --tools
    Glob,Read,Grep
    --permission-mode
    dontAsk
    --model
    haiku
    --effort
    low
    --max-turns
    7
    --max-budget-usd
    0.500000
    --json-schema
    {"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}
    "#);

    scene.setup.permissions = Permissions {
        write: true,
        run: true,
    };
    scene
        .setup
        .protected
        .add(scene.folder.path().join("flow.js"));
    let task = Task {
        tools: Some(["Read", "Edit", "Bash(git log *)"].map(Into::into).into()),
        disallowed_tools: vec!["Bash(git log --all)".into()],
        ..haiku("success")
    };
    scene.run(task).await;
    let args = scene.args();
    assert_eq!(after(&args, "--tools"), Some("Edit,Read,Bash"));
    assert_eq!(after(&args, "--permission-mode"), Some("acceptEdits"));
    assert_eq!(after(&args, "--allowedTools"), Some("Bash(git log *)"));
    let flow = format!("Edit(/{}/flow.js)", scene.folder.path().display());
    for rule in [
        "Bash(git log --all)",
        "Edit(**/.git/**)",
        "Edit(**/divisi.toml)",
        &flow,
    ] {
        assert!(args.iter().any(|arg| arg == rule), "{rule}: {args:?}");
    }
    assert!(!args.iter().any(|arg| arg.contains("bypass")));
}

#[tokio::test]
async fn no_model_word_is_the_runs_model_and_another_vendors_is_refused() {
    let scene = Scene::new();
    scene.run(Task::new("success")).await;
    assert_eq!(after(&scene.args(), "--model"), Some("sonnet"));
    scene.run(Task::new("success").model("auto")).await;
    assert!(["haiku", "sonnet", "opus"].contains(&after(&scene.args(), "--model").unwrap()));
    let ended = scene.run(Task::new("success").model("gpt-6.2-sol")).await;
    let Some(Outcome::Failed(failure)) = ended.outcome else {
        panic!("{:?}", ended.outcome)
    };
    insta::assert_snapshot!(failure.message, @"`claude` has no model `gpt-6.2-sol`");
}

#[tokio::test]
async fn a_result_must_fit_the_schema_whoever_has_checked_it() {
    let scene = Scene::new();
    for (prompt, expected) in [
        ("schema", json!({"n": 7})),
        ("text-for-schema", json!({"n": 8})),
    ] {
        let ended = scene.run(haiku(prompt).schema(number())).await;
        assert_eq!(value(&ended), expected, "{prompt}");
    }
    for prompt in ["misfit", "no-value", "schema-exhausted"] {
        let ended = scene.run(haiku(prompt).schema(number())).await;
        let Some(Outcome::Failed(failure)) = &ended.outcome else {
            panic!("{prompt}")
        };
        assert_eq!(
            failure.class,
            FailureClass::Schema,
            "{prompt}: {}",
            failure.message
        );
        assert!(spent(&ended).0 > PicoUsd::ZERO, "{prompt}");
    }
}

#[tokio::test]
async fn a_tool_that_was_denied_is_recorded_with_the_permission_it_needs() {
    let ended = Scene::new().run(haiku("denied")).await;
    assert_eq!(value(&ended), "the answer");
    let refusal = ended.events.iter().find_map(|event| match event {
        Event::Refused {
            refusal: Refusal::Tool {
                tool, permission, ..
            },
            ..
        } => Some((tool.to_string(), permission.to_string())),
        _ => None,
    });
    assert_eq!(refusal, Some(("Write".to_owned(), "write".to_owned())));
}

#[tokio::test]
async fn each_way_to_fail_has_its_class() {
    let scene = Scene::new();
    let expected = [
        ("turns", FailureClass::Turns, 6),
        ("money", FailureClass::Budget, 6),
        ("401", FailureClass::Auth, 0),
        ("529", FailureClass::Overloaded, 0),
        ("no-model", FailureClass::Unavailable, 0),
        ("long", FailureClass::TooLong, 0),
        ("offline", FailureClass::Network, 0),
        ("nothing", FailureClass::Program, 0),
    ];
    for (prompt, class, cost) in expected {
        let mut scene = Scene::new();
        scene.setup.retry.overload_wait_max = divisi_engine::core::Millis(0);
        let (failure, ended) = scene.fails(prompt).await;
        assert_eq!(failure.class, class, "{prompt}: {}", failure.message);
        assert_eq!(
            spent(&ended),
            (cents(cost), PicoUsd::ZERO, PicoUsd::ZERO),
            "{prompt}"
        );
    }
    let (failure, _) = scene.fails("turns").await;
    insta::assert_snapshot!(failure.message, @"did not finish in 3 turns");
    let (failure, _) = scene.fails("nothing").await;
    insta::assert_snapshot!(failure.message, @"`claude` ended without a result, with exit code 1: error: unknown option");
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_and_a_used_up_plan_parks_the_run_until_its_reset() {
    let mut scene = Scene::new();
    scene.setup.retry.waits_max = 1;
    let (failure, ended) = scene.fails("429").await;
    assert_eq!(failure.class, FailureClass::RateLimited);
    let attempts = ended.run.task(TaskId(0)).unwrap().attempts();
    assert!(attempts > 1, "it was tried again: {attempts}");

    for (prompt, has_reset) in [("wall", true), ("credit", false)] {
        let ended = scene.run(haiku(prompt)).await;
        let Stage::Parked(ParkReason::Quota { until, .. }) = ended.run.stage() else {
            panic!("{prompt}: {:?}", ended.run.stage())
        };
        assert_eq!(until.is_some(), has_reset, "{prompt}");
    }
}

#[tokio::test]
async fn of_several_results_the_last_counts_and_their_costs_are_added() {
    let ended = Scene::new().run(haiku("two")).await;
    assert_eq!(value(&ended), "second");
    assert_eq!(spent(&ended).0, cents(3));
}

#[tokio::test]
async fn a_price_that_it_guesses_is_replaced_by_that_of_our_table() {
    let ended = Scene::new().run(haiku("guessed")).await;
    let (billed, ..) = spent(&ended);
    assert!(billed > PicoUsd::ZERO && billed < cents(1), "{billed}");
}

#[tokio::test]
async fn what_a_plan_pays_for_costs_nothing_and_is_told_at_list_price() {
    let ended = Scene::new().run(haiku("plan")).await;
    assert_eq!(spent(&ended), (PicoUsd::ZERO, PicoUsd::ZERO, PicoUsd::ZERO));
    assert_eq!(ended.run.usage().input, 1000);
    let said = ended.events.iter().find_map(|event| match event {
        Event::Logged { message, .. } => Some(message.to_string()),
        _ => None,
    });
    insta::assert_snapshot!(said.unwrap(), @"plan: in your plan; at list price it would have cost $0.0100");
}

#[tokio::test]
async fn a_cost_that_is_not_known_beside_a_known_one_leaves_the_whole_reservation() {
    let scene = || Scene::with(|program| program.cost(Some(cents(40))));
    for prompt in ["half-priced", "no-usage"] {
        let ended = scene().run(haiku(prompt)).await;
        assert_eq!(value(&ended), "the answer");
        assert_eq!(
            spent(&ended),
            (PicoUsd::ZERO, cents(40), PicoUsd::ZERO),
            "{prompt}"
        );
        let tokens = if prompt == "half-priced" { 2000 } else { 1000 };
        assert_eq!(ended.run.usage().input, tokens, "{prompt}: counted once");
    }
    let ended = scene().run(haiku("total-alone")).await;
    assert_eq!(spent(&ended), (cents(2), PicoUsd::ZERO, PicoUsd::ZERO));
}

#[tokio::test]
async fn what_costs_nothing_books_no_reservation_however_it_ends() {
    for prompt in ["plan-half-priced", "plan-interrupted", "plan-hangs"] {
        let mut scene = Scene::new();
        scene.cancels = true;
        let ended = scene.run(haiku(prompt)).await;
        assert!(ended.run.usage().input > 0 || prompt == "plan-hangs");
        assert_eq!(
            spent(&ended),
            (PicoUsd::ZERO, PicoUsd::ZERO, PicoUsd::ZERO),
            "{prompt}"
        );
    }
    let free = Scene::with(|program| program.cost(None));
    let ended = free.run(haiku("half-priced")).await;
    assert_eq!(spent(&ended), (PicoUsd::ZERO, PicoUsd::ZERO, PicoUsd::ZERO));
    assert_eq!(ended.run.usage().input, 2000);
}

#[tokio::test]
async fn a_file_that_cannot_be_kept_from_it_is_a_reason_not_to_start() {
    let mut scene = Scene::new();
    let odd = scene.folder.path().join("flow (1).js");
    scene.setup.protected.add(&odd);
    scene
        .setup
        .protected
        .add("/elsewhere/and, where it cannot write.js");
    // Without the permission nothing has to be kept from it.
    assert_eq!(value(&scene.run(haiku("success")).await), "the answer");
    std::fs::remove_file(scene.folder.path().join("seen.json")).unwrap();
    scene.setup.permissions.write = true;
    let (failure, ended) = scene.fails("success").await;
    assert_eq!(failure.class, FailureClass::BadRequest);
    let named = format!("`claude` could change {}", odd.display());
    assert!(failure.message.starts_with(&named), "{}", failure.message);
    assert_eq!(spent(&ended), (PicoUsd::ZERO, PicoUsd::ZERO, PicoUsd::ZERO));
    assert!(!scene.folder.path().join("seen.json").exists());
    let task = Task {
        disallowed_tools: vec!["Bash(echo $(date))".into()],
        ..haiku("success")
    };
    let mut scene = Scene::new();
    scene.setup.permissions.run = true;
    let Some(Outcome::Failed(failure)) = scene.run(task).await.outcome else {
        panic!("it started")
    };
    insta::assert_snapshot!(failure.message, @"`claude` has no rule for the commands `echo $(date)`");
}

#[tokio::test]
async fn without_a_result_the_whole_reservation_may_have_been_spent() {
    for prompt in ["interrupted", "torn", "killed"] {
        let scene = Scene::with(|program| program.cost(Some(cents(40))));
        let (failure, ended) = scene.fails(prompt).await;
        assert_eq!(
            failure.class,
            FailureClass::Program,
            "{prompt}: {}",
            failure.message
        );
        assert_eq!(spent(&ended).1, cents(40), "{prompt}");
    }
}

#[tokio::test]
async fn the_reservation_is_its_limit_and_what_overshoots_stops_further_starts() {
    let mut scene = Scene::with(|program| program.cost(Some(cents(5))));
    scene.cap = Some(cents(100));
    let ended = scene.run(haiku("money")).await;
    assert_eq!(after(&scene.args(), "--max-budget-usd"), Some("0.050000"));
    assert_eq!(spent(&ended), (cents(5), PicoUsd::ZERO, cents(1)));
    assert!(
        matches!(
            ended.run.stage(),
            Stage::Parked(ParkReason::Overcharged { .. })
        ),
        "{:?}",
        ended.run.stage()
    );
    let scene = Scene::with(|program| program.cost(None));
    scene.run(haiku("success")).await;
    assert_eq!(after(&scene.args(), "--max-budget-usd"), None);
}

/// Whether the process with this id has ended.
fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[tokio::test]
async fn one_that_hangs_is_ended_with_all_that_it_started() {
    let scene = Scene::new();
    let task = Task {
        timeout: Some(divisi_engine::core::Millis(5_000)),
        ..haiku("hangs")
    };
    let ended = scene.run(task).await;
    let Some(Outcome::Failed(failure)) = &ended.outcome else {
        panic!("{:?}", ended.outcome)
    };
    assert_eq!(failure.class, FailureClass::Timeout);
    let child = std::fs::read_to_string(scene.folder.path().join("child")).unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !is_gone(&child) {
        assert!(
            std::time::Instant::now() < until,
            "{child} outlived its task"
        );
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn codex_carries_out_a_task_and_its_tokens_are_priced() {
    let mut scene = Scene::codex();
    let ended = scene.run_by("codex", haiku("success")).await;
    assert_eq!(value(&ended), "the answer");
    let (billed, unconfirmed, over) = spent(&ended);
    assert!(billed > PicoUsd::ZERO && billed < cents(1), "{billed}");
    assert_eq!((unconfirmed, over), (PicoUsd::ZERO, PicoUsd::ZERO));
    let args = scene.args();
    assert_eq!(after(&args, "-s"), Some("read-only"));
    assert_eq!(args.last().map(String::as_str), Some("-"));
    let answered = ended.ledger.entries()[0].answered.clone().unwrap();
    assert!(answered.starts_with("gpt-"), "{answered}");

    scene.setup.permissions.write = true;
    let task = Task {
        effort: Some(divisi_engine::core::Effort::Max),
        ..haiku("schema").schema(number())
    };
    let ended = scene.run_by("codex", task).await;
    assert_eq!(value(&ended), json!({"n": 7}));
    let args = scene.args();
    assert_eq!(after(&args, "-s"), Some("workspace-write"));
    let settings = [
        "model_reasoning_effort=xhigh",
        "sandbox_workspace_write.exclude_slash_tmp=true",
    ];
    assert!(
        settings
            .iter()
            .all(|setting| args.iter().any(|arg| arg == setting)),
        "{args:?}"
    );

    let reader = Task {
        tools: Some(vec!["Read".into()]),
        ..haiku("success")
    };
    scene.run_by("codex", reader).await;
    assert_eq!(after(&scene.args(), "-s"), Some("read-only"));
}

#[tokio::test]
async fn codex_takes_no_task_whose_commands_it_would_have_to_restrict() {
    let mut scene = Scene::codex();
    scene.setup.permissions.run = true;
    let agents = scene.folder.path().join(".claude/agents");
    std::fs::create_dir_all(&agents).unwrap();
    let agent = "---\nname: narrow\ndescription: d\ntools: Bash(git log *)\n---\nLook.\n";
    std::fs::write(agents.join("narrow.md"), agent).unwrap();
    for task in [
        Task {
            tools: Some(vec!["Bash(git log *)".into()]),
            ..haiku("success")
        },
        Task {
            disallowed_tools: vec!["Bash(git log *)".into()],
            ..haiku("success")
        },
        Task {
            agent_type: Some("narrow".into()),
            ..haiku("success")
        },
    ] {
        let ended = scene.run_by("codex", task).await;
        let Some(Outcome::Failed(failure)) = &ended.outcome else {
            panic!("{:?}", ended.outcome)
        };
        assert_eq!(
            failure.message,
            "`codex` cannot restrict commands, such as by `Bash(git log *)`"
        );
        assert_eq!(spent(&ended), (PicoUsd::ZERO, PicoUsd::ZERO, PicoUsd::ZERO));
    }
    assert!(!scene.folder.path().join("seen.json").exists());
}

#[tokio::test]
async fn what_codex_may_have_spent_before_it_failed_is_booked() {
    for (prompt, unconfirmed) in [
        ("works-and-fails", AgentProgram::COST),
        ("killed", AgentProgram::COST),
        ("warns-and-fails", PicoUsd::ZERO),
        ("401", PicoUsd::ZERO),
    ] {
        let ended = Scene::codex().run_by("codex", haiku(prompt)).await;
        assert_eq!(
            spent(&ended),
            (PicoUsd::ZERO, unconfirmed, PicoUsd::ZERO),
            "{prompt}"
        );
    }
    // A login without a key is that of a plan.
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("auth.json"), "{\"tokens\": {}}").unwrap();
    let own = [("CODEX_HOME", home.path().to_str().unwrap())];
    for prompt in ["works-and-fails", "killed", "success"] {
        let ended = Scene::codex_with(own).run_by("codex", haiku(prompt)).await;
        assert_eq!(
            spent(&ended),
            (PicoUsd::ZERO, PicoUsd::ZERO, PicoUsd::ZERO),
            "{prompt}"
        );
    }
}

#[tokio::test]
async fn each_way_in_which_codex_fails_has_its_class() {
    let expected = [
        ("401", FailureClass::Auth),
        ("529", FailureClass::Overloaded),
        ("misfit", FailureClass::Schema),
        ("silent", FailureClass::Program),
        ("wall", FailureClass::Quota),
    ];
    for (prompt, class) in expected {
        let mut scene = Scene::codex();
        scene.setup.retry.overload_wait_max = divisi_engine::core::Millis(0);
        let ended = scene.run_by("codex", haiku(prompt).schema(number())).await;
        match (&ended.outcome, ended.run.stage()) {
            (Some(Outcome::Failed(failure)), _) => {
                assert_eq!(failure.class, class, "{prompt}: {}", failure.message);
            }
            (None, Stage::Parked(ParkReason::Quota { .. })) => {
                assert_eq!(class, FailureClass::Quota, "{prompt}");
            }
            other => panic!("{prompt}: {other:?}"),
        }
    }
}
