//! Tools of MCP servers, with a stand-in for one (`server.py`).
#![allow(clippy::unwrap_used, clippy::panic)]

use divisi_engine::core::RunId;
use divisi_engine::mcp::{McpServer, McpServers, Reached};
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Finished, Flow, Models, RunOptions, Setup};
use divisi_providers::Scripted;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mcp/server.py");

/// A workspace with a server `it`, and a model that calls its tools as the prompt says.
struct Scene {
    folder: tempfile::TempDir,
    engine: Engine,
    servers: McpServers,
}

impl Scene {
    fn new() -> Self {
        Self::with(&[])
    }

    /// With further arguments of the server.
    fn with(args: &[&str]) -> Self {
        let words = ["python3", SERVER].iter().chain(args);
        let command = words.map(|word| (*word).to_owned()).collect();
        Self::of(Reached::Program {
            command,
            env: BTreeMap::from([("GIVEN".to_owned(), "given-4711-0123456789".to_owned())]),
        })
    }

    fn of(reached: Reached) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            engine: Engine::new(Arc::new(MemoryStore::new())),
            servers: BTreeMap::from([("it".into(), McpServer::new(reached))]),
        }
    }

    fn server(mut self, change: impl FnOnce(&mut McpServer)) -> Self {
        change(self.servers.get_mut("it").unwrap());
        self
    }

    fn setup(&self) -> Setup {
        let tool = |name: &str| {
            json!({"when": {"contains": format!("use {name}:"), "turn": 1},
                   "tools": [{"name": format!("mcp__it__{name}"), "input": {"text": "{prompt}"}}]})
        };
        let twice = |turn: u32| {
            json!({"when": {"contains": "use die twice:", "turn": turn},
                   "tools": [{"name": "mcp__it__die", "input": {}}]})
        };
        let names = [
            "echo",
            "fail",
            "refuse",
            "environment",
            "picture",
            "long",
            "hang",
            "die",
            "flood",
            "chatter",
            "child",
            "odd_name",
            "read_file",
        ];
        let rules: Vec<Value> = names
            .iter()
            .map(|name| tool(name))
            .chain([twice(1), twice(2), twice(3)])
            .chain([json!({"when": {"contains": "use"}, "text": "{tool_result}"})])
            .collect();
        let provider = Scripted::from_rules(&json!(rules).to_string());
        let provider = Arc::new(provider.unwrap_or_else(|error| panic!("{error}")));
        let models = Models::one(provider, &[("sonnet", "model")], &["*"]);
        Setup::new(models, self.folder.path()).mcp(self.servers.clone())
    }

    async fn finished(&self, source: &str) -> Finished {
        let flow = Flow::script("test", source);
        let run = self
            .engine
            .start(flow, self.setup(), RunOptions::default())
            .await;
        run.unwrap_or_else(|error| panic!("{error}"))
            .finished()
            .await
            .unwrap()
    }

    async fn resumed(&self, id: &RunId, source: &str) -> Finished {
        let (flow, options) = (Flow::script("test", source), RunOptions::default());
        let run = self.engine.resume(id, flow, self.setup(), options).await;
        run.unwrap_or_else(|error| panic!("{error}"))
            .finished()
            .await
            .unwrap()
    }

    /// What a task says that uses this tool: the result of the call.
    async fn uses(&self, tool: &str) -> String {
        let source =
            format!("return agent('use {tool}:', {{tools: ['mcp__it__*'], required: true}})");
        said(&self.finished(&source).await)
    }

    /// The lines of the server's log.
    fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("mcp.log"));
        text.unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn starts(&self) -> usize {
        self.log().iter().filter(|line| *line == "start").count()
    }
}

/// The result of a run, or why it has none.
fn said(finished: &Finished) -> String {
    match finished.result.as_ref().unwrap() {
        Ok(json) => match serde_json::from_str(json).unwrap() {
            Value::String(text) => text,
            other => other.to_string(),
        },
        Err(failure) => failure.message.clone(),
    }
}

