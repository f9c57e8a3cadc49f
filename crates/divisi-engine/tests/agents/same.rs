//! The same cases on each agent program.

use crate::acp::program;
use crate::{Scene, haiku, is_gone, number, spent, value};
use divisi_engine::core::{FailureClass, Millis, Outcome, PicoUsd, Task};
use divisi_engine::executor::AcpExecutor;
use serde_json::json;
use std::time::Duration;

/// Each with its name.
fn scenes() -> Vec<(&'static str, Scene)> {
    let mut acp = Scene::new();
    let executor = AcpExecutor::new("acp:claude", program(""));
    acp.setup.executors.add("acp:claude", executor).unwrap();
    vec![
        ("claude", Scene::new()),
        ("codex", Scene::codex()),
        ("acp:claude", acp),
    ]
}

#[tokio::test]
async fn each_answers_is_billed_and_holds_to_a_schema() {
    for (name, scene) in scenes() {
        let ended = scene.run_by(name, haiku("success")).await;
        assert_eq!(value(&ended), "the answer", "{name}");
        let (billed, unconfirmed, over) = spent(&ended);
        assert!(billed > PicoUsd::ZERO, "{name}");
        assert_eq!(
            (unconfirmed, over),
            (PicoUsd::ZERO, PicoUsd::ZERO),
            "{name}"
        );
        assert!(ended.ledger.entries()[0].answered.is_some(), "{name}");
        let ended = scene.run_by(name, haiku("schema").schema(number())).await;
        assert_eq!(value(&ended), json!({"n": 7}), "{name}");
    }
}

#[tokio::test]
async fn each_fails_in_the_same_class() {
    for (prompt, class) in [
        ("misfit", FailureClass::Schema),
        ("401", FailureClass::Auth),
        ("529", FailureClass::Overloaded),
        ("killed", FailureClass::Program),
    ] {
        for (name, mut scene) in scenes() {
            scene.setup.retry.overload_wait_max = Millis(0);
            let ended = scene.run_by(name, haiku(prompt).schema(number())).await;
            match ended.outcome {
                Some(Outcome::Failed(failure)) => {
                    assert_eq!(failure.class, class, "{name} {prompt}: {}", failure.message);
                }
                other => panic!("{name} {prompt}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn each_is_ended_with_all_that_it_started() {
    for (name, scene) in scenes() {
        let task = Task {
            timeout: Some(Millis(4_000)),
            ..haiku("hangs")
        };
        let ended = scene.run_by(name, task).await;
        match ended.outcome {
            Some(Outcome::Failed(failure)) => {
                assert_eq!(failure.class, FailureClass::Timeout, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        let child = std::fs::read_to_string(scene.folder.path().join("child")).unwrap();
        let gone = async {
            while !is_gone(&child) {
                tokio::task::yield_now().await;
            }
        };
        let gone = tokio::time::timeout(Duration::from_secs(20), gone).await;
        assert!(gone.is_ok(), "{name}: {child} outlived its task");
    }
}
