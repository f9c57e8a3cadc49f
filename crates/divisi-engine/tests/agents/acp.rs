//! Agents that speak the Agent Client Protocol, with a script that speaks it badly if asked to.

use crate::{Ended, Scene, cents, haiku, number, spent, value};
use divisi_engine::Permissions;
use divisi_engine::core::event::{Event, Refusal};
use divisi_engine::core::{FailureClass, Millis, Outcome, PicoUsd, Task};
use divisi_engine::executor::{AcpExecutor, AgentProgram};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agents/acp_stand_in.py");

/// The program of the stand-in, which starts like this.
pub(crate) fn program(start: &str) -> AgentProgram {
    AgentProgram::new(["python3", STAND_IN, start])
}

/// A scene in which it takes the place of Claude's adapter.
fn scene(start: &str) -> Scene {
    with("acp:claude", program(start))
}

fn with(name: &str, program: AgentProgram) -> Scene {
    let mut scene = Scene::new();
    let executor = AcpExecutor::new(name, program);
    scene.setup.executors.add(name, executor).unwrap();
    scene
}

async fn run(scene: &Scene, task: Task) -> Ended {
    scene.run_by("acp:claude", task).await
}

/// The failure's class and message.
fn failure(ended: &Ended) -> (FailureClass, String) {
    match &ended.outcome {
        Some(Outcome::Failed(failure)) => (failure.class, failure.message.to_string()),
        other => panic!("{other:?}"),
    }
}

fn logged(ended: &Ended) -> Vec<String> {
    let lines = ended.events.iter().filter_map(|event| match event {
        Event::Logged { message, .. } => Some(message.to_string()),
        _ => None,
    });
    lines.collect()
}

fn needed(ended: &Ended) -> Option<(String, String)> {
    ended.events.iter().find_map(|event| match event {
        Event::Refused {
            refusal: Refusal::Tool {
                tool, permission, ..
            },
            ..
        } => Some((tool.to_string(), permission.to_string())),
        _ => None,
    })
}

/// The messages of this method that the agent got.
fn sent(scene: &Scene, method: &str) -> Vec<Value> {
    let seen = scene.seen()["sent"].clone();
    let messages: Vec<Value> = serde_json::from_value(seen).unwrap();
    let messages = messages.into_iter();
    messages
        .filter(|message| message["method"] == method)
        .map(|message| message["params"].clone())
        .collect()
}

#[tokio::test]
async fn a_task_is_carried_out_and_its_cost_and_model_are_recorded() {
    let scene = scene("");
    let ended = run(&scene, haiku("success please")).await;
    assert_eq!(value(&ended), "the answer");
    assert_eq!(spent(&ended), (cents(1), PicoUsd::ZERO, PicoUsd::ZERO));
    assert_eq!(ended.run.usage().input, 1000);
    let entry = &ended.ledger.entries()[0];
    assert_eq!(entry.answered.as_deref(), Some("claude-haiku-5-5"));
    assert!(ended.ledger.substitutions().is_empty());
}

