//! Removes known values from texts.

use super::encodings::{FORM_BYTES_MIN, forms};
use super::escapes::{LAYERS_MAX, Undone, undone};
use super::search::Search;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The text in place of a secret.
pub const MARK: &str = "***";

/// Shortest beginning or end of a secret that is removed at a cut.
const STUMP_BYTES_MIN: usize = 4;

/// Finds known values in texts: plain, encoded, in any letter case, and with blanks and line breaks
/// in between, as in wrapped base64.
///
/// This takes one pass. Only a text with escapes or invisible characters is searched again after
/// decoding them, up to three times if they are nested.
///
/// Redacting is idempotent.
pub struct Redactor {
    /// `None` without known values.
    search: Option<Search>,
}

/// The side on which a text was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Text is missing before it.
    Start,
    /// Text is missing after it.
    End,
}

impl Redactor {
    /// A redactor for these values. Each takes some twenty times its length; there are no more of
    /// them than in an environment and settings.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let squeezed = values
            .into_iter()
            .flat_map(forms)
            .map(|form| squeezed(form.as_bytes()).into_boxed_slice());
        let all: BTreeSet<_> = squeezed
            .filter(|form| form.len() >= FORM_BYTES_MIN)
            .collect();
        Self {
            search: Search::new(all.into_iter().collect()),
        }
    }

    /// Whether `text` contains a secret.
    pub fn finds(&self, text: &str) -> bool {
        self.search
            .as_ref()
            .is_some_and(|search| !spans(search, text).is_empty())
    }

    /// The same without secrets interrupted by blanks: for texts that have been redacted before.
    pub fn finds_again(&self, text: &str) -> bool {
        self.search
            .as_ref()
            .is_some_and(|search| search.spans(text.as_bytes()).next().is_some())
    }

    /// `text` with `***` in place of every secret. Line breaks within a secret are kept, so that
    /// line numbers stay the same.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.search {
            None => Cow::Borrowed(text),
            Some(search) => replaced(text, &spans(search, text)),
        }
    }

    /// The same for a shared text.
    pub fn shared(&self, text: Arc<str>) -> Arc<str> {
        match self.text(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(text) => text.into(),
        }
    }

    /// The same for a part of a text: the rest of a secret at the cut is removed, too.
    pub fn part<'a>(&self, text: &'a str, cut: Cut) -> Cow<'a, str> {
        let Some(search) = &self.search else {
            return Cow::Borrowed(text);
        };
        let mut spans = spans(search, text);
        let stump = stump(search, text.as_bytes(), cut);
        if stump > 0 {
            spans.push(match cut {
                Cut::Start => (0, stump),
                Cut::End => (text.len() - stump, text.len()),
            });
        }
        replaced(text, &merged(spans))
    }

    /// Redacts consecutive parts of one text; a secret may span several of them.
    pub(super) fn parts(&self, parts: &[&str]) -> Option<Vec<String>> {
        let search = self.search.as_ref()?;
        let spans = spans(search, &parts.concat());
        let mut from = 0;
        let cut = |part: &&str| {
            let (begin, end) = (from, from + part.len());
            from = end;
            let within = spans.iter().filter(|span| span.0 < end && span.1 > begin);
            let within: Vec<_> = within
                .map(|span| (span.0.max(begin) - begin, span.1.min(end) - begin))
                .collect();
            replaced(part, &within).into_owned()
        };
        (!spans.is_empty()).then(|| parts.iter().map(cut).collect())
    }
}

/// The spans of secrets, ascending and disjoint.
fn spans(search: &Search, text: &str) -> Vec<(usize, usize)> {
    let mut found = as_written(search, text.as_bytes());
    let mut layers: Vec<Undone> = vec![];
    while layers.len() < LAYERS_MAX
        && let Some(inner) = undone(layers.last().map_or(text.as_bytes(), |layer| &layer.bytes))
    {
        let within = as_written(search, &inner.bytes);
        layers.push(inner);
        let was_at = |at: usize| layers.iter().rev().fold(at, |at, layer| layer.was_at(at));
        found.extend(
            within
                .into_iter()
                .map(|(begin, end)| (was_at(begin), was_at(end))),
        );
    }
    merged(found)
}

/// The spans of secrets in a text without decoding.
fn as_written(search: &Search, text: &[u8]) -> Vec<(usize, usize)> {
    if search.is_too_long_for(text.len()) {
        return vec![];
    }
    let squeezed = squeezed(text);
    let found: Vec<_> = search.spans(&squeezed).collect();
    if found.is_empty() {
        return found;
    }
    let seen: Vec<usize> = text
        .iter()
        .enumerate()
        .filter(|(_, byte)| !is_passed_over(**byte))
        .map(|(at, _)| at)
        .collect();
    found
        .into_iter()
        .map(|(begin, end)| (seen[begin], seen[end - 1] + 1))
        .collect()
}

