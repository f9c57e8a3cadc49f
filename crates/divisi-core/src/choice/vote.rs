//! A learned vote beside the rules: the tier that texts with such words have in the training data.
//!
//! A linear classifier over words, pairs of words, beginnings of words, and character n-grams for
//! scripts without spaces. Its weights are data (`vote.weights`), trained by `scripts/train-tiers`
//! on the texts in `tests/data/tiers`. All arithmetic is in integers, so that every machine gives
//! the same vote.

use super::gist::{Gist, Part};
use crate::tier::Tier;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Hash buckets, each with a weight for each of the two scores. A power of two.
pub(super) const BUCKETS: usize = 1 << 17;

/// The value of 1.0 in scores: a difference of this much makes a tier e times as likely.
pub(super) const ONE: i32 = 256;

/// Bytes of the weights file: a bias of two bytes for each score, then one byte per weight.
pub(super) const WEIGHTS_BYTES: usize = 4 + 2 * BUCKETS;

static WEIGHTS: &[u8; WEIGHTS_BYTES] = include_bytes!("vote.weights");

/// Most words named as the reason of a vote.
const TELLING_MAX: usize = 3;

/// Log odds of a tier against the balanced one, in units of [`ONE`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Vote {
    pub(super) haiku: i32,
    pub(super) opus: i32,
}

impl Vote {
    /// The vote on a prompt. Takes time proportional to the searched part.
    pub(super) fn of(gist: &Gist) -> Self {
        Self::by(WEIGHTS, gist)
    }

    /// The tier with the highest score, and its lead.
    pub(super) fn tier(&self) -> (Tier, i32) {
        let Self { haiku, opus } = *self;
        if haiku > opus.max(0) {
            (Tier::Haiku, haiku - opus.max(0))
        } else if opus > 0 {
            (Tier::Opus, opus - haiku.max(0))
        } else {
            (Tier::Sonnet, -haiku.max(opus))
        }
    }

    /// The words of a prompt that contribute most to a tier.
    pub(super) fn telling(gist: &Gist, tier: Tier) -> Vec<Arc<str>> {
        let mut sums: BTreeMap<String, i32> = BTreeMap::new();
        features(gist, &mut |bucket, value, word| {
            let weight = |score: usize| i32::from(WEIGHTS[4 + 2 * bucket + score] as i8);
            let (haiku, opus) = (weight(0), weight(1));
            let adds = value
                * match tier {
                    Tier::Haiku => 2 * haiku - opus,
                    Tier::Sonnet => -haiku - opus,
                    Tier::Opus | Tier::Fable => 2 * opus - haiku,
                };
            let letters_min = if is_unspaced(word) { 2 } else { 4 };
            if word.chars().count() < letters_min {
                return;
            }
            match sums.get_mut(word) {
                Some(sum) => *sum += adds,
                None => {
                    sums.insert(word.to_owned(), adds);
                }
            }
        });
        let mut words: Vec<(String, i32)> = sums.into_iter().collect();
        words.retain(|(_, sum)| *sum > 0);
        words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let mut told: Vec<Arc<str>> = vec![];
        for (word, _) in words {
            let is_told = told
                .iter()
                .any(|told| told.contains(&*word) || word.contains(&**told));
            if !is_told && told.len() < TELLING_MAX {
                told.push(word.into());
            }
        }
        told
    }

    /// The vote with these weights.
    pub(super) fn by(weights: &[u8; WEIGHTS_BYTES], gist: &Gist) -> Self {
        let mut sums = [0_i32; 2];
        let mut squares = 0_i32;
        features(gist, &mut |bucket, value, _| {
            for (score, sum) in sums.iter_mut().enumerate() {
                let weight = weights[4 + 2 * bucket + score] as i8;
                *sum += value * i32::from(weight);
            }
            squares += value * value;
        });
        let length = squares.isqrt().max(1);
        let bias = |score: usize| {
            i32::from(i16::from_le_bytes([
                weights[2 * score],
                weights[2 * score + 1],
            ]))
        };
        Self {
            haiku: bias(0) + SCALE * sums[0] / length,
            opus: bias(1) + SCALE * sums[1] / length,
        }
    }
}

/// What a weight of one adds to a score, in a text with a single feature.
pub(super) const SCALE: i32 = 16;

/// Value of a feature in the first plain sentence, and in sentences that only surround the
/// instruction.
const PLAIN: i32 = 4;
const AROUND: i32 = 1;

/// Plain sentences that count at least half; later ones seldom state what is wanted and count as
/// surroundings.
const PLAIN_MAX: usize = 3;

/// Most words of a sentence that are used.
const WORDS_MAX: usize = 60;

/// Calls `see` with each feature of a prompt: its bucket, its value, and the word it comes from.
pub(super) fn features(gist: &Gist, see: &mut impl FnMut(usize, i32, &str)) {
    let mut plain = 0;
    for (part, sentence) in gist.iter() {
        let value = match part {
            Part::Plain => {
                plain += 1;
                match plain {
                    1 => PLAIN,
                    2..=PLAIN_MAX => PLAIN / 2,
                    _ => AROUND,
                }
            }
            Part::Role | Part::Prelude => AROUND,
            Part::Condition | Part::Ban | Part::Heading => continue,
        };
        of_sentence(sentence, value, plain == 1 && part == Part::Plain, see);
    }
    let length = match gist.text.len() {
        0..=30 => 0,
        31..=80 => 1,
        81..=200 => 2,
        201..=600 => 3,
        601..=1500 => 4,
        _ => 5,
    };
    see(bucket(b'#', &[&[length]]), PLAIN, "");
}

