//! How placeholders differ from the usual ones, so that they pass or fail the tests of a script.
//!
//! A script may refuse placeholders that any real result would pass: a path has to lie in a folder,
//! a name has to be one of a list, an id one of the prompt. And only one answer of a verdict leads
//! to some of its tasks.

use super::mark;
use divisi_providers::sample::matching;
use divisi_script::TextTest;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The property of a result without a schema.
pub(super) const WHOLE: &str = "result of this task";

/// Longest text of a script that a placeholder repeats.
const CHARS_MAX: usize = 120;

/// Marks in a long text: enough characters for scripts that refuse short ones.
const LONG_MARKS: usize = 40;

/// Differences from the usual placeholders.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mood {
    /// What texts have to be like, by the repeated request and the name of the property.
    pub(super) texts: BTreeMap<(Arc<str>, String), Wanted>,
    /// Which of several equally good texts comes first.
    pub(super) first: usize,
    /// Whether properties have the values that the prompt gives them.
    pub(super) echoes: bool,
    /// Lengths of lists, by the repeated request.
    pub(super) widths: BTreeMap<Arc<str>, usize>,
    /// Whether texts are long.
    pub(super) is_long: bool,
    /// Results that say the opposite, by the repeated request.
    pub(super) turns: BTreeMap<Arc<str>, Turn>,
}

/// How a result differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Booleans have the other value.
    Otherwise,
    /// Choices are as much further down their list.
    Choice(usize),
    /// Numbers are the lowest.
    Low,
    /// Lists are empty.
    Empty,
    /// There is no result.
    Fails,
}

/// What a text has to be like to pass the tests of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    starts: BTreeSet<String>,
    contains: BTreeSet<String>,
    ends: BTreeSet<String>,
    exactly: Vec<String>,
}

impl Mood {
    pub(super) fn turn(&self, same: &str) -> Option<Turn> {
        self.turns.get(same).copied()
    }

    /// The text number `number`, from 0, of the property `name`, made from its mark.
    pub(super) fn text(&self, same: &Arc<str>, name: &str, number: usize, mark: &str) -> String {
        let long = self.is_long.then(|| mark::repeated(mark, LONG_MARKS));
        let mark = long.as_deref().unwrap_or(mark);
        match self.texts.get(&(same.clone(), name.to_owned())) {
            Some(wanted) => wanted.text(number + self.first, mark),
            None => mark.to_owned(),
        }
    }
}

impl Wanted {
    /// Adds a test that it has to pass.
    pub(super) fn add(&mut self, test: &TextTest) {
        let short = |text: &String| text.chars().count() <= CHARS_MAX && !text.is_empty();
        match test {
            TextTest::Starts(text) => self.starts.extend(Some(text.clone()).filter(short)),
            TextTest::Ends(text) => self.ends.extend(Some(text.clone()).filter(short)),
            TextTest::Contains(text) => self.contains.extend(Some(text.clone()).filter(short)),
            TextTest::Matches(pattern) => self.matching(pattern),
            TextTest::Among(texts) => {
                for text in texts.iter().filter(|text| short(text)) {
                    if !self.exactly.contains(text) {
                        self.exactly.push(text.clone());
                    }
                }
            }
        }
    }

    fn matching(&mut self, pattern: &str) {
        let Some(text) = matching(pattern, 1).filter(|text| text.chars().count() <= CHARS_MAX)
        else {
            return;
        };
        match (pattern.starts_with('^'), pattern.ends_with('$')) {
            (true, true) => self.exactly.push(text),
            (true, false) => drop(self.starts.insert(text)),
            (false, true) => drop(self.ends.insert(text)),
            (false, false) => drop(self.contains.insert(text)),
        }
    }

    fn text(&self, number: usize, mark: &str) -> String {
        let nth = |texts: &BTreeSet<String>| texts.iter().nth(number % texts.len().max(1)).cloned();
        if let Some(text) = self.exactly.get(number % self.exactly.len().max(1)) {
            return text.clone();
        }
        let between = nth(&self.contains).map(|text| format!(" {text} "));
        [
            nth(&self.starts),
            Some(mark.to_owned()),
            between,
            nth(&self.ends),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The values that a prompt gives the property `name`, in JSON or as `name: value`, in order.
pub(super) fn echoed(prompt: &str, name: &str) -> Vec<String> {
    let mut values: Vec<String> = vec![];
    let quoted = format!("\"{name}\":");
    for (at, key) in prompt.match_indices(&quoted) {
        let rest = prompt[at + key.len()..].trim_start();
        let Some(inner) = rest.strip_prefix('"') else {
            continue;
        };
        let value = inner.split('"').next().unwrap_or_default();
        let is_new = !values.iter().any(|known| known == value);
        if is_new && !value.is_empty() && value.chars().count() <= CHARS_MAX {
            values.push(value.to_owned());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tests: &[TextTest], number: usize) -> String {
        let mut wanted = Wanted::default();
        tests.iter().for_each(|test| wanted.add(test));
        wanted.text(number, "⟦t0·x·1⟧")
    }

    #[test]
    fn texts_pass_the_tests_of_a_script() {
        let (starts, ends) = (
            TextTest::Starts("docs/".to_owned()),
            TextTest::Ends(".md".to_owned()),
        );
        assert_eq!(text(&[starts, ends], 0), "docs/⟦t0·x·1⟧.md");
        let among = TextTest::Among(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(
            (text(std::slice::from_ref(&among), 0), text(&[among], 3)),
            ("a".to_owned(), "b".to_owned())
        );
        let matches = |pattern: &str| text(&[TextTest::Matches(pattern.to_owned())], 0);
        assert_eq!(matches("^v\\d+$"), "v0");
        assert_eq!(matches("^#\\d"), "#0⟦t0·x·1⟧");
        assert_eq!(matches("(?<!a)b"), "⟦t0·x·1⟧");
    }

    #[test]
    fn a_prompt_gives_ids() {
        let prompt = "Judge [{\"id\":\"F1\",\"n\":1},{\"id\": \"F2\"},{\"id\":\"F1\"}]";
        assert_eq!(echoed(prompt, "id"), ["F1", "F2"]);
        assert_eq!(echoed(prompt, "n"), [""; 0]);
    }
}
