//! Tool calls during which the process is killed.
#![allow(clippy::unwrap_used, clippy::panic)]

use divisi_engine::core::RunId;
use divisi_engine::store::MemoryStore;
use divisi_engine::{Engine, Flow, Models, Permissions, RunOptions, Setup};
use divisi_providers::Scripted;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// A model that runs a command without end, and then repeats what it was told.
const RULES: &str = r#"[
    {"when": {"contains": "work", "turn": 1},
     "tools": [{"name": "run_command", "input": {"command": "echo x >> started; sleep 1000", "timeout_s": 900}},
               {"name": "list_files", "input": {}}]},
    {"when": {"contains": "work"}, "text": "{tool_result}"}
]"#;

fn setup(workspace: &Path) -> Setup {
    let provider = Arc::new(Scripted::from_rules(RULES).unwrap_or_else(|error| panic!("{error}")));
    let permissions = Permissions {
        write: false,
        run: true,
    };
    let models = Models::one(provider, &[("sonnet", "model")], &["*"]);
    Setup::new(models, workspace).permissions(permissions)
}

fn flow() -> Flow {
    Flow::script("test", "return agent('work')")
}

/// How often the command has been started.
fn started(workspace: &Path) -> usize {
    std::fs::read_to_string(workspace.join("started")).map_or(0, |text| text.lines().count())
}

/// Drives the run until the command has been started so often, then kills the process.
fn die_at(times: usize, engine: &Engine, run: Option<&RunId>, workspace: &Path) -> RunId {
    let process = Runtime::new().unwrap();
    let id = process.block_on(async {
        let handle = match run {
            None => {
                engine
                    .start(flow(), setup(workspace), RunOptions::default())
                    .await
            }
            Some(id) => {
                engine
                    .resume(id, flow(), setup(workspace), RunOptions::default())
                    .await
            }
        };
        let handle = handle.unwrap_or_else(|error| panic!("{error}"));
        while started(workspace) < times {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        handle.id().clone()
    });
    process.shutdown_background();
    // Its work is dropped later, in the background.
    Runtime::new().unwrap().block_on(async {
        while engine.is_driven(&id).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    id
}

#[test]
fn a_call_under_which_the_process_died_twice_has_an_error_as_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = folder.path();
    let engine = Engine::new(Arc::new(MemoryStore::new()));
    let id = die_at(1, &engine, None, workspace);
    die_at(2, &engine, Some(&id), workspace);
    let process = Runtime::new().unwrap();
    for _ in 0..2 {
        let finished = process.block_on(async {
            let run = engine
                .resume(&id, flow(), setup(workspace), RunOptions::default())
                .await;
            run.unwrap_or_else(|error| panic!("{error}"))
                .finished()
                .await
                .unwrap()
        });
        let Some(Ok(result)) = &finished.result else {
            panic!("{:?}", finished.result)
        };
        assert!(
            result.contains("twice in a row the program that carries out calls has died"),
            "{result}"
        );
        // Not a third time, and every later resume finds the same.
        assert_eq!(started(workspace), 2);
    }
}
