use super::*;
use divisi_core::event::Awaited;
use divisi_core::{Event, PicoUsd, Position, TaskId};
use divisi_engine::store::MemoryStore;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// A line of Claude Code, so many seconds after the hour.
fn said(seconds: u32, kind: &str, message: &Value, more: &Value) -> String {
    let mut line = json!({"type": kind, "message": message, "sessionId": "s1", "cwd": "/home/user/shop",
        "timestamp": format!("2026-11-23T10:{:02}:{:02}.000Z", seconds / 60, seconds % 60)});
    let fields = more.as_object().into_iter().flatten();
    for (name, value) in fields {
        line[name] = value.clone();
    }
    line.to_string()
}

fn asked(seconds: u32, prompt: &str, more: &Value) -> String {
    said(
        seconds,
        "user",
        &json!({"role": "user", "content": prompt}),
        more,
    )
}

fn replied(seconds: u32, id: &str, model: &str, block: &Value, output: u64) -> Value {
    json!({"at": seconds, "message": {"id": id, "model": model, "role": "assistant", "content": [block],
        "usage": {"input_tokens": 1000, "output_tokens": output, "cache_read_input_tokens": 2000}}})
}

fn reply(replied: &Value, more: &Value) -> String {
    let at = replied["at"].as_u64().unwrap_or_default();
    said(
        u32::try_from(at).unwrap(),
        "assistant",
        &replied["message"],
        more,
    )
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn starts(call: &str, prompt: &str) -> Value {
    json!({"type": "tool_use", "id": call, "name": "Agent",
        "input": {"description": format!("does {call}"), "prompt": prompt, "subagent_type": "general-purpose"}})
}

fn write(folder: &Path, path: &str, lines: &[String]) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

/// A session in which two agents run one after the other, and a third gets the second's result.
fn session(folder: &Path) {
    let sonnet = |at, id: &str, block: &Value| {
        reply(
            &replied(at, id, "claude-sonnet-5-5", block, 10),
            &Value::Null,
        )
    };
    let found = "the callers of `open` are in main.rs, lines 7 and 19, and in store.rs, line 40";
    let third = format!(
        "Fix the crash in each of these callers, and review the error handling around it: {found}"
    );
    write(
        folder,
        "projects/-home-user-shop/s1.jsonl",
        &[
            asked(0, "Clean up the callers of open", &Value::Null),
            sonnet(10, "m1", &starts("c1", "grep for TODO in all files")),
            asked(40, "", &Value::Null),
            sonnet(41, "m2", &starts("c2", "Find all callers of `open`.")),
            "{\"type\":\"assistant\",\"mess".to_owned(),
            sonnet(81, "m3", &starts("c3", &third)),
            sonnet(200, "m4", &text("It is done.")),
        ],
    );
    let agent = |id: &str, call: &str, model: &str, (from, to), prompt: &str, result: &str| {
        let base = format!("projects/-home-user-shop/s1/subagents/agent-{id}");
        let side = json!({"isSidechain": true, "agentId": id});
        let first = replied(from + 1, &format!("{id}1"), model, &text("I look."), 3);
        write(
            folder,
            &format!("{base}.jsonl"),
            &[
                asked(from, prompt, &side),
                // Each block of a reply has a line, and the first one the counts of its beginning.
                reply(&first, &side),
                reply(
                    &replied(from + 2, &format!("{id}1"), model, &text("More."), 50),
                    &side,
                ),
                reply(
                    &replied(to, &format!("{id}2"), model, &text(result), 20),
                    &side,
                ),
            ],
        );
        let meta = json!({"agentType": "general-purpose", "description": format!("does {call}"), "toolUseId": call});
        write(folder, &format!("{base}.meta.json"), &[meta.to_string()]);
    };
    agent(
        "a",
        "c1",
        "claude-opus-5-5",
        (11, 40),
        "grep for TODO in all files",
        "none",
    );
    agent(
        "b",
        "c2",
        "claude-haiku-5-5",
        (42, 80),
        "Find all callers of `open`.",
        found,
    );
    agent("c", "c3", "claude-sonnet-5-5", (82, 190), &third, "fixed");
}

async fn taken(program: Program, folder: &Path, store: &dyn Store) -> Imported {
    let below = match program {
        Program::Claude => "projects",
        Program::Codex => "sessions",
    };
    let place = Place::of(folder);
    let settings = Settings::default();
    import(
        program,
        &folder.join(below),
        Timestamp(0),
        &settings,
        store,
        &place,
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn agents_of_a_session_become_tasks_with_what_they_waited_for_and_read() {
    let home = TempDir::new().unwrap();
    session(home.path());
    let store = MemoryStore::default();
    let imported = taken(Program::Claude, home.path(), &store).await;
    assert_eq!((imported.runs.len(), imported.known), (1, 0));
    assert_eq!(imported.passed_over, 1, "a line that is no JSON");

    let events = store
        .events(&imported.runs[0], Position::default())
        .await
        .unwrap();
    let tasks: Vec<String> = events
        .iter()
        .filter_map(|recorded| match &recorded.event {
            Event::TaskSubmitted(task) => {
                let waits = match task.edges.waits {
                    Some(Awaited::Task(task)) => format!("after {task}"),
                    _ => "at once".to_owned(),
                };
                let (label, model) = (&task.facts.label, &task.facts.models[0]);
                Some(format!(
                    "{label}: {model}, {waits}, reads {:?}",
                    task.edges.reads
                ))
            }
            _ => None,
        })
        .collect();
    insta::assert_snapshot!(tasks.join("\n"), @r"
    Clean up the callers of open: claude-sonnet-5-5, at once, reads []
    does c1: claude-opus-5-5, at once, reads []
    does c2: claude-haiku-5-5, after t1, reads []
    does c3: claude-sonnet-5-5, after t2, reads [TaskId(2)]
    ");
}

#[tokio::test]
async fn what_was_not_needed_is_counted() {
    let home = TempDir::new().unwrap();
    session(home.path());
    let imported = taken(Program::Claude, home.path(), &MemoryStore::default()).await;
    let review = imported.review;
    assert_eq!((review.sessions, review.agents), (1, 4));
    // The second did not use the result of the first; the third used that of the second.
    assert_eq!(review.waited, divisi_core::Millis(29_000));
    let dearer: Vec<_> = review
        .dearer
        .iter()
        .map(|agent| (&*agent.label, &*agent.sufficient))
        .collect();
    assert_eq!(dearer, [("does c1", "claude-haiku-5-5")]);
    assert_eq!(
        review.cost.saturating_sub(review.sufficient),
        review.dearer[0]
            .cost
            .saturating_sub(review.dearer[0].instead)
    );
}

#[tokio::test]
async fn a_session_is_taken_once_and_again_when_it_has_gone_on() {
    let home = TempDir::new().unwrap();
    session(home.path());
    let store = MemoryStore::default();
    let first = taken(Program::Claude, home.path(), &store).await;
    assert_eq!(taken(Program::Claude, home.path(), &store).await.known, 1);
    let path = home.path().join("projects/-home-user-shop/s1.jsonl");
    let more = asked(300, "And now the tests", &Value::Null);
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, before + &more + "\n").unwrap();
    let again = taken(Program::Claude, home.path(), &store).await;
    assert_eq!(again.runs, first.runs);
    let run = store.run(&again.runs[0]).await.unwrap().unwrap();
    assert_eq!(run.tags, ["imported"]);
    assert_eq!(store.runs(10).await.unwrap().len(), 1);
    // A conversation of two prompts is no task to learn from.
    let events = store
        .events(&again.runs[0], Position::default())
        .await
        .unwrap();
    let executors: Vec<_> = events
        .iter()
        .filter_map(|recorded| match &recorded.event {
            Event::TaskSubmitted(task) => Some(&*task.facts.executor),
            _ => None,
        })
        .collect();
    assert_eq!(executors, ["claude session", "claude", "claude", "claude"]);
}

#[tokio::test]
async fn agents_of_older_versions_are_side_chains() {
    let home = TempDir::new().unwrap();
    let side = |uuid: &str, parent: Option<&str>| json!({"isSidechain": true, "uuid": uuid, "parentUuid": parent});
    let haiku = |at, id: &str, result: &str| replied(at, id, "claude-haiku-4-5", &text(result), 5);
    write(
        home.path(),
        "projects/p/s1.jsonl",
        &[
            asked(0, "Do two things", &Value::Null),
            reply(
                &replied(1, "m1", "claude-sonnet-4-5", &starts("c1", "first"), 9),
                &Value::Null,
            ),
            reply(
                &replied(1, "m1", "claude-sonnet-4-5", &starts("c2", "second"), 9),
                &Value::Null,
            ),
            asked(2, "first", &side("u1", None)),
            asked(2, "second", &side("u2", None)),
            reply(&haiku(5, "x", "one"), &side("u3", Some("u1"))),
            reply(&haiku(6, "y", "two"), &side("u4", Some("u2"))),
            reply(
                &replied(9, "m2", "claude-sonnet-4-5", &text("Done."), 9),
                &Value::Null,
            ),
        ],
    );
    let store = MemoryStore::default();
    let imported = taken(Program::Claude, home.path(), &store).await;
    let run = store.run(&imported.runs[0]).await.unwrap().unwrap();
    assert_eq!(run.ok, 3);
    assert_eq!(
        imported.review.waited,
        divisi_core::Millis(0),
        "they ran side by side"
    );
}

#[tokio::test]
async fn tokens_of_codex_are_counted_once() {
    let home = TempDir::new().unwrap();
    let line = |at: u32, kind: &str, payload: Value| {
        json!({"timestamp": format!("2026-11-23T10:00:{at:02}.000Z"), "type": kind, "payload": payload})
            .to_string()
    };
    let message = |role: &str, text: &str| json!({"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]});
    let count = |total: u64, last: u64| {
        let usage = |n: u64| json!({"input_tokens": n * 10, "cached_input_tokens": n * 5, "output_tokens": n});
        json!({"type": "token_count", "info": {"total_token_usage": usage(total), "last_token_usage": usage(last)}})
    };
    write(
        home.path(),
        "sessions/2026/11/23/rollout-1.jsonl",
        &[
            line(
                0,
                "session_meta",
                json!({"id": "t1", "cwd": "/home/user/shop"}),
            ),
            line(0, "turn_context", json!({"model": "gpt-6-luna"})),
            line(
                1,
                "response_item",
                message(
                    "user",
                    "<environment_context>a folder</environment_context>",
                ),
            ),
            line(1, "response_item", message("user", "Find the TODO")),
            line(2, "event_msg", json!({"type": "token_count", "info": null})),
            line(
                3,
                "response_item",
                json!({"type": "function_call", "name": "exec_command", "call_id": "c",
            "arguments": "{\"cmd\": \"grep -r TODO\"}"}),
            ),
            line(3, "event_msg", count(100, 100)),
            line(4, "event_msg", count(100, 100)),
            line(5, "response_item", message("assistant", "In main.rs.")),
            line(6, "event_msg", count(300, 200)),
        ],
    );
    let store = MemoryStore::default();
    let imported = taken(Program::Codex, home.path(), &store).await;
    let (view, _) = divisi_engine::Engine::new(Arc::new(store))
        .view(&imported.runs[0])
        .await
        .unwrap();
    assert_eq!((view.usage.prompt(), view.usage.output), (3_000, 300));
    assert_eq!(view.turns.len(), 2);
    assert!(view.money.settled > PicoUsd::ZERO);
    assert_eq!(
        view.task(TaskId(0)).unwrap().spent.billed,
        imported.review.cost
    );
}

#[tokio::test]
async fn a_session_that_makes_no_run_stops_no_other_and_replaces_none() {
    let home = TempDir::new().unwrap();
    session(home.path());
    // Equal names in another project, and an agent that began before its session.
    let early = json!({"isSidechain": true, "agentId": "z"});
    write(
        home.path(),
        "projects/-home-user-other/s1.jsonl",
        &[asked(100, "Another one", &Value::Null)],
    );
    write(
        home.path(),
        "projects/-home-user-other/s1/subagents/agent-z.jsonl",
        &[asked(5, "too early", &early)],
    );
    let store = MemoryStore::default();
    let imported = taken(Program::Claude, home.path(), &store).await;
    assert_eq!((imported.runs.len(), imported.unread.len()), (2, 0));
    assert_eq!(taken(Program::Claude, home.path(), &store).await.known, 2);

    // A run that is no session keeps its place.
    let other = MemoryStore::default();
    let events = store
        .events(&imported.runs[0], Position::default())
        .await
        .unwrap();
    let mut run = divisi_core::Run::new();
    let events: Vec<_> = events
        .into_iter()
        .map(|mut recorded| {
            if let Event::RunStarted(started) = &mut recorded.event {
                started.flow.label.tags.clear();
            }
            run.apply(recorded.at, &recorded.event).unwrap();
            recorded
        })
        .collect();
    let batch = divisi_engine::store::Batch {
        run: imported.runs[0].clone(),
        position: Position::default(),
        events,
        blobs: vec![],
        summary: divisi_engine::store::RunSummary::of(&imported.runs[0], &run, Timestamp(1)),
        receipts: vec![],
    };
    other.append(Arc::new(batch)).await.unwrap();
    let again = taken(Program::Claude, home.path(), &other).await;
    assert_eq!((again.runs.len(), again.unread.len()), (1, 1));
    assert!(
        again.unread[0].1.contains("another run has its id"),
        "{:?}",
        again.unread
    );
}
