//! Text features, counted in one pass.
//!
//! Tokenisers split before words, keep short words whole, and use more tokens for rarer pieces. So
//! the number of tokens is close to a sum over a few kinds of pieces, in any language or markup,
//! without guessing whether the text is prose, code or data.

/// Number of features.
const SORTS: usize = 17;

/// Number of occurrences of each feature in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(pub [u64; SORTS]);

impl Features {
    /// Names of the features, in order.
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
        "lines that begin with blanks",
        "blanks beyond the first of a run",
        "characters of two bytes",
        "characters of three bytes",
        "characters of four bytes",
    ];

    /// Counts the features of `text`.
    pub fn of(text: &str) -> Self {
        let mut features = Self::default();
        let counts = &mut features.0;
        let mut rest = text.as_bytes();
        let mut before = Class::Space;
        while let Some(&byte) = rest.first() {
            let class = CLASSES[byte as usize];
            let length = match class {
                // Capitals, then small letters: a word ends before the next capital.
                Class::Lower | Class::Upper => {
                    let capitals = run(rest, Class::Upper);
                    let letters = capitals + run(&rest[capitals..], Class::Lower);
                    end_word(counts, letters as u64);
                    counts[5] += capitals.saturating_sub(1) as u64;
                    counts[6] += u64::from(before != Class::Space);
                    letters
                }
                Class::Digit | Class::Sign | Class::Space => run(rest, class),
                Class::Break | Class::Two | Class::Three | Class::Four | Class::Rest => 1,
            };
            let many = length as u64;
            match class {
                Class::Lower | Class::Upper | Class::Rest => {}
                Class::Digit => {
                    counts[7] += many;
                    counts[8] += 1;
                }
                Class::Sign => {
                    counts[9] += many;
                    counts[10] += 1;
                }
                Class::Break => counts[11] += 1,
                Class::Space => {
                    counts[12] += u64::from(before == Class::Break);
                    counts[13] += many - 1;
                }
                Class::Two => counts[14] += 1,
                Class::Three => counts[15] += 1,
                Class::Four => counts[16] += 1,
            }
            if class != Class::Rest {
                before = class;
            }
            rest = &rest[length..];
        }
        features
    }

    /// The weighted sum of all features.
    pub fn weighed(&self, weights: &[f64; SORTS]) -> f64 {
        self.0
            .iter()
            .zip(weights)
            .map(|(&count, weight)| count as f64 * weight)
            .sum()
    }
}

/// Number of bytes of this class at the beginning of `text`.
fn run(text: &[u8], class: Class) -> usize {
    text.iter()
        .position(|&byte| CLASSES[byte as usize] != class)
        .unwrap_or(text.len())
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
    /// The first byte of a character of this length.
    Two,
    Three,
    Four,
    /// Further bytes of a character.
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
        let seen = Features::NAMES
            .iter()
            .zip(features.0)
            .filter(|(_, count)| *count > 0);
        seen.map(|(name, count)| format!("{count} {name}\n"))
            .collect()
    }

    #[test]
    fn pieces_are_counted() {
        insta::assert_snapshot!(named("The parseHTTPHeader(x42) of internationalisation"), @r"
3 words of 1 to 3 letters
1 words of 4 to 6 letters
2 words of 10 or more letters
10 letters beyond the tenth
4 capitals after capitals
2 words without a space before them
2 digits
1 numbers
2 signs
2 runs of signs
");
        insta::assert_snapshot!(named("if a {\n    größe += 日本 🦀;\n}"), @r"
        4 words of 1 to 3 letters
        1 words without a space before them
        5 signs
        4 runs of signs
        2 line breaks
        1 lines that begin with blanks
        3 blanks beyond the first of a run
        2 characters of two bytes
        2 characters of three bytes
        1 characters of four bytes
        ");
        assert_eq!(Features::of(""), Features::default());
    }
}
