//! Finds the words of all kinds in a text, in one pass.

use super::vote::is_unspaced_letter;
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The role of a word for a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// A verb of its instructions.
    Ask,
    /// A word found in its prompts.
    Phrase,
    /// A word that its prompts do not have.
    Against,
    /// An object with which an instruction is not of this kind.
    Except,
}

/// The search index with the words of all kinds.
#[derive(Clone)]
pub(super) struct Lexicon {
    automaton: AhoCorasick,
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    words: Arc<str>,
    /// Whether the last word may have an ending.
    open_end: bool,
    uses: Vec<(usize, Role)>,
}

/// An entry found in a text.
#[derive(Clone, Debug)]
pub(super) struct Hit<'a> {
    pub(super) words: &'a Arc<str>,
    pub(super) kind: usize,
    pub(super) role: Role,
    /// Byte offset of the first word.
    pub(super) at: usize,
    /// Byte offset of their end.
    pub(super) end: usize,
    /// Whether a clause begins with it, which makes a verb an instruction.
    pub(super) opens: bool,
    /// Whether a longer hit of the same role covers it.
    pub(super) covered: bool,
}

impl Lexicon {
    /// Builds the index from words with the number of their kind. Fails if there are more than the
    /// search automaton can hold.
    pub(super) fn new<'a>(
        words: impl Iterator<Item = (&'a String, usize, Role)>,
    ) -> Result<Self, String> {
        let mut by_words: BTreeMap<String, Vec<(usize, Role)>> = BTreeMap::new();
        for (words, kind, role) in words {
            by_words
                .entry(words.to_lowercase())
                .or_default()
                .push((kind, role));
        }
        let entries: Vec<Entry> = by_words
            .into_iter()
            .filter(|(words, _)| !words.trim_matches('*').is_empty())
            .map(|(words, uses)| Entry {
                open_end: words.ends_with('*'),
                words: words.trim_end_matches('*').into(),
                uses,
            })
            .collect();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(entries.iter().map(|entry| &*entry.words))
            .map_err(|error| error.to_string())?;
        Ok(Self { automaton, entries })
    }

    /// Finds the entries in `text`, which is in lower case, in the order of the text.
    pub(super) fn hits<'a>(&'a self, text: &str) -> Vec<Hit<'a>> {
        let mut found: Vec<(usize, usize, &Entry)> = self
            .automaton
            .find_overlapping_iter(text)
            .map(|found| {
                (
                    found.start(),
                    found.end(),
                    &self.entries[found.pattern().as_usize()],
                )
            })
            .filter(|&(start, end, entry)| is_whole(text, start, end, entry))
            .collect();
        found.sort_by_key(|&(start, end, _)| (start, usize::MAX - end));
        let mut hits = Vec::with_capacity(found.len());
        // For each role, the end of the longest hit so far.
        let mut reach = [0; 4];
        for (start, end, entry) in found {
            let opens = opens_clause(text, start);
            for &(kind, role) in &entry.uses {
                let covered = end < reach[role as usize];
                hits.push(Hit {
                    words: &entry.words,
                    kind,
                    role,
                    at: start,
                    end,
                    opens,
                    covered,
                });
            }
            for &(_, role) in &entry.uses {
                reach[role as usize] = reach[role as usize].max(end);
            }
        }
        hits
    }
}

/// Whether the hit is a whole word rather than a part of one.
fn is_whole(text: &str, start: usize, end: usize, entry: &Entry) -> bool {
    !is_joined(text, start) && (entry.open_end || !is_joined(text, end))
}

/// Whether a word continues across `at`. In scripts without spaces this is unknown, and counts as
/// no.
fn is_joined(text: &str, at: usize) -> bool {
    let is_word = |letter: Option<char>| {
        letter.is_some_and(|letter| {
            (letter.is_alphanumeric() || letter == '_') && !is_unspaced_letter(letter)
        })
    };
    is_word(text[..at].chars().next_back()) && is_word(text[at..].chars().next())
}

