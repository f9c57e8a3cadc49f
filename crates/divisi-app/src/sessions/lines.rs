//! Finds the session files, and reads their lines within limits.

use super::{Program, SESSIONS_MAX};
use crate::Problem;
use divisi_core::Timestamp;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Longest line that is read: it may hold an image.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Deepest folder below that of the sessions.
const DEPTH_MAX: usize = 6;

/// Most entries of folders that are looked at.
const ENTRIES_MAX: usize = 1_000_000;

/// The session files that were written at `since` or later, the latest of them if there are too
/// many, and the number of the others.
pub(super) fn sessions(
    program: Program,
    folder: &Path,
    since: Timestamp,
) -> Result<(Vec<PathBuf>, usize), Problem> {
    if !folder.is_dir() {
        let problem = format!(
            "there are no sessions of {}: {} is no folder",
            program.as_str(),
            folder.display()
        );
        return Err(Problem::usage(problem));
    }
    let since = UNIX_EPOCH + Duration::from_millis(since.0);
    let is_session = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let of_program = |name: &str| match program {
            Program::Claude => !name.starts_with("agent-"),
            Program::Codex => name.starts_with("rollout-"),
        };
        // The files of a session's agents lie below a folder of its id.
        let is_below = path
            .components()
            .any(|part| part.as_os_str() == "subagents");
        !is_below && name.is_some_and(|name| name.ends_with(".jsonl") && of_program(name))
    };
    let mut found: Vec<_> = files(folder)
        .into_iter()
        .filter(|path| is_session(path))
        .filter_map(|path| Some((std::fs::metadata(&path).ok()?.modified().ok()?, path)))
        .filter(|(written, _)| *written >= since)
        .collect();
    found.sort();
    let left_out = found.len().saturating_sub(SESSIONS_MAX);
    let latest = found.into_iter().skip(left_out);
    Ok((latest.map(|(_, path)| path).collect(), left_out))
}

/// All files below a folder, sorted. Links are not followed.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut seen) = (vec![], 0);
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            seen += 1;
            if seen > ENTRIES_MAX {
                break;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                Ok(kind) if kind.is_dir() && depth < DEPTH_MAX => {
                    folders.push((entry.path(), depth + 1));
                }
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Gives each line that is a JSON object to `take`; returns the number of the others. A last line
/// that is still being written is not counted.
pub(super) fn each(path: &Path, mut take: impl FnMut(Value)) -> std::io::Result<u64> {
    let mut lines = BufReader::new(File::open(path)?.take(FILE_BYTES_MAX));
    let mut passed_over = 0;
    let mut line = vec![];
    loop {
        line.clear();
        let read = lines
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(passed_over);
        }
        match serde_json::from_slice(&line) {
            Ok(value @ Value::Object(_)) => take(value),
            _ if !line.ends_with(b"\n") && read < LINE_BYTES_MAX as usize => {}
            _ if line.iter().all(u8::is_ascii_whitespace) => {}
            _ => passed_over += 1,
        }
    }
}

/// The first text in a field of this name, in the beginning of a file.
pub(super) fn first_text(path: &Path, name: &str) -> Option<String> {
    const BYTES_MAX: u64 = 1 << 20;
    let beginning = BufReader::new(File::open(path).ok()?.take(BYTES_MAX));
    beginning.lines().map_while(Result::ok).find_map(|line| {
        let line: Value = serde_json::from_str(&line).ok()?;
        text(&line, name).map(str::to_owned)
    })
}

/// The text of a field.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// The moment that a line states.
pub(super) fn moment(line: &Value) -> Option<Timestamp> {
    let stated: jiff::Timestamp = text(line, "timestamp")?.parse().ok()?;
    Some(Timestamp(u64::try_from(stated.as_millisecond()).ok()?))
}

/// A name for display: the first line of a text, cut.
pub(super) fn first_line(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let line = text.lines().find(|line| !line.trim().is_empty());
    line.unwrap_or_default()
        .trim()
        .chars()
        .take(CHARS_MAX)
        .collect()
}