#[tokio::test]
async fn a_tool_is_called_and_the_server_ends_with_the_run() {
    let scene = Scene::new();
    assert_eq!(scene.uses("echo").await, "echo says use echo:");
    // It is ended before the run is over.
    assert_eq!(scene.log(), ["start", "call echo use echo:", "end"]);
    assert_eq!(scene.uses("odd_name").await, "odd.name says use odd_name:");
}

#[tokio::test]
async fn what_a_server_refuses_is_the_models_to_repair() {
    let scene = Scene::new();
    assert_eq!(scene.uses("fail").await, "no such file: use fail:");
    assert_eq!(
        scene.uses("refuse").await,
        "the MCP server `it` refuses the call: wrong arguments"
    );
    let source = "return agent('use echo: {', {tools: ['mcp__it__fail'], required: true})";
    let none = said(&scene.finished(source).await);
    assert_eq!(
        none,
        "tool `mcp__it__echo` does not exist; use one of: mcp__it__fail"
    );
}

#[tokio::test]
async fn a_result_is_text_without_secrets_and_of_a_bounded_length() {
    divisi_providers::redact::add_secret("given-4711-0123456789");
    let scene = Scene::new();
    let environment = scene.uses("environment").await;
    assert!(environment.contains(r#""GIVEN": "***""#), "{environment}");
    assert_eq!(
        scene.uses("picture").await,
        "(an image was left out: image/png, 3 bytes)"
    );
    let long = scene.uses("long").await;
    assert!(
        long.len() < 50_000 && long.contains("960000 more bytes left out"),
        "{}",
        long.len()
    );
}

#[tokio::test]
async fn a_server_that_hangs_is_left_and_one_that_talks_is_heard() {
    let scene = Scene::new().server(|server| server.timeout = Duration::from_secs(2));
    assert_eq!(
        scene.uses("hang").await,
        "the MCP server `it` gave no result within 2s; the call may still be under way there"
    );
    let scene = Scene::new();
    assert_eq!(scene.uses("chatter").await, "done talking");
}

#[tokio::test]
async fn a_server_that_dies_is_started_once_more() {
    let scene = Scene::new();
    let once = scene.uses("die").await;
    assert!(
        once.starts_with("the MCP server `it` was lost during the call (")
            && once.contains("its last line on stderr: out of luck"),
        "{once}"
    );
    assert_eq!(scene.starts(), 1, "nothing asked for it again");
    let scene = Scene::new();
    let last = scene.uses("die twice").await;
    assert!(
        last.starts_with("the MCP server `it` is not available in this run any more: ")
            && last.ends_with("and it is not started a third time"),
        "{last}"
    );
    assert_eq!(scene.starts(), 2);
}

#[tokio::test]
async fn a_message_without_end_ends_the_server() {
    let scene = Scene::new();
    let flood = scene.uses("flood").await;
    assert!(
        flood.contains("it sent a message of more than 16777216 bytes"),
        "{flood:.300}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_start_fails_its_tasks_before_they_cost_anything() {
    for (args, why) in [
        (
            &["--broken"][..],
            "its last line on stderr: cannot find my database",
        ),
        (&["--mute"], "no answer within 500ms"),
        (
            &["--unlisted"],
            "it does not list its tools: no such method",
        ),
    ] {
        let scene = Scene::with(args);
        let scene = match args {
            ["--mute"] => scene.server(|server| server.start_timeout = Duration::from_millis(500)),
            _ => scene,
        };
        let said = scene.uses("echo").await;
        assert!(
            said.contains("the MCP server `it` does not start: ") && said.contains(why),
            "{said}"
        );
    }
    let missing = Reached::Program {
        command: vec!["no-such-program-4711".to_owned()],
        env: BTreeMap::new(),
    };
    let said = Scene::of(missing).uses("echo").await;
    assert!(
        said.contains("program `no-such-program-4711` was not found"),
        "{said}"
    );
}

#[tokio::test]
async fn a_server_that_never_starts_is_tried_at_most_twice_for_all_tasks() {
    let scene = Scene::with(&["--unlisted"]);
    let source = "const tasks = Array.from({length: 20}, (_, i) => () =>
            agent(`use echo: ${i}`, {tools: ['mcp__it__echo']}));
        return (await parallel(tasks)).filter((result) => result === null).length";
    assert_eq!(said(&scene.finished(source).await), "20");
    assert!((1..=2).contains(&scene.starts()), "{:?}", scene.log());
}

#[tokio::test]
async fn twenty_tasks_share_one_server() {
    let scene = Scene::new();
    let source = "const tasks = Array.from({length: 20}, (_, i) => () =>
            agent(`use echo: ${i}`, {tools: ['mcp__it__echo'], required: true}));
        return (await parallel(tasks)).length";
    assert_eq!(said(&scene.finished(source).await), "20");
    let log = scene.log();
    assert_eq!(scene.starts(), 1);
    assert_eq!(
        log.iter()
            .filter(|line| line.starts_with("call echo"))
            .count(),
        20
    );
}

#[tokio::test]
async fn a_task_has_the_tools_it_names_and_no_other() {
    let scene = Scene::new();
    let offered = async |options: &str| {
        let source = format!("return agent('use read_file: no', {{required: true, {options}}})");
        said(&scene.finished(&source).await)
    };
    let tools = |said: &str| said.split("use one of: ").nth(1).unwrap_or(said).to_owned();
    let own = "list_files, search_files, read_file";
    for (options, expected) in [
        ("", own),
        ("tools: ['*']", own),
        (
            "tools: ['mcp__it__e*', 'mcp__it__die']",
            "mcp__it__die, mcp__it__echo, mcp__it__environment",
        ),
        (
            "tools: ['Read', 'mcp__*__fail']",
            "read_file, mcp__it__fail",
        ),
        (
            "tools: ['mcp__it__{echo,fail}'], disallowedTools: ['mcp__it__fail']",
            "mcp__it__echo",
        ),
        (
            "tools: ['mcp__it__echo'], disallowedTools: ['*']",
            "tool `mcp__it__read_file` does not exist; there are no tools, answer without them",
        ),
        (
            "tools: ['mcp__other__echo']",
            "tool `mcp__it__read_file` does not exist; there are no tools, answer without them",
        ),
    ] {
        assert_eq!(tools(&offered(options).await), expected, "{options}");
    }
    let narrow = Scene::new().server(|server| server.tools = Some(vec!["f*".to_owned()]));
    let source = "return agent('use read_file: no', {required: true, tools: ['mcp__it__*']})";
    assert_eq!(
        tools(&said(&narrow.finished(source).await)),
        "mcp__it__fail, mcp__it__flood"
    );
}

#[tokio::test]
async fn what_the_run_does_not_permit_is_neither_offered_nor_started() {
    let scene = Scene::new().server(|server| server.is_permitted = false);
    let said = scene.uses("echo").await;
    assert_eq!(
        said,
        "tool `mcp__it__echo` does not exist; there are no tools, answer without them"
    );
    assert_eq!(scene.starts(), 0);
}

#[tokio::test]
async fn what_no_task_needs_is_not_started() {
    let scene = Scene::new();
    said(&scene.finished("return agent('use nothing', {})").await);
    assert_eq!(scene.starts(), 0);
}

#[tokio::test]
async fn a_resume_that_finds_every_result_starts_no_server() {
    let scene = Scene::new();
    let source = "return agent('use echo: 1', {tools: ['mcp__it__echo']})";
    let first = scene.finished(source).await;
    let again = scene.resumed(&first.id, source).await;
    assert_eq!(said(&again), said(&first));
    assert_eq!(scene.log(), ["start", "call echo use echo: 1", "end"]);
    // Another server of that name is another task.
    let Reached::Program { command, .. } = &mut scene.servers["it"].clone().reached else {
        panic!("no program")
    };
    command.push("--other".to_owned());
    let other = Scene {
        servers: BTreeMap::from([(
            "it".into(),
            McpServer::new(Reached::Program {
                command: command.clone(),
                env: BTreeMap::new(),
            }),
        )]),
        ..scene
    };
    other.resumed(&first.id, source).await;
    assert_eq!(other.starts(), 2);
}

#[test]
fn a_recorded_result_is_not_called_for_again() {
    let scene = Scene::new();
    // The second call is under way when the process is killed; the first is recorded.
    let source = "return agent('use both', {tools: ['mcp__it__*'], required: true})";
    let rules = json!([
        {"when": {"contains": "use both", "turn": 1}, "tools": [{"name": "mcp__it__echo", "input": {"text": "1"}}]},
        {"when": {"contains": "use both", "turn": 2}, "tools": [{"name": "mcp__it__hang", "input": {}}]},
        {"when": {"contains": "use both"}, "text": "{tool_result}"},
    ]);
    let setup = || {
        let provider = Arc::new(Scripted::from_rules(&rules.to_string()).unwrap());
        let models = Models::one(provider, &[("sonnet", "model")], &["*"]);
        let mut servers = scene.servers.clone();
        servers.get_mut("it").unwrap().timeout = Duration::from_secs(3);
        Setup::new(models, scene.folder.path()).mcp(servers)
    };
    let calls = |name: &str| {
        let begins = format!("call {name}");
        scene
            .log()
            .iter()
            .filter(|line| line.starts_with(&begins))
            .count()
    };
    let process = Runtime::new().unwrap();
    let id = process.block_on(async {
        let flow = Flow::script("test", source);
        let run = scene
            .engine
            .start(flow, setup(), RunOptions::default())
            .await;
        let run = run.unwrap_or_else(|error| panic!("{error}"));
        while calls("hang") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        run.id().clone()
    });
    process.shutdown_background();
    Runtime::new().unwrap().block_on(async {
        while scene.engine.is_driven(&id).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let flow = Flow::script("test", source);
        let run = scene
            .engine
            .resume(&id, flow, setup(), RunOptions::default())
            .await;
        let finished = run
            .unwrap_or_else(|error| panic!("{error}"))
            .finished()
            .await
            .unwrap();
        assert!(
            said(&finished).contains("gave no result within 3s"),
            "{}",
            said(&finished)
        );
    });
    assert_eq!((calls("echo"), calls("hang")), (1, 2));
}

/// A server over HTTP, ended with the test.
struct Http {
    child: Child,
    url: String,
}

impl Http {
    fn new(folder: &std::path::Path) -> Self {
        let mut child = Command::new("python3")
            .args([SERVER, "--http"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        let url = url.trim().to_owned();
        Self { child, url }
    }

    fn reached(&self, key: &str) -> Reached {
        Reached::Http {
            url: self.url.clone(),
            headers: BTreeMap::from([("Authorization".to_owned(), format!("Bearer {key}"))]),
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_server_is_reached_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let http = Http::new(folder.path());
    let scene = Scene::of(http.reached("http-key-4711-0123456789"))
        .server(|server| server.timeout = Duration::from_secs(5));
    assert_eq!(scene.uses("echo").await, "echo says use echo:");
    assert_eq!(scene.uses("fail").await, "no such file: use fail:");
    let flood = scene.uses("flood").await;
    assert!(flood.starts_with("the MCP server `it` "), "{flood:.300}");
    let died = scene.uses("die").await;
    assert!(
        died.starts_with("the MCP server `it` was lost during the call"),
        "{died}"
    );
    let gone = scene.uses("echo").await;
    assert!(
        gone.contains("the MCP server `it` does not start: Client error: error sending request"),
        "{gone}"
    );
}

#[tokio::test]
async fn a_server_that_knows_no_such_key_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let http = Http::new(folder.path());
    let said = Scene::of(http.reached("wrong-key-4711-0123456789"))
        .uses("echo")
        .await;
    assert!(
        said.contains("the MCP server `it` does not start: ") && said.contains("401"),
        "{said}"
    );
    assert!(!said.contains("wrong-key"), "{said}");
}
