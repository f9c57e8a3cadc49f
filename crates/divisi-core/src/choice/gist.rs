//! Splits a prompt into sentences, and distinguishes instructions from the text around them.
//!
//! Pasted code, logs and data are left out. Everything is in lower case, so that words can be
//! compared byte by byte, including those with accents.

use super::{HEAD_BYTES_MAX, TAIL_BYTES_MAX};
use std::ops::Range;

/// Most bytes of a heading that is recognised by the colon at its end.
const HEADING_BYTES_MAX: usize = 40;

/// The function of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It may contain an instruction.
    Plain,
    /// The role of the agent.
    Role,
    /// Something to read before the work begins.
    Prelude,
    /// Applies in some cases only: "create the folder if needed".
    Condition,
    /// A prohibition.
    Ban,
    /// A title.
    Heading,
}

/// A sentence of the prompt.
#[derive(Clone, Debug)]
pub(super) struct Sentence {
    pub(super) at: Range<usize>,
    pub(super) part: Part,
}

/// A prompt prepared for weighing.
#[derive(Clone, Debug)]
pub(super) struct Gist {
    pub(super) text: String,
    pub(super) sentences: Vec<Sentence>,
}

impl Gist {
    /// Takes the beginning and the end of a prompt, where instructions usually are.
    pub(super) fn of(prompt: &str) -> Self {
        let (head, tail) = edges(prompt);
        let mut text = String::with_capacity(head.len() + tail.len() + 2);
        add_prose(head, &mut text);
        if !tail.is_empty() {
            text.push('\n');
            add_prose(tail, &mut text);
        }
        let sentences = sentences(&text);
        let mut gist = Self { text, sentences };
        gist.tell_preludes();
        gist
    }

    /// The sentences with their texts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Part, &str)> {
        self.sentences
            .iter()
            .map(|sentence| (sentence.part, &self.text[sentence.at.clone()]))
    }

    /// The number of the sentence at this byte.
    pub(super) fn sentence_at(&self, at: usize) -> usize {
        self.sentences
            .partition_point(|sentence| sentence.at.end <= at)
    }

    /// The function of the sentence with this number.
    pub(super) fn part(&self, sentence: usize) -> Part {
        self.sentences
            .get(sentence)
            .map_or(Part::Plain, |sentence| sentence.part)
    }

    /// The function of the sentence at this byte.
    pub(super) fn part_at(&self, at: usize) -> Part {
        self.part(self.sentence_at(at))
    }

    /// A prelude counts as one only if there is a plain sentence; otherwise it is the instruction
    /// itself.
    fn tell_preludes(&mut self) {
        let plain = self.sentences.iter().filter(|s| s.part == Part::Plain);
        if plain.count() > 0 {
            return;
        }
        for sentence in &mut self.sentences {
            if sentence.part == Part::Prelude {
                sentence.part = Part::Plain;
            }
        }
    }
}

/// The parts of a text that are searched: its beginning and its end.
pub(super) fn edges(text: &str) -> (&str, &str) {
    let head = text.floor_char_boundary(HEAD_BYTES_MAX);
    let tail = text
        .ceil_char_boundary(text.len().saturating_sub(TAIL_BYTES_MAX))
        .max(head);
    (&text[..head], &text[tail..])
}

/// Appends the prose of a text, in lower case.
fn add_prose(text: &str, prose: &mut String) {
    let mut in_fence = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") || line.starts_with("~~~") {
            in_fence = !in_fence;
            continue;
        }
        if in_fence || is_code(line) {
            continue;
        }
        prose.extend(line.chars().flat_map(char::to_lowercase));
        prose.push('\n');
    }
}

/// Whether a line is code, a log or data rather than prose.
fn is_code(line: &str) -> bool {
    let signs = line
        .bytes()
        .filter(|b| b"{}[]();=<>|\\$&^~".contains(b))
        .count();
    let is_dated = line.len() > 19
        && line.as_bytes()[..4].iter().all(u8::is_ascii_digit)
        && line.as_bytes()[4] == b'-';
    let is_traced = ["at ", "File \"", "Traceback "]
        .iter()
        .any(|start| line.starts_with(start))
        && (line.contains('(') || line.contains("line "));
    is_dated || is_traced || (line.len() > 8 && signs * 8 > line.len())
}

fn sentences(text: &str) -> Vec<Sentence> {
    let mut sentences = vec![];
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        for at in cut(text, start..end) {
            let part = part(&text[at.clone()]);
            sentences.push(Sentence { at, part });
        }
        start = end;
    }
    sentences
}

