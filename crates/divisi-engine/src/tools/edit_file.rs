//! The tool that changes a part of a file.

use super::path::{Root, reason};
use super::watch::Watch;
use super::write_file::turn_to_write;
use super::{Answer, ToolDefinition, file, input};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

pub(super) const NAME: &str = "edit_file";

/// Places named when a text is not unique.
const PLACES_MAX: usize = 10;

pub(super) fn definition() -> ToolDefinition {
    ToolDefinition {
        name: NAME,
        description:
            "Replace a text in a file of the workspace. The old text must be exactly as in the \
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

pub(super) fn run(root: &Root, input: Value, watch: &Watch) -> Answer {
    let Input {
        path,
        old_text,
        new_text,
        replace_all,
    } = input::read(input)?;
    let (old_text, new_text) = (plain(&old_text), plain(&new_text));
    if old_text == new_text {
        return Err("`old_text` and `new_text` are the same".to_owned());
    }
    if old_text.is_empty() {
        return Err("`old_text` has nothing to look for".to_owned());
    }
    let _turn = turn_to_write();
    let place = root.locate_writable(&path)?;
    let bytes = file::read(root, &path, &place, watch)?;
    let content = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("`{path}` is not a UTF-8 text: byte {at} is none, so the file stays as it is")
    })?;
    let text = Text::of(&content);
    let places: Vec<usize> = text
        .plain
        .match_indices(&*old_text)
        .map(|(at, _)| at)
        .collect();
    let lines = lines_at(&text.plain, &places);
    match lines.as_slice() {
        [] => return Err(not_found(&path, &text.plain, &old_text)),
        [_] => {}
        _ if replace_all => {}
        _ => {
            return Err(format!(
                "`old_text` occurs {} times in `{path}`, {}; add lines around it, or set `replace_all`",
                lines.len(),
                on_lines(&lines)
            ));
        }
    }
    watch.look()?;
    let edited = text.replace(&places, old_text.len(), &new_text)?;
    root.write_file(&place, edited.as_bytes())
        .map_err(|error| format!("`{path}` cannot be written: {}", reason(&error)))?;
    Ok(format!(
        "changed `{}` {}",
        place.display(),
        on_lines(&lines)
    ))
}

/// Models see neither the kind of line ends of a file nor a byte order mark.
fn plain(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    match text.contains("\r\n") {
        true => text.replace("\r\n", "\n").into(),
        false => text.into(),
    }
}

const BOM: char = '\u{feff}';

/// A text without byte order mark and with LF line ends, which can be mapped back.
struct Text<'c> {
    content: &'c str,
    plain: Cow<'c, str>,
    /// Offsets in `plain` of line ends that are CR LF, ascending.
    long_ends: Vec<usize>,
    /// Bytes of the byte order mark.
    mark: usize,
}

impl<'c> Text<'c> {
    fn of(content: &'c str) -> Self {
        let plain = plain(content);
        let mark = content.len() - content.trim_start_matches(BOM).len();
        let mark = mark.min(BOM.len_utf8());
        let long = content[mark..].match_indices("\r\n").enumerate();
        let long_ends = long.map(|(before, (at, _))| at - before).collect();
        Self {
            content,
            plain,
            long_ends,
            mark,
        }
    }

    /// The content with `new` at each of `places`, replacing `length` bytes. Its line ends are like
    /// those it replaces, or else like the next one.
    fn replace(&self, places: &[usize], length: usize, new: &str) -> Result<String, String> {
        let ends = new.bytes().filter(|&byte| byte == b'\n').count();
        let most = self
            .content
            .len()
            .saturating_add(places.len().saturating_mul(new.len() + ends));
        let most = most.saturating_sub(places.len() * length);
        if most as u64 > file::FILE_BYTES_MAX {
            return Err(format!(
                "the file would be larger than {} bytes; write less to it",
                file::FILE_BYTES_MAX
            ));
        }
        let long = new.replace('\n', "\r\n");
        let mut edited = String::with_capacity(most);
        let mut kept_to = 0;
        for &place in places {
            edited.push_str(&self.content[kept_to..self.at(place)]);
            edited.push_str(if self.is_long(place) { &long } else { new });
            kept_to = self.at(place + length);
        }
        edited.push_str(&self.content[kept_to..]);
        Ok(edited)
    }

    /// Converts an offset in the plain text to one in the content.
    fn at(&self, place: usize) -> usize {
        self.mark + place + self.long_ends.partition_point(|&end| end < place)
    }

    /// Whether the first line end from `place` on is CR LF; the last one if there is none after it.
    fn is_long(&self, place: usize) -> bool {
        let next = self.plain[place..].find('\n').map(|end| place + end);
        match next.or_else(|| self.plain.rfind('\n')) {
            Some(end) => self.long_ends.binary_search(&end).is_ok(),
            None => false,
        }
    }
}

