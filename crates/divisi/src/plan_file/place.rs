//! Where in the text of a plan file something stands.

use divisi_core::plan::PlanError;
use std::ops::Range;

/// The bytes that an error is about; `None` where it is about the whole.
pub(super) fn of(text: &str, error: &PlanError) -> Option<Range<usize>> {
    let ids = ids(text);
    let nth =
        |id: &str, n: usize| ids.iter().filter(|(value, _)| *value == id).nth(n).map(|(_, at)| at.clone());
    match error {
        PlanError::Malformed { .. } | PlanError::Empty | PlanError::TooLong { .. } => None,
        PlanError::BadId { place, .. } => ids.get(*place).map(|(_, at)| at.clone()),
        PlanError::SameId { id } => nth(id, 1),
        PlanError::EmptyPrompt { task } => nth(task, 0),
        PlanError::UnknownNeed { task, need, .. } => {
            let at = nth(task, 0)?;
            let end = ids
                .iter()
                .map(|(_, other)| other.start)
                .find(|start| *start > at.start)
                .unwrap_or(text.len());
            // Or else in front of the id, where fields stand in another order.
            word(text, need, at.end..end).or_else(|| word(text, need, 0..text.len())).or(Some(at))
        }
        PlanError::NeedsItself { task } => nth(task, 0),
        PlanError::Cycle(path) => nth(path.first()?, 0),
    }
}

/// The word that stands at a line and column, both from 1, or before them.
pub(super) fn word_at(text: &str, line: usize, column: usize) -> Range<usize> {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let length = text[start..].lines().next().unwrap_or_default().len();
    let mut at = start + column.saturating_sub(1).min(length);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    // A parser stops at the quote behind a word.
    let before = text[start..at].trim_end_matches('"').len() + start;
    let from = text[start..before].rfind(|c| !is_part(c)).map_or(start, |found| {
        start + found + text[start + found..].chars().next().map_or(1, char::len_utf8)
    });
    let to = text[before..].find(|c| !is_part(c)).map_or(text.len(), |found| before + found);
    if from < to { from..to } else { at..at }
}

/// A message without the place that parsers put at its end.
pub(super) fn without_place(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}

/// What the tasks are called, as it is written: `id: a`, `"id": "a"`.
fn ids(text: &str) -> Vec<(&str, Range<usize>)> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let value = |at: usize| {
        if text[..at].chars().next_back().is_some_and(is_part) {
            return None;
        }
        let rest =
            text[at + 2..].trim_start_matches('"').trim_start().strip_prefix(':')?.trim_start_matches(' ');
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let rest = if quote.is_some() { &rest[1..] } else { rest };
        let end =
            rest.find(|c| quote.map_or(matches!(c, ',' | '}' | '\n' | '\r' | '#'), |quote| c == quote))?;
        let value = rest[..end].trim_end();
        let start = text.len() - rest.len();
        Some((value, start..start + value.len()))
    };
    text.match_indices("id").filter_map(|(at, _)| value(at)).collect()
}

/// The first `word` in a part of the text that is no piece of a longer one.
fn word(text: &str, word: &str, part: Range<usize>) -> Option<Range<usize>> {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    let within = text.get(part.clone())?;
    let at = within.match_indices(word).map(|(at, _)| part.start + at).find(|at| {
        !is_part(text[..*at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next())
    })?;
    Some(at..at + word.len())
}
