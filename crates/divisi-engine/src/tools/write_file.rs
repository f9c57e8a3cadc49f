//! The tool that creates or replaces a file.

use super::path::{Root, reason};
use super::watch::Watch;
use super::{Answer, ToolDefinition, input, secret};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) const NAME: &str = "write_file";

/// Serialises writers of this process. Agents share files, and a model may request several edits of
/// one file at once: none may undo another by writing back what it read before. Writes take
/// milliseconds, so one lock suffices.
pub(super) fn turn_to_write() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A poisoned lock is safe to use: it guards no data.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn definition() -> ToolDefinition {
    ToolDefinition {
        name: NAME,
        description:
            "Create a file of the workspace, or replace all of its content. Missing folders are \
                      created. To change a part of a file, use edit_file."
                .into(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "path": { "type": "string", "minLength": 1, "description": "The file." },
                "content": { "type": "string", "description": "All of the new content." }
            },
            "required": ["path", "content"],
            "additionalProperties": false
        }),
    }
}

#[derive(Deserialize)]
struct Input {
    path: String,
    content: String,
}

pub(super) fn run(root: &Root, input: Value, watch: &Watch) -> Answer {
    let Input { path, content } = input::read(input)?;
    let _turn = turn_to_write();
    let place = root.locate_writable(&path)?;
    secret::keep(root, &path, &place, &content, watch)?;
    root.write_file(&place, content.as_bytes())
        .map_err(|error| format!("`{path}` cannot be written: {}", reason(&error)))?;
    Ok(format!(
        "wrote {} lines to `{}`",
        content.lines().count(),
        place.display()
    ))
}

#[cfg(test)]
mod tests {
    use crate::tools::fixture::Fixture;
    use serde_json::json;

    #[tokio::test]
    async fn files_and_folders_are_created_and_files_replaced() {
        let fixture = Fixture::new();
        let write = async |content| {
            fixture
                .ok("write_file", json!({"path": "a/b/c", "content": content}))
                .await
        };
        assert_eq!(write("one\n").await, "wrote 1 lines to `a/b/c`");
        assert_eq!(write("one\ntwo").await, "wrote 2 lines to `a/b/c`");
        assert_eq!(fixture.read("a/b/c"), "one\ntwo");
    }

    #[tokio::test]
    async fn what_a_run_has_in_use_is_not_written() {
        let fixture = Fixture::new()
            .file("flows/f.js", "old")
            .link("flows/f.js", "link.js");
        std::fs::hard_link(fixture.path("flows/f.js"), fixture.path("twin.js")).unwrap();
        fixture.protected.add(fixture.path("flows/f.js"));
        for path in ["flows/f.js", "./flows/../flows/f.js", "link.js", "twin.js"] {
            for (tool, input) in [
                ("write_file", json!({"path": path, "content": "new"})),
                (
                    "edit_file",
                    json!({"path": path, "old_text": "old", "new_text": "new"}),
                ),
            ] {
                let error = fixture.error(tool, input).await;
                assert!(
                    error.contains("is protected: it decides over runs"),
                    "{path}: {error}"
                );
            }
        }
        assert_eq!(fixture.read("flows/f.js"), "old");
    }

    #[tokio::test]
    async fn nothing_is_written_outside() {
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().to_str().unwrap();
        let fixture = Fixture::new()
            .link(target, "folder")
            .link(&format!("{target}/new"), "file");
        for path in [
            "folder/x",
            "folder/new/x",
            "file",
            "../x",
            &format!("{target}/x"),
        ] {
            let error = fixture
                .error("write_file", json!({"path": path, "content": "x"}))
                .await;
            assert!(
                error.contains("outside") || error.contains("cannot be resolved"),
                "{path}: {error}"
            );
        }
        assert_eq!(outside.path().read_dir().unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_link_that_an_agent_makes_does_not_open_a_way_out() {
        let outside = tempfile::tempdir().unwrap();
        let fixture = Fixture::new();
        let command = format!("ln -s {} way", outside.path().display());
        fixture.ok("run_command", json!({"command": command})).await;
        let error = fixture
            .error("write_file", json!({"path": "way/x", "content": "x"}))
            .await;
        assert!(error.contains("outside the workspace"), "{error}");
        assert_eq!(outside.path().read_dir().unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_folder_and_a_protected_file_are_refused() {
        let fixture = Fixture::new().file("a/b", "");
        let error = async |path: &str| {
            fixture
                .error("write_file", json!({"path": path, "content": ""}))
                .await
        };
        assert_eq!(
            error("a").await,
            "`a` cannot be written: not a regular file"
        );
        assert_eq!(error(".").await, "`.` is a folder");
        assert!(error(".git/config").await.contains("protected"));
        assert_eq!(
            error("a/b/c").await,
            "`a/b/c` cannot be resolved: a part of its path is not a folder"
        );
    }
}