fn of_sentence(sentence: &str, value: i32, is_first: bool, see: &mut impl FnMut(usize, i32, &str)) {
    let words = words(sentence);
    let mut before: Option<&str> = None;
    let opening = words.iter().find(|word| !PADDING.contains(*word)).copied();
    let mut is_opened = false;
    for &word in words.iter().take(WORDS_MAX) {
        if is_unspaced(word) {
            pieces(word, value, see);
            before = None;
            continue;
        }
        if is_first && !is_opened && opening == Some(word) {
            is_opened = true;
            see(bucket(b'1', &[stem(word, 6).as_bytes()]), value, word);
        } else if let (true, Some(opening)) = (is_first, opening) {
            see(
                bucket(
                    b'o',
                    &[stem(opening, 6).as_bytes(), stem(word, 6).as_bytes()],
                ),
                value / 2,
                word,
            );
        }
        see(bucket(b'w', &[word.as_bytes()]), value, word);
        see(bucket(b's', &[stem(word, 5).as_bytes()]), value, word);
        grams(word, value / 2, see);
        if let Some(before) = before {
            see(
                bucket(
                    b'b',
                    &[stem(before, 7).as_bytes(), stem(word, 7).as_bytes()],
                ),
                value,
                word,
            );
        }
        before = Some(word);
    }
}

/// Words at the beginning of a sentence that say nothing about the task.
const PADDING: [&str; 14] = [
    "please",
    "now",
    "then",
    "first",
    "finally",
    "also",
    "just",
    "kindly",
    "bitte",
    "пожалуйста",
    "next",
    "quickly",
    "and",
    "to",
];

/// Every four consecutive letters of a word, with its ends marked.
fn grams(word: &str, value: i32, see: &mut impl FnMut(usize, i32, &str)) {
    let letters: Vec<char> = std::iter::once('^')
        .chain(word.chars())
        .chain(std::iter::once('$'))
        .collect();
    if value == 0 || letters.len() < 6 {
        return;
    }
    let mut bytes = [0; 16];
    for four in letters.windows(4) {
        let mut end = 0;
        for letter in four {
            end += letter.encode_utf8(&mut bytes[end..]).len();
        }
        see(bucket(b'g', &[&bytes[..end]]), value, word);
    }
}

/// Pieces of one, two and three letters of a word in a script without spaces.
fn pieces(word: &str, value: i32, see: &mut impl FnMut(usize, i32, &str)) {
    let ends: Vec<usize> = word
        .char_indices()
        .map(|(at, letter)| at + letter.len_utf8())
        .collect();
    let mut start = 0;
    for (index, &end) in ends.iter().enumerate() {
        for length in 1..=3 {
            if let Some(&end) = ends.get(index + length - 1) {
                let value = if length == 1 { value / 2 } else { value };
                let piece = &word[start..end];
                see(bucket(b'c', &[piece.as_bytes()]), value, piece);
            }
        }
        start = end;
    }
}

/// The words of a sentence. Quoted code, paths, identifiers and numbers say little by their
/// letters, so each sort is replaced by one word.
fn words(sentence: &str) -> Vec<&str> {
    let mut words = vec![];
    for (index, said) in sentence.split('`').enumerate() {
        if index % 2 == 1 {
            words.push("`");
            continue;
        }
        for chunk in said.split(|c: char| c.is_whitespace() || "\"“”„«»()[]{}<>,:;!?".contains(c))
        {
            let chunk = chunk.trim_matches(|c: char| !c.is_alphanumeric());
            if chunk.is_empty() {
                continue;
            }
            let is_name = chunk
                .bytes()
                .any(|b| matches!(b, b'/' | b'_' | b'.' | b'@' | b'=' | b'*' | b'$'));
            if is_name {
                words.push("/");
            } else if chunk.bytes().all(|b| b.is_ascii_digit()) {
                words.push("0");
            } else {
                add_runs(chunk, &mut words);
            }
        }
    }
    words
}

/// Splits where a script with spaces and one without them meet, and at hyphens.
fn add_runs<'a>(chunk: &'a str, words: &mut Vec<&'a str>) {
    let mut start = 0;
    let mut kind = None;
    for (at, letter) in chunk.char_indices() {
        let new = (letter.is_alphanumeric(), is_unspaced_letter(letter));
        if kind.is_some_and(|kind| kind != new) {
            push_run(&chunk[start..at], words);
            start = at;
        }
        kind = Some(new);
    }
    push_run(&chunk[start..], words);
}

fn push_run<'a>(run: &'a str, words: &mut Vec<&'a str>) {
    if run.chars().any(char::is_alphanumeric) {
        words.push(run);
    }
}

/// Whether a word is in a script that is cut into pieces.
fn is_unspaced(word: &str) -> bool {
    word.chars().next().is_some_and(is_unspaced_letter)
}

/// Whether a letter is of a script that is written without spaces between words, or whose endings
/// are separate syllables.
pub(super) fn is_unspaced_letter(letter: char) -> bool {
    matches!(letter, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}'
        | '\u{f900}'..='\u{faff}' | '\u{0e00}'..='\u{0e7f}')
}

/// The first letters of a word.
fn stem(word: &str, letters: usize) -> &str {
    match word.char_indices().nth(letters) {
        Some((end, _)) => &word[..end],
        None => word,
    }
}

/// The bucket of a feature: FNV-1a over its type and its parts.
fn bucket(sort: u8, parts: &[&[u8]]) -> usize {
    let mut hash = 0x811c_9dc5_u32;
    let mut add = |byte: u8| hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    add(sort);
    for part in parts {
        part.iter().for_each(|&byte| add(byte));
        add(0);
    }
    (hash ^ (hash >> 16)) as usize & (BUCKETS - 1)
}