/// The bytes of `text` without those that are skipped.
fn squeezed(text: &[u8]) -> Vec<u8> {
    let mut squeezed = vec![0; text.len()];
    let mut length = 0;
    // Branch-free, because a branch for each byte would take longer than the search.
    for byte in text {
        squeezed[length] = *byte;
        length += usize::from(!is_passed_over(*byte));
    }
    squeezed.truncate(length);
    squeezed
}

/// Number of bytes at a cut that are the end, or the beginning, of a secret.
fn stump(search: &Search, text: &[u8], cut: Cut) -> usize {
    let most = search.words().map(|form| form.len()).max().unwrap_or(0);
    let seen = || {
        text.iter()
            .enumerate()
            .filter(|(_, byte)| !is_passed_over(**byte))
    };
    // The bytes next to the cut, in text order, each with its distance.
    let near: Vec<(usize, u8)> = match cut {
        Cut::Start => seen()
            .take(most)
            .map(|(at, byte)| (at + 1, *byte))
            .collect(),
        Cut::End => {
            let mut near: Vec<_> = seen()
                .rev()
                .take(most)
                .map(|(at, b)| (text.len() - at, *b))
                .collect();
            near.reverse();
            near
        }
    };
    let is_stump = |form: &[u8], length: usize| {
        let (piece, near) = match cut {
            Cut::Start => (&form[form.len() - length..], &near[..length]),
            Cut::End => (&form[..length], &near[near.len() - length..]),
        };
        piece
            .iter()
            .zip(near)
            .all(|(a, (_, b))| a.eq_ignore_ascii_case(b))
    };
    let longest = |form: &[u8]| {
        let most = near.len().min(form.len().saturating_sub(1));
        (STUMP_BYTES_MIN..=most)
            .rev()
            .find(|length| is_stump(form, *length))
            .unwrap_or(0)
    };
    match (search.words().map(longest).max().unwrap_or(0), cut) {
        (0, _) => 0,
        (length, Cut::Start) => near[length - 1].0,
        (length, Cut::End) => near[near.len() - length].0,
    }
}

/// Bytes that may interrupt a secret: base64 is wrapped, dumps have blanks, UTF-16 has zeros.
fn is_passed_over(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0 || byte == 0x0b
}

fn merged(mut spans: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    spans.sort_unstable();
    let mut apart: Vec<(usize, usize)> = Vec::with_capacity(spans.len());
    for (begin, end) in spans {
        match apart.last_mut() {
            Some(last) if begin <= last.1 => last.1 = last.1.max(end),
            _ => apart.push((begin, end)),
        }
    }
    apart
}

