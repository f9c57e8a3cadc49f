//! What a text is made of, counted in one pass.
//!
//! Tokenisers cut before words, keep short words whole, and spend more the rarer
//! a piece is. So the number of tokens is close to a sum over a few sorts of
//! pieces, whatever language or markup the text is in; nothing needs to guess
//! whether it is prose, code or data.

/// Sorts of pieces.
const SORTS: usize = 17;

/// How often each sort of piece occurs in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(pub [u64; SORTS]);

impl Features {
    /// What the numbers stand for, in their order.
    pub const NAMES: [&str; SORTS] = [
        "words of 1 to 3 letters",
        "words of 4 to 6 letters",
        "words of 7 to 9 letters",
        "words of 10 or more letters",
        "letters beyond the tenth",
        "capitals after capitals",
        "words without a space before them",
        "digits",
        "numbers",
        "signs",
        "runs of signs",
        "line breaks",
        "runs of blanks",
        "blanks beyond the first",
        "characters of two bytes",
        "characters of three bytes",
        "characters of four bytes",
    ];

    /// Counts the pieces of `text`.
    pub fn of(text: &str) -> Self {
        let mut features = Self::default();
        let mut before = Class::Space;
        let mut word = 0;
        let counts = &mut features.0;
        for &byte in text.as_bytes() {
            let class = CLASSES[byte as usize];
            let goes_on = match class {
                // A capital begins a word unless it stands among capitals.
                Class::Upper => before == Class::Upper,
                Class::Lower => matches!(before, Class::Lower | Class::Upper),
                _ => false,
            };
            if word > 0 && !goes_on {
                end_word(counts, word);
                word = 0;
            }
            match class {
                Class::Lower | Class::Upper => {
                    word += 1;
                    counts[5] += u64::from(goes_on && class == Class::Upper);
                    counts[6] += u64::from(!goes_on && before != Class::Space);
                }
                Class::Digit => {
                    counts[7] += 1;
                    counts[8] += u64::from(before != Class::Digit);
                }
                Class::Sign => {
                    counts[9] += 1;
                    counts[10] += u64::from(before != Class::Sign);
                }
                Class::Break => counts[11] += 1,
                Class::Space => {
                    let is_second = before == Class::Space;
                    counts[12] += u64::from(before == Class::Break);
                    counts[13] += u64::from(is_second);
                }
                Class::Two => counts[14] += 1,
                Class::Three => counts[15] += 1,
                Class::Four => counts[16] += 1,
                Class::Rest => continue,
            }
            before = class;
        }
        if word > 0 {
            end_word(counts, word);
        }
        features
    }

    /// The sum of all pieces, each at its weight.
    pub fn weighed(&self, weights: &[f64; SORTS]) -> f64 {
        self.0.iter().zip(weights).map(|(&count, weight)| count as f64 * weight).sum()
    }
}

fn end_word(counts: &mut [u64; SORTS], letters: u64) {
    let sort = match letters {
        0..=3 => 0,
        4..=6 => 1,
        7..=9 => 2,
        _ => 3,
    };
    counts[sort] += 1;
    counts[4] += letters.saturating_sub(10);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    Sign,
    Space,
    Break,
    /// The first byte of a character of so many.
    Two,
    Three,
    Four,
    /// The others.
    Rest,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Sign; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' => Class::Lower,
            b'A'..=b'Z' => Class::Upper,
            b'0'..=b'9' => Class::Digit,
            b' ' | b'\t' => Class::Space,
            b'\n' | b'\r' => Class::Break,
            0x80..=0xBF => Class::Rest,
            0xC0..=0xDF => Class::Two,
            0xE0..=0xEF => Class::Three,
            0xF0..=0xFF => Class::Four,
            _ => Class::Sign,
        };
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> String {
        let features = Features::of(text);
        let seen = Features::NAMES.iter().zip(features.0).filter(|(_, count)| *count > 0);
        seen.map(|(name, count)| format!("{count} {name}\n")).collect()
    }

    #[test]
    fn pieces_are_counted() {
        insta::assert_snapshot!(named("The parseHTTPHeader(x42) of internationalisation"), @"");
        insta::assert_snapshot!(named("if a {\n    größe += 日本 🦀;\n}"), @"");
        assert_eq!(Features::of(""), Features::default());
    }
}