/// The line numbers of these offsets, which are ascending.
fn lines_at(content: &str, places: &[usize]) -> Vec<usize> {
    let (mut line, mut counted_to) = (1, 0);
    let number = |&place: &usize| {
        line += content[counted_to..place]
            .bytes()
            .filter(|&byte| byte == b'\n')
            .count();
        counted_to = place;
        line
    };
    places.iter().map(number).collect()
}

fn on_lines(lines: &[usize]) -> String {
    let named: Vec<_> = lines
        .iter()
        .take(PLACES_MAX)
        .map(usize::to_string)
        .collect();
    let more = if lines.len() > PLACES_MAX {
        ", …"
    } else {
        ""
    };
    format!(
        "on line{} {}{more}",
        if lines.len() == 1 { "" } else { "s" },
        named.join(", ")
    )
}

/// The error for a text that does not occur, with the line of a match that differs only in spaces.
fn not_found(path: &str, content: &str, old_text: &str) -> String {
    let wanted = old_text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty());
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
        assert_eq!(
            fixture.ok("edit_file", edit("two\nth", "2\nTh")).await,
            "changed `a` on line 2"
        );
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
        assert_eq!(
            fixture.ok("edit_file", all).await,
            "changed `a` on lines 1, 3"
        );
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
    async fn line_ends_and_the_mark_of_the_file_are_kept() {
        for (before, old, new, after) in [
            ("one\r\ntwo\r\n", "one\ntwo", "1\n2", "1\r\n2\r\n"),
            ("one\r\ntwo\r\n", "two", "2\n3", "one\r\n2\r\n3\r\n"),
            ("one\r\ntwo", "two", "2\n3", "one\r\n2\r\n3"),
            ("one\r\ntwo\r\n", "one\r\ntwo", "1\r\n2", "1\r\n2\r\n"),
            ("one\ntwo\n", "one\r\ntwo", "1\r\n2", "1\n2\n"),
            ("a\r\nb\nc\r\nd\n", "b\nc", "B\nC", "a\r\nB\nC\r\nd\n"),
            ("a\r\nb\nc\r\nd\n", "a\nb\nc", "A\nB", "A\r\nB\r\nd\n"),
            ("a\rb\n", "b", "c", "a\rc\n"),
            (
                "\u{feff}one\r\ntwo\r\n",
                "one\n",
                "1\n",
                "\u{feff}1\r\ntwo\r\n",
            ),
            ("\u{feff}one\n", "\u{feff}one", "\u{feff}1", "\u{feff}1\n"),
        ] {
            let fixture = Fixture::new().file("a", before);
            fixture.ok("edit_file", edit(old, new)).await;
            assert_eq!(fixture.read("a"), after, "{before:?}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_edited_is_told() {
        let fixture = Fixture::new().bytes("a", b"ab\xff");
        assert_eq!(
            fixture.error("edit_file", edit("x", "y")).await,
            "`a` is not a UTF-8 text: byte 2 is none, so the file stays as it is"
        );
        assert_eq!(
            fixture.error("edit_file", edit("x", "x")).await,
            "`old_text` and `new_text` are the same"
        );
        assert_eq!(
            fixture.error("edit_file", edit("\u{feff}", "x")).await,
            "`old_text` has nothing to look for"
        );
    }

    #[tokio::test]
    async fn a_million_matches_are_counted_in_one_pass() {
        let fixture = Fixture::new().file("a", &"a\n".repeat(1 << 20));
        let error = fixture.error("edit_file", edit("a", "x")).await;
        assert!(
            error.starts_with("`old_text` occurs 1048576 times in `a`, on lines 1, 2, 3,"),
            "{error}"
        );
        let mut all = edit("a", &"long".repeat(1_000));
        all["replace_all"] = json!(true);
        let error = fixture.error("edit_file", all).await;
        assert_eq!(
            error,
            "the file would be larger than 16777216 bytes; write less to it"
        );
    }

    #[tokio::test]
    async fn every_line_end_of_a_large_file_is_kept() {
        let fixture = Fixture::new().file("a", &"a\r\n".repeat(1 << 19));
        let mut all = edit("a\n", "b\n");
        all["replace_all"] = json!(true);
        fixture.ok("edit_file", all).await;
        assert_eq!(fixture.read("a"), "b\r\n".repeat(1 << 19));
    }

    #[tokio::test]
    async fn edits_of_one_file_at_the_same_time_all_last() {
        let numbers = 0..20;
        let content: String = numbers.clone().map(|n| format!("old{n:02}\n")).collect();
        let fixture = Fixture::new().file("a", &content);
        let edits: Vec<_> = numbers
            .map(|n| edit(&format!("old{n:02}"), &format!("new{n:02}")))
            .collect();
        futures::future::join_all(edits.into_iter().map(|edit| fixture.ok("edit_file", edit)))
            .await;
        assert_eq!(fixture.read("a"), content.replace("old", "new"));
    }
}