fn replaced<'a>(text: &'a str, spans: &[(usize, usize)]) -> Cow<'a, str> {
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut left = String::with_capacity(text.len());
    let mut from = 0;
    for (begin, end) in spans {
        // The rest of a secret may begin within a character.
        let (begin, end) = (
            text.floor_char_boundary(*begin).max(from),
            text.ceil_char_boundary(*end),
        );
        left.push_str(&text[from..begin]);
        left.push_str(MARK);
        left.extend(text[begin..end].chars().filter(|c| *c == '\n'));
        from = end;
    }
    left.push_str(&text[from..]);
    Cow::Owned(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-ant-PLANTED-KEY-0123456789abcdef";

    fn redacted(text: &str) -> String {
        Redactor::new([KEY, "p@ss/w0rd"]).text(text).into_owned()
    }

    #[test]
    fn a_secret_is_cut_out_however_it_is_written() {
        assert_eq!(
            redacted(&format!("key {KEY}, not {KEY}!")),
            "key ***, not ***!"
        );
        assert_eq!(redacted(&KEY.to_uppercase()), "***");
        assert_eq!(redacted("a=p%40ss%2fw0rd&b"), "a=***&b");
        assert_eq!(redacted(r"p@ss\/w0rd"), "***");
        assert_eq!(redacted("70 40 73 73 2f 77 30 72 64"), "***");
        assert_eq!(
            redacted("sk-ant-PLANTED\n-KEY-0123456789a\r\nbcdef."),
            "***\n\n."
        );
        assert_eq!(redacted("fedcba9876543210-YEK-DETNALP-tna-ks"), "***");
        assert_eq!(
            redacted("innocent sk-ant-PLANTED-KEY-0"),
            "innocent sk-ant-PLANTED-KEY-0"
        );
    }

    #[test]
    fn escapes_and_what_nobody_sees_hide_nothing() {
        let each =
            |escape: fn(u32) -> String| KEY.chars().map(|c| escape(c.into())).collect::<String>();
        for written in [
            each(|c| format!("\\u{c:04x}")),
            each(|c| format!("\\\\u{c:04X}")),
            each(|c| format!("\\x{c:02X}")),
            each(|c| format!("\\{c:03o}")),
            each(|c| format!("&#{c};")),
            each(|c| format!("&#x{c:x};")),
            each(|c| format!("&amp;#{c};")),
            each(|c| format!("%25{c:02X}")),
            each(|c| format!("={c:02X}")),
            KEY.replacen('s', "\\u0073", 1),
            KEY.replace('-', "&#45;"),
            KEY.replace("PLANTED", "\u{200b}PLAN\u{200d}TED\u{feff}"),
            KEY.replace('P', "\u{1b}[1;31mP\u{1b}[0m"),
            KEY.replace('-', "=\r\n-"),
            KEY.bytes()
                .map(|byte| format!("{byte:02X}"))
                .collect::<Vec<_>>()
                .join(":"),
            KEY.bytes()
                .map(|byte| format!("{byte:02x}"))
                .collect::<Vec<_>>()
                .join("-"),
            KEY.bytes()
                .map(|byte| format!("0x{byte:02x}"))
                .collect::<Vec<_>>()
                .join(", "),
        ] {
            assert_eq!(
                redacted(&format!("it is {written}, é.")).replace('\n', ""),
                "it is ***, é.",
                "{written}"
            );
        }
        let innocent = r#"{"a": "\u00e4 &amp; 100 %25 \x73 \\ \"}"#;
        assert_eq!(redacted(innocent), innocent);
    }

    #[test]
    fn base64_of_base64_is_found() {
        use base64::Engine;
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        for before in ["", "a", "ab", "abc", "abcd"] {
            let left = redacted(&encode(&encode(&format!("{before}{KEY} and more"))));
            assert!(left.contains("***"), "{before}: {left}");
        }
    }

    #[test]
    fn wrapped_base64_is_found() {
        use base64::Engine;
        let whole = format!("HOME=/home/me\nANTHROPIC_API_KEY={KEY}\nLANG=C\n");
        let encoded = base64::engine::general_purpose::STANDARD.encode(whole);
        let wrapped: Vec<&str> = encoded
            .as_bytes()
            .chunks(16)
            .map(|line| str::from_utf8(line).unwrap())
            .collect();
        let left = redacted(&wrapped.join("\n"));
        assert!(left.len() < encoded.len() - KEY.len(), "{left}");
        assert!(left.contains("***"), "{left}");
    }

    #[test]
    fn what_overlaps_goes_as_a_whole() {
        let redactor = Redactor::new(["abcdefgh12", "gh12xyzw99"]);
        assert_eq!(redactor.text("-abcdefgh12xyzw99-"), "-***-");
    }

    #[test]
    fn at_a_cut_what_is_left_goes_too() {
        let redactor = Redactor::new([KEY]);
        for length in STUMP_BYTES_MIN..KEY.len() {
            let text = format!("end {}", &KEY[..length]);
            assert_eq!(redactor.part(&text, Cut::End), "end ***", "{length}");
            let text = format!("{} begin", &KEY[length..]);
            let left = if KEY.len() - length < STUMP_BYTES_MIN {
                text.as_str()
            } else {
                "*** begin"
            };
            assert_eq!(redactor.part(&text, Cut::Start), left, "{length}");
        }
        assert_eq!(
            redactor.part("an innocent end", Cut::End),
            "an innocent end"
        );
        assert_eq!(redactor.part("", Cut::End), "");
    }

    #[test]
    fn a_secret_across_parts_is_cut_out_of_each() {
        let redactor = Redactor::new([KEY]);
        let (a, b) = KEY.split_at(9);
        let parts = redactor.parts(&[&format!("x {a}"), b, " y"]);
        assert_eq!(parts.unwrap(), ["x ***", "***", " y"]);
        assert_eq!(redactor.parts(&["x", "y"]), None);
    }

    #[test]
    fn twice_is_once_and_nothing_is_lost_beside_it() {
        let text = format!("ä{KEY}ö\u{fffd}{}ü", "p@ss/w0rd");
        let once = redacted(&text);
        assert_eq!(once, "ä***ö\u{fffd}***ü");
        assert_eq!(redacted(&once), once);
    }

    #[test]
    fn who_knows_nothing_changes_nothing() {
        assert!(matches!(
            Redactor::new([]).text("abc"),
            Cow::Borrowed("abc")
        ));
        assert_eq!(Redactor::new(["ab"]).text("ab"), "ab");
    }
}
