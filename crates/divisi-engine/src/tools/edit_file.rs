//! The tool that changes a part of a file.

use super::path::{Root, reason};
use super::write_file::turn_to_write;
use super::{Answer, ToolDefinition, file, input};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const NAME: &str = "edit_file";

/// Places named when a text is not unique.
const PLACES_MAX: usize = 10;

pub(super) fn definition() -> ToolDefinition {
    ToolDefinition {
        name: NAME,
        description: "Replace a text in a file of the workspace. The old text must be exactly as in the \
                      file, with its indentation and without line numbers, and occur once."
            .into(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "path": { "type": "string", "minLength": 1, "description": "The file." },
                "old_text": { "type": "string", "minLength": 1, "description": "The text to replace." },
                "new_text": { "type": "string", "description": "What to put there; empty to delete." },
                "replace_all": { "type": "boolean", "description": "Whether to replace every occurrence instead of the only one." }
            },
            "required": ["path", "old_text", "new_text"],
            "additionalProperties": false
        }),
    }
}

#[derive(Deserialize)]
struct Input {
    path: String,
    old_text: String,
    new_text: String,
    #[serde(default)]
    replace_all: bool,
}

pub(super) fn run(root: &Root, input: Value) -> Answer {
    let Input { path, mut old_text, mut new_text, replace_all } = input::read(input)?;
    if old_text == new_text {
        return Err("`old_text` and `new_text` are the same".to_owned());
    }
    let _turn = turn_to_write();
    let place = root.locate_writable(&path)?;
    let bytes = file::read(root, &path, &place)?;
    let content = String::from_utf8(bytes).map_err(|_| format!("`{path}` is not a UTF-8 text"))?;

    // Models do not see which line ends a file has, and write the short one.
    if !content.contains(&old_text) && content.contains("\r\n") {
        old_text = old_text.replace("\r\n", "\n").replace('\n', "\r\n");
        new_text = new_text.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    let places: Vec<_> = content.match_indices(&old_text).map(|(at, _)| line_at(&content, at)).collect();
    match places.as_slice() {
        [] => return Err(not_found(&path, &content, &old_text)),
        [_] => {}
        _ if replace_all => {}
        _ => {
            return Err(format!(
                "`old_text` occurs {} times in `{path}`, {}; add lines around it, or set `replace_all`",
                places.len(),
                on_lines(&places)
            ));
        }
    }
    root.write_file(&place, content.replace(&old_text, &new_text).as_bytes())
        .map_err(|error| format!("`{path}` cannot be written: {}", reason(&error)))?;
    Ok(format!("changed `{}` {}", place.display(), on_lines(&places)))
}

fn line_at(content: &str, at: usize) -> usize {
    1 + content[..at].bytes().filter(|&byte| byte == b'\n').count()
}

fn on_lines(places: &[usize]) -> String {
    let named: Vec<_> = places.iter().take(PLACES_MAX).map(usize::to_string).collect();
    let more = if places.len() > PLACES_MAX { ", …" } else { "" };
    format!("on line{} {}{more}", if places.len() == 1 { "" } else { "s" }, named.join(", "))
}

/// Says that the text is not there, and where its first line stands if only
/// the spaces differ.
fn not_found(path: &str, content: &str, old_text: &str) -> String {
    let wanted = old_text.lines().map(str::trim).find(|line| !line.is_empty());
    let line = wanted.and_then(|wanted| content.lines().position(|line| line.trim() == wanted));
    match line {
        Some(line) => format!(
            "`old_text` does not occur in `{path}`; its first line is like line {}: \
             compare spaces and the lines after it",
            line + 1
        ),
        None => format!("`old_text` does not occur in `{path}`; read the file again"),
    }
}

#[cfg(test)]
mod tests {
    use crate::tools::fixture::Fixture;
    use serde_json::{Value, json};

    fn edit(old_text: &str, new_text: &str) -> Value {
        json!({"path": "a", "old_text": old_text, "new_text": new_text})
    }

    #[tokio::test]
    async fn the_only_occurrence_is_replaced() {
        let fixture = Fixture::new().file("a", "one\ntwo\nthree\n");
        assert_eq!(fixture.ok("edit_file", edit("two\nth", "2\nTh")).await, "changed `a` on line 2");
        assert_eq!(fixture.read("a"), "one\n2\nThree\n");
    }

    #[tokio::test]
    async fn several_occurrences_need_to_be_meant() {
        let fixture = Fixture::new().file("a", "x\ny\nx\n");
        assert_eq!(
            fixture.error("edit_file", edit("x", "z")).await,
            "`old_text` occurs 2 times in `a`, on lines 1, 3; add lines around it, or set `replace_all`"
        );
        let mut all = edit("x", "z");
        all["replace_all"] = json!(true);
        assert_eq!(fixture.ok("edit_file", all).await, "changed `a` on lines 1, 3");
        assert_eq!(fixture.read("a"), "z\ny\nz\n");
    }

    #[tokio::test]
    async fn a_text_that_is_not_there_is_looked_for_nearby() {
        let fixture = Fixture::new().file("a", "fn f() {\n    body();\n}\n");
        assert_eq!(
            fixture.error("edit_file", edit("\tbody();\n}", "")).await,
            "`old_text` does not occur in `a`; its first line is like line 2: compare spaces and the lines \
             after it"
        );
    }

    #[tokio::test]
    async fn line_ends_of_the_file_are_kept() {
        let fixture = Fixture::new().file("a", "one\r\ntwo\r\n");
        fixture.ok("edit_file", edit("one\ntwo", "1\n2")).await;
        assert_eq!(fixture.read("a"), "1\r\n2\r\n");
    }

    #[tokio::test]
    async fn what_cannot_be_edited_is_told() {
        let fixture = Fixture::new().bytes("a", b"\xff");
        assert_eq!(fixture.error("edit_file", edit("x", "y")).await, "`a` is not a UTF-8 text");
        assert_eq!(
            fixture.error("edit_file", edit("x", "x")).await,
            "`old_text` and `new_text` are the same"
        );
    }

    #[tokio::test]
    async fn edits_of_one_file_at_the_same_time_all_last() {
        let numbers = 0..20;
        let content: String = numbers.clone().map(|n| format!("old{n:02}\n")).collect();
        let fixture = Fixture::new().file("a", &content);
        let edits: Vec<_> = numbers.map(|n| edit(&format!("old{n:02}"), &format!("new{n:02}"))).collect();
        futures::future::join_all(edits.into_iter().map(|edit| fixture.ok("edit_file", edit))).await;
        assert_eq!(fixture.read("a"), content.replace("old", "new"));
    }
}