/// Words that may come between the beginning of a clause and its verb.
const BETWEEN: [&str; 34] = [
    "please",
    "now",
    "first",
    "next",
    "finally",
    "also",
    "just",
    "carefully",
    "quickly",
    "briefly",
    "thoroughly",
    "independently",
    "kindly",
    "only",
    "simply",
    "second",
    "third",
    "fully",
    "systematically",
    "properly",
    "again",
    "again,",
    "then",
    "bitte",
    "zuerst",
    "dann",
    "por favor",
    "favor",
    "d'abord",
    "ensuite",
    "luego",
    "primero",
    "пожалуйста",
    "сначала",
];

/// Words after which a clause begins.
const BEFORE: [&str; 38] = [
    "and",
    "then",
    "is to",
    "need to",
    "needs to",
    "want you to",
    "need you to",
    "like you to",
    "want to",
    "can you",
    "could you",
    "would you",
    "will you",
    "you should",
    "you must",
    "you will",
    "we should",
    "we must",
    "let's",
    "let us",
    "help me",
    "have to",
    "help us",
    "i'd like to",
    "und",
    "kannst du",
    "et",
    "puis",
    "peux-tu",
    "y",
    "e",
    "puedes",
    "pode",
    "и",
    "потом",
    "затем",
    "or",
    "step is to",
];

/// Whether a clause begins at `at`, but for words such as *please*. In scripts without spaces every
/// place counts, because clauses are not marked and verbs are often at the end.
fn opens_clause(text: &str, at: usize) -> bool {
    if text[at..].chars().next().is_some_and(is_unspaced_letter) {
        return true;
    }
    let mut before = text[..at].trim_end_matches([' ', '\t', '`', '"', '\'', '*', '#', '>']);
    // Skips at most a few words between the beginning and the verb.
    for _ in 0..4 {
        let Some(last) = before.chars().next_back() else {
            return true;
        };
        if matches!(
            last,
            '.' | '!'
                | '?'
                | ':'
                | ';'
                | ','
                | '\n'
                | '-'
                | '–'
                | '—'
                | ')'
                | ']'
                | '•'
                | '。'
                | '，'
                | '：'
                | '¿'
                | '¡'
                | '>'
        ) {
            return true;
        }
        if BEFORE.iter().any(|words| ends_with_words(before, words)) {
            return true;
        }
        match BETWEEN.iter().find(|words| ends_with_words(before, words)) {
            Some(words) => {
                before =
                    before[..before.len() - words.len()].trim_end_matches([' ', '\t', '*', '#']);
            }
            None => return false,
        }
    }
    false
}

fn ends_with_words(text: &str, words: &str) -> bool {
    let Some(start) = text.len().checked_sub(words.len()) else {
        return false;
    };
    text.is_char_boundary(start)
        && text.as_bytes()[start..].eq_ignore_ascii_case(words.as_bytes())
        && (start == 0 || !is_joined(text, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(text: &str) -> Vec<String> {
        let words = ["find", "find bugs", "refactor*", "the test"].map(str::to_owned);
        let lexicon = Lexicon::new(words.iter().map(|words| (words, 0, Role::Ask))).unwrap();
        let shown = |hit: Hit<'_>| {
            let sign = match (hit.opens, hit.covered) {
                (true, false) => "!",
                (true, true) => "(!)",
                (false, _) => "",
            };
            format!("{}{sign}@{}", hit.words, hit.at)
        };
        lexicon
            .hits(&text.to_lowercase())
            .into_iter()
            .map(shown)
            .collect()
    }

    #[test]
    fn words_are_found_whole_and_orders_are_told_from_mentions() {
        assert_eq!(
            hits("Find bugs. Refactoring it"),
            ["find bugs!@0", "find(!)@0", "refactor!@11"]
        );
        assert_eq!(hits("we find finds pre_find the tests"), ["find@3"]);
        assert_eq!(
            hits("You are a scout. Your task is to find it"),
            ["find!@33"]
        );
        assert_eq!(
            hits("- Please first find it and then refactor"),
            ["find!@15", "refactor!@32"]
        );
        assert_eq!(hits("Ünïcode: find, ändfind"), ["find!@11"]);
    }
}