#[tokio::test]
async fn it_is_offered_nothing_and_put_into_the_mode_in_which_it_asks() {
    let scene = scene("");
    let task = Task {
        effort: Some(divisi_engine::core::Effort::Max),
        max_turns: Some(7),
        max_cost: Some(cents(50)),
        context: Some("success context".into()),
        ..haiku("the prompt")
    };
    run(&scene, task).await;
    let greeting = &sent(&scene, "initialize")[0];
    assert_eq!(greeting["protocolVersion"], 1);
    let offered = greeting["clientCapabilities"].to_string();
    assert!(!offered.contains("true"), "{offered}");
    let opened = &sent(&scene, "session/new")[0];
    let folder = scene.folder.path().to_str().unwrap();
    assert_eq!(opened["cwd"], folder);
    assert_eq!(opened["mcpServers"], json!([]));
    insta::assert_json_snapshot!(opened["_meta"]["claudeCode"]["options"], @r#"
    {
      "settingSources": [],
      "strictMcpConfig": true,
      "persistSession": false,
      "promptSuggestions": false,
      "maxTurns": 7,
      "tools": [
        "Glob",
        "Read",
        "Grep"
      ],
      "disallowedTools": [],
      "maxBudgetUsd": 0.5
    }
    "#);
    let set = sent(&scene, "session/set_config_option");
    let set: Vec<_> = set
        .iter()
        .map(|set| (set["configId"].clone(), set["value"].clone()))
        .collect();
    assert_eq!(
        json!(set),
        json!([["mode", "default"], ["model", "haiku"], ["effort", "high"]])
    );
    let prompt = &sent(&scene, "session/prompt")[0]["prompt"];
    assert_eq!(
        prompt,
        &json!([{"type": "text", "text": "success context\n\nthe prompt"}])
    );
    let variables = scene.seen()["variables"].to_string();
    assert!(!variables.contains("OPENAI_API_KEY"), "{variables}");
}

#[tokio::test]
async fn a_write_is_allowed_by_permission_and_place_and_else_refused_and_reported() {
    let said = async |write: bool, path: &str| {
        let mut scene = scene("");
        scene.setup.permissions = Permissions { write, run: false };
        run(&scene, haiku(&format!("writes {path}"))).await
    };
    assert_eq!(value(&said(true, "src/a.rs").await), "allowed");
    let ended = said(false, "src/a.rs").await;
    assert_eq!(value(&ended), "refused");
    assert_eq!(needed(&ended), Some(("Write".into(), "write".into())));
    for (path, why) in [
        ("/tmp/outside.txt", "outside the workspace"),
        ("../outside.txt", "outside the workspace"),
        ("divisi.toml", "protected"),
        (".git/config", "protected"),
    ] {
        let ended = said(true, path).await;
        assert_eq!(value(&ended), "refused", "{path}");
        let lines = logged(&ended).join("\n");
        assert!(
            lines.contains(path) && lines.contains(why),
            "{path}: {lines}"
        );
    }
}

#[tokio::test]
async fn a_command_is_allowed_by_permission_and_pattern() {
    let said = async |allow: bool, command: &str| {
        let mut scene = scene("");
        scene.setup.permissions = Permissions {
            write: false,
            run: allow,
        };
        let task = Task {
            tools: Some(["Read", "Bash(git log *)"].map(Into::into).into()),
            ..haiku(&format!("runs {command}"))
        };
        run(&scene, task).await
    };
    assert_eq!(value(&said(true, "git log -3").await), "allowed");
    for command in ["git push", "git log; rm -rf x"] {
        let ended = said(true, command).await;
        assert_eq!(value(&ended), "refused", "{command}");
        assert!(logged(&ended).join("\n").contains("not allowed"));
    }
    let ended = said(false, "git log -3").await;
    assert_eq!(value(&ended), "refused");
    assert_eq!(needed(&ended), Some(("execute".into(), "run".into())));
}

#[tokio::test]
async fn the_web_and_files_of_the_client_are_refused() {
    let mut scene = scene("");
    scene.setup.permissions = Permissions {
        write: true,
        run: true,
    };
    let ended = run(&scene, haiku("browses")).await;
    assert_eq!(value(&ended), "refused");
    insta::assert_snapshot!(logged(&ended).join("\n"), @"browses: `acp:claude` was refused Fetch example.org: no permission of a run covers it");
    let ended = run(&scene, haiku("client-files")).await;
    assert_eq!(value(&ended), "refused");
}

#[tokio::test]
async fn one_that_stops_when_it_is_refused_fails_with_what_it_wanted() {
    let ended = run(&scene(""), haiku("sulks")).await;
    let (class, message) = failure(&ended);
    assert_eq!(class, FailureClass::Unavailable);
    insta::assert_snapshot!(message, @"`acp:claude` stopped because it was not allowed `Write a.txt`");
    assert_eq!(spent(&ended).0, cents(1));
}

#[tokio::test]
async fn each_way_to_fail_has_its_class_and_its_cost() {
    use FailureClass as Class;
    for (prompt, class, cost) in [
        ("misfit", Class::Schema, 1),
        ("no-value", Class::Schema, 1),
        ("empty", Class::Empty, 1),
        ("cut", Class::Truncated, 1),
        ("turns", Class::Turns, 1),
        ("max-turns", Class::Turns, 1),
        ("declines", Class::Declined, 1),
        ("401", Class::Auth, 0),
        ("429", Class::RateLimited, 0),
        ("529", Class::Overloaded, 0),
        ("400", Class::BadRequest, 0),
        ("no-reply", Class::Server, 0),
    ] {
        let mut scene = scene("");
        scene.setup.retry.overload_wait_max = Millis(0);
        scene.setup.retry.waits_max = 0;
        let ended = run(&scene, haiku(prompt).schema(number())).await;
        let (found, message) = failure(&ended);
        assert_eq!(found, class, "{prompt}: {message}");
        let expected = (cents(cost), PicoUsd::ZERO, PicoUsd::ZERO);
        assert_eq!(spent(&ended), expected, "{prompt}");
    }
}

#[tokio::test]
async fn each_way_not_to_start_has_its_class_and_costs_nothing() {
    use FailureClass as Class;
    let expected = [
        ("dies", Class::Program),
        ("babble", Class::Program),
        ("other-version", Class::Unavailable),
        ("logged-out", Class::Auth),
    ];
    let mut messages = vec![];
    for (start, class) in expected {
        let ended = run(&scene(start), haiku("success")).await;
        let (found, message) = failure(&ended);
        assert_eq!(found, class, "{start}: {message}");
        let zero = (PicoUsd::ZERO, PicoUsd::ZERO, PicoUsd::ZERO);
        assert_eq!(spent(&ended), zero, "{start}");
        messages.push(message);
    }
    insta::assert_snapshot!(messages.join("\n"), @"
    `acp:claude` ended without an answer, with exit code 3: cannot find its model
    `acp:claude` ended without an answer, with exit code 0: Usage: agent [options]
    `acp:claude` does not speak version 1 of the Agent Client Protocol: Invalid request: unsupported ACP protocol version 7; this endpoint only supports ACP protocol version 1
    `acp:claude` is not logged in: Authentication required
    ");
    let scene = with("mine", AgentProgram::new(["no-such-agent"]));
    let (class, message) = failure(&scene.run_by("mine", haiku("success")).await);
    assert_eq!(class, Class::Unavailable);
    insta::assert_snapshot!(message, @"program `no-such-agent` was not found");
}

#[tokio::test]
async fn one_that_never_answers_is_ended_in_its_time() {
    let task = Task {
        timeout: Some(Millis(3_000)),
        ..haiku("success")
    };
    let (class, message) = failure(&run(&scene("mute"), task).await);
    assert_eq!(class, FailureClass::Timeout, "{message}");
}

#[tokio::test]
async fn lines_that_are_no_messages_are_passed_over() {
    assert_eq!(
        value(&run(&scene("chatty"), haiku("success")).await),
        "the answer"
    );
    assert_eq!(
        value(&run(&scene(""), haiku("long-line")).await),
        "the answer"
    );
}

#[tokio::test]
async fn without_an_answer_the_whole_reservation_may_have_been_spent() {
    for prompt in ["killed", "torn", "exits", "floods"] {
        let scene = with("acp:claude", program("").cost(Some(cents(40))));
        let ended = run(&scene, haiku(prompt)).await;
        let (class, message) = failure(&ended);
        assert_eq!(class, FailureClass::Program, "{prompt}: {message}");
        assert_eq!(spent(&ended).1, cents(40), "{prompt}");
    }
}

#[tokio::test]
async fn what_it_costs_is_watched_and_it_is_cancelled_beyond_its_reservation() {
    let scene = with("acp:claude", program("").cost(Some(cents(5))));
    let ended = run(&scene, haiku("spends")).await;
    let (class, message) = failure(&ended);
    assert_eq!(class, FailureClass::Budget, "{message}");
    assert_eq!(sent(&scene, "session/cancel").len(), 1);
    let (billed, _, over) = spent(&ended);
    assert_eq!((billed, over), (cents(5), cents(2)));
}

#[tokio::test]
async fn at_the_end_of_its_time_it_is_cancelled_and_says_what_it_used() {
    let scene = scene("");
    let task = Task {
        timeout: Some(Millis(12_000)),
        ..haiku("slow")
    };
    let ended = run(&scene, task).await;
    assert_eq!(failure(&ended).0, FailureClass::Timeout);
    assert_eq!(sent(&scene, "session/cancel").len(), 1);
    assert_eq!(spent(&ended), (cents(3), PicoUsd::ZERO, PicoUsd::ZERO));
}

#[tokio::test]
async fn one_that_does_not_end_after_its_answer_is_ended() {
    let began = Instant::now();
    assert_eq!(
        value(&run(&scene("lingers"), haiku("success")).await),
        "the answer"
    );
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn tokens_are_priced_where_it_reports_no_cost_and_estimated_where_it_reports_none() {
    let ended = run(&scene(""), haiku("priced")).await;
    let (billed, unconfirmed, _) = spent(&ended);
    assert!(billed > PicoUsd::ZERO && billed < cents(1), "{billed}");
    assert_eq!(unconfirmed, PicoUsd::ZERO);
    for prompt in ["unpriced", "silent-bill"] {
        let scene = with("acp:claude", program("").cost(Some(cents(40))));
        let ended = run(&scene, haiku(prompt)).await;
        assert_eq!(value(&ended), "the answer", "{prompt}");
        assert_eq!(spent(&ended).1, cents(40), "{prompt}");
        assert!(ended.run.usage().output > 0, "{prompt}");
        assert_eq!(logged(&ended).len(), 1, "{prompt}");
    }
}

#[tokio::test]
async fn what_a_plan_pays_for_costs_nothing_and_is_told_at_list_price() {
    let ended = run(&scene("plan"), haiku("success")).await;
    assert_eq!(spent(&ended).0, PicoUsd::ZERO);
    insta::assert_snapshot!(logged(&ended).join("\n"), @"success: in your plan; at list price it would have cost $0.0100");
}

#[tokio::test]
async fn models_are_those_that_it_offers() {
    let scene = scene("");
    let model = async |word: Option<&str>| {
        let task = Task::new("success");
        let task = match word {
            Some(word) => task.model(word),
            None => task,
        };
        run(&scene, task).await
    };
    // The run's model, as for each agent program with tiers.
    let ended = model(None).await;
    insta::assert_snapshot!(logged(&ended).join("\n"), @"success: `acp:claude` offers no model for `sonnet` and uses own");
    let (class, message) = failure(&model(Some("claude-x")).await);
    assert_eq!(class, FailureClass::Unavailable);
    insta::assert_snapshot!(message, @"`acp:claude` has no model `claude-x`: Invalid params: no such value");
}

#[tokio::test]
async fn an_unknown_agent_is_any_command_and_needs_no_options() {
    let scene = with("mine", program("plain"));
    let ended = scene.run_by("mine", Task::new("success")).await;
    assert_eq!(value(&ended), "the answer");
    assert!(sent(&scene, "session/set_mode").is_empty());
    let spec = scene.setup.executors.spec("mine").unwrap();
    assert!(spec.writes, "it is not known whether it asks");
    let known = AcpExecutor::new("acp:gemini", AgentProgram::new(["gemini"]));
    let mut executors = divisi_engine::executor::Executors::default();
    executors.add("acp:gemini", known).unwrap();
    assert!(!executors.spec("acp:gemini").unwrap().writes);
}
