//! The tool that shows a file.

use super::path::Root;
use super::watch::Watch;
use super::{Answer, ToolDefinition, ToolLimits, file, input};
use divisi_providers::redact;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const NAME: &str = "read_file";

/// Bytes shown of one line: minified files have lines of megabytes.
const LINE_BYTES_MAX: usize = 2_000;

/// If these first bytes contain a zero byte, the file is not text, as git decides it.
const SNIFF_BYTES: usize = 8_000;

/// Bytes of the answer reserved for the line about continuing.
const FOOTER_BYTES: usize = 200;

pub(super) fn definition() -> ToolDefinition {
    ToolDefinition {
        name: NAME,
        description:
            "Read a text file of the workspace. Each line is shown after its number and a tab, \
                      which are not part of the file. Long files are shown in parts."
                .into(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "path": { "type": "string", "minLength": 1, "description": "The file." },
                "offset": {
                    "type": "integer", "minimum": 1,
                    "description": "The number of the first line to show. The first line of the file if absent."
                },
                "limit": { "type": "integer", "minimum": 1, "description": "How many lines to show. As many as possible if absent." }
            },
            "required": ["path"],
            "additionalProperties": false
        }),
    }
}

#[derive(Deserialize)]
struct Input {
    path: String,
    offset: Option<usize>,
    limit: Option<usize>,
}

pub(super) fn run(root: &Root, limits: &ToolLimits, input: Value, watch: &Watch) -> Answer {
    let Input {
        path,
        offset,
        limit,
    } = input::read(input)?;
    let bytes = file::read(root, &path, &root.locate(&path)?, watch)?;
    if bytes.iter().take(SNIFF_BYTES).any(|&byte| byte == 0) {
        return Err(format!(
            "`{path}` is a binary file of {} bytes",
            bytes.len()
        ));
    }
    // The byte order mark is not part of the first line.
    let text = String::from_utf8_lossy(bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes));
    let is_no_text = matches!(text, std::borrow::Cow::Owned(_));
    let content = redact(&text);
    let count = content.lines().count();
    let first = offset.unwrap_or(1);
    if count == 0 {
        return Ok("the file is empty".to_owned());
    }
    if first > count {
        return Err(format!("`{path}` has only {count} lines"));
    }

    let mut text = String::new();
    if is_no_text {
        text.push_str("(not valid UTF-8: `\u{fffd}` stands for bytes that are no text)\n");
    }
    let mut next = first;
    let lines = content
        .lines()
        .skip(first - 1)
        .take(limit.unwrap_or(usize::MAX).min(limits.lines_max));
    for line in lines {
        let line = numbered(next, line);
        // The first line is always shown, because otherwise reading could not advance.
        if next > first && text.len() + line.len() + FOOTER_BYTES > limits.output_bytes_max {
            break;
        }
        text.push_str(&line);
        next += 1;
    }
    match next <= count {
        true => text.push_str(&format!(
            "… {} more lines; go on with offset {next}",
            count + 1 - next
        )),
        false => text.truncate(text.trim_end_matches('\n').len()),
    }
    Ok(text)
}

fn numbered(number: usize, line: &str) -> String {
    match line.len() > LINE_BYTES_MAX {
        true => {
            let (shown, rest) = line.split_at(line.floor_char_boundary(LINE_BYTES_MAX));
            format!(
                "{number}\t{shown}… {} more bytes in this line\n",
                rest.len()
            )
        }
        false => format!("{number}\t{line}\n"),
    }
}

#[cfg(test)]
mod tests {
    use crate::tools::fixture::Fixture;
    use serde_json::json;

    #[tokio::test]
    async fn lines_are_numbered() {
        let fixture = Fixture::new().file("a", "one\n\nthree");
        assert_eq!(
            fixture.ok("read_file", json!({"path": "a"})).await,
            "1\tone\n2\t\n3\tthree"
        );
    }

    #[tokio::test]
    async fn a_part_says_how_to_go_on() {
        let fixture = Fixture::new().file("a", "one\ntwo\nthree\nfour\n");
        assert_eq!(
            fixture
                .ok("read_file", json!({"path": "a", "offset": 2, "limit": 2}))
                .await,
            "2\ttwo\n3\tthree\n… 1 more lines; go on with offset 4"
        );
        assert_eq!(
            fixture
                .ok("read_file", json!({"path": "a", "offset": 4}))
                .await,
            "4\tfour"
        );
        assert_eq!(
            fixture
                .error("read_file", json!({"path": "a", "offset": 5}))
                .await,
            "`a` has only 4 lines"
        );
    }

    #[tokio::test]
    async fn what_does_not_fit_an_answer_comes_in_parts() {
        let fixture = Fixture::new()
            .file("a", &"0123456789\n".repeat(100))
            .output_bytes_max(250);
        assert_eq!(
            fixture.ok("read_file", json!({"path": "a"})).await,
            "1\t0123456789\n2\t0123456789\n3\t0123456789\n… 97 more lines; go on with offset 4"
        );
    }

    #[tokio::test]
    async fn a_mark_at_the_beginning_is_not_shown() {
        let fixture = Fixture::new()
            .file("a", "\u{feff}one\r\ntwo\r\n")
            .file("empty", "\u{feff}");
        assert_eq!(
            fixture.ok("read_file", json!({"path": "a"})).await,
            "1\tone\n2\ttwo"
        );
        assert_eq!(
            fixture.ok("read_file", json!({"path": "empty"})).await,
            "the file is empty"
        );
    }

    #[tokio::test]
    async fn long_lines_are_cut() {
        let fixture = Fixture::new().file("a", &"ä".repeat(1_001));
        let text = fixture.ok("read_file", json!({"path": "a"})).await;
        assert_eq!(
            text,
            format!("1\t{}… 2 more bytes in this line", "ä".repeat(1_000))
        );
    }

    #[tokio::test]
    async fn what_is_no_text_is_told() {
        let fixture = Fixture::new()
            .bytes("latin", b"caf\xe9\n")
            .bytes("image", b"\x89PNG\0\0")
            .file("empty", "");
        assert_eq!(
            fixture.ok("read_file", json!({"path": "latin"})).await,
            "(not valid UTF-8: `\u{fffd}` stands for bytes that are no text)\n1\tcaf\u{fffd}"
        );
        assert_eq!(
            fixture.error("read_file", json!({"path": "image"})).await,
            "`image` is a binary file of 6 bytes"
        );
        assert_eq!(
            fixture.ok("read_file", json!({"path": "empty"})).await,
            "the file is empty"
        );
    }

    #[tokio::test]
    async fn what_is_not_there_gets_a_proposal() {
        let fixture = Fixture::new()
            .file("src/engine/run.rs", "")
            .file("src/runner.rs", "")
            .file("docs/x", "");
        let error = async |path: &str| fixture.error("read_file", json!({"path": path})).await;
        assert_eq!(
            error("src/run.rs").await,
            "`src/run.rs` does not exist; did you mean `src/engine/run.rs` or `src/runner.rs`?"
        );
        assert_eq!(error("zzz").await, "`zzz` does not exist");
        assert_eq!(
            error("src").await,
            "`src` is a folder; list_files shows what is in it"
        );
    }

    #[tokio::test]
    async fn what_is_outside_is_not_read() {
        let fixture = Fixture::new()
            .link("/etc/passwd", "link")
            .link("/etc", "folder");
        for path in ["/etc/passwd", "../../etc/passwd", "link", "folder/passwd"] {
            let error = fixture.error("read_file", json!({"path": path})).await;
            assert!(error.contains("outside the workspace"), "{path}: {error}");
        }
    }
}