/// Cuts a line where sentences end.
fn cut(text: &str, line: Range<usize>) -> Vec<Range<usize>> {
    let mut pieces = vec![];
    let mut start = line.start;
    let mut letters = text[line.clone()].char_indices().peekable();
    while let Some((offset, letter)) = letters.next() {
        let ends = match letter {
            '.' | '!' | '?' | ';' => letters.peek().is_none_or(|&(_, next)| next.is_whitespace()),
            '。' | '！' | '？' | '；' => true,
            _ => false,
        };
        if ends {
            let end = line.start + offset + letter.len_utf8();
            // "e.g. " and "1. " do not end a sentence.
            if letter == '.' && text[start..end].trim().chars().count() < 5 {
                continue;
            }
            pieces.push(start..end);
            start = end;
        }
    }
    if !text[start..line.end].trim().is_empty() {
        pieces.push(start..line.end);
    }
    pieces
}

/// Beginnings of sentences that state the agent's role.
const ROLES: [&str; 20] = [
    "you are ",
    "you're ",
    "your role",
    "act as ",
    "as a ",
    "as an ",
    "as the ",
    "imagine you are",
    "du bist ",
    "sie sind ",
    "tu es ",
    "vous êtes ",
    "eres ",
    "você é ",
    "ты ",
    "вы ",
    "你是",
    "あなたは",
    "당신은",
    "너는",
];

/// Beginnings of sentences that apply in some cases only.
const CONDITIONS: [&str; 21] = [
    "if ",
    "when ",
    "unless ",
    "in case ",
    "otherwise",
    "should you ",
    "only if ",
    "wenn ",
    "falls ",
    "sonst ",
    "si ",
    "sinon",
    "se ",
    "если ",
    "иначе",
    "如果",
    "若",
    "もし",
    "만약",
    "use null",
    "ignore ",
];

/// Beginnings of prohibitions.
const BANS: [&str; 22] = [
    "do not ",
    "don't ",
    "never ",
    "no ",
    "not ",
    "avoid ",
    "without ",
    "nothing else",
    "you do not ",
    "you must not ",
    "must not ",
    "skip ",
    "kein",
    "nicht ",
    "nie ",
    "ne ",
    "no ",
    "não ",
    "не ",
    "不要",
    "请勿",
    "勿",
];

/// Beginnings of sentences that name what to read before the work.
const PRELUDES: [&str; 14] = [
    "read claude.md",
    "read agents.md",
    "first read ",
    "first, read ",
    "before you ",
    "before ",
    "start by reading ",
    "begin by reading ",
    "read the instructions",
    "read your instructions",
    "lies zuerst ",
    "lis d'abord ",
    "lee primero ",
    "сначала прочитай ",
];

/// The function of a sentence, by its beginning.
fn part(sentence: &str) -> Part {
    let bare = sentence.trim_start_matches(|c: char| {
        c.is_whitespace() || c.is_ascii_digit() || "-*•>_\"'.)".contains(c)
    });
    let bare = bare.trim_end();
    let begins = |starts: &[&str]| starts.iter().any(|start| bare.starts_with(start));
    if bare.starts_with('#') || bare.starts_with('<') {
        return Part::Heading;
    }
    if bare.ends_with([':', '：']) && bare.len() <= HEADING_BYTES_MAX && !bare.contains(' ') {
        return Part::Heading;
    }
    // "As a customer I want" is an instruction.
    if begins(&ROLES) && !bare.contains(" want") {
        return Part::Role;
    }
    if begins(&CONDITIONS) && !bare.ends_with(['?', '？']) {
        return Part::Condition;
    }
    if begins(&BANS) {
        return Part::Ban;
    }
    let is_prelude = begins(&PRELUDES)
        || (bare.starts_with("read ") && bare.trim_end_matches('.').ends_with(" first"));
    if is_prelude && !bare.contains([',', ';']) && bare.len() < 160 {
        return Part::Prelude;
    }
    Part::Plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<String> {
        Gist::of(text)
            .iter()
            .map(|(part, text)| format!("{part:?} {}", text.trim()))
            .collect()
    }

    #[test]
    fn sentences_are_told_apart_and_code_is_left_out() {
        assert_eq!(
            parts(
                "# Role\nYou are a scout. Read CLAUDE.md first. Then find A. \
                 If a folder is missing, create it.\nDo not edit.\n```\ndesign()\n```\nLÖSCHE es"
            ),
            [
                "Heading # role",
                "Role you are a scout.",
                "Prelude read claude.md first.",
                "Plain then find a.",
                "Condition if a folder is missing, create it.",
                "Ban do not edit.",
                "Plain lösche es",
            ]
        );
        assert_eq!(
            parts("Read CLAUDE.md first."),
            ["Plain read claude.md first."]
        );
        assert_eq!(
            parts("When is it due? As a user I want more."),
            ["Plain when is it due?", "Plain as a user i want more."]
        );
        assert_eq!(
            parts("找出文件。然后读"),
            ["Plain 找出文件。", "Plain 然后读"]
        );
    }
}
