//! The encoded forms of a value.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::fmt::Write;

/// Longest part of a value searched for at once. Longer values are searched for in parts, so that a
/// file of certificates does not take megabytes.
const PIECE_BYTES_MAX: usize = 512;

/// Shortest form searched for.
pub(super) const FORM_BYTES_MIN: usize = 6;

/// Characters that `encodeURIComponent` keeps.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// All forms of a value: plain, reversed, in JSON, percent-encoded, in hexadecimal as printed by
/// programs, and in base64, once and twice, at every alignment.
pub(super) fn forms(value: &str) -> Vec<String> {
    let mut forms = vec![];
    let mut rest = value;
    while !rest.is_empty() {
        let end = rest.floor_char_boundary(PIECE_BYTES_MAX);
        let (piece, after) = rest.split_at(end);
        // The rest of a long value may be too short to search for.
        if piece.len() >= FORM_BYTES_MIN {
            of_piece(piece, &mut forms);
        }
        rest = after;
    }
    forms
}

fn of_piece(piece: &str, forms: &mut Vec<String>) {
    let bytes = piece.as_bytes();
    let json = in_json(piece);
    forms.extend([
        piece.to_owned(),
        piece.chars().rev().collect(),
        json.replace('/', "\\/"),
        in_json(&json),
        json,
        percent_encode(bytes, COMPONENT).to_string(),
        percent_encode(bytes, NON_ALPHANUMERIC).to_string(),
        in_hex(bytes, "%"),
        in_hex(bytes, ""),
        in_hex(bytes, "\\x"),
        in_hex(bytes, ":")[1..].to_owned(),
        in_hex(bytes, "-")[1..].to_owned(),
        in_hex(bytes, ",0x")[1..].to_owned(),
    ]);
    for before in 0..3 {
        let once = in_base64(&STANDARD_NO_PAD, bytes, before);
        forms.extend((0..3).map(|before| in_base64(&STANDARD_NO_PAD, once.as_bytes(), before)));
        forms.push(once);
        forms.push(in_base64(&URL_SAFE_NO_PAD, bytes, before));
    }
}

/// The text within a JSON string.
fn in_json(text: &str) -> String {
    serde_json::to_string(text)
        .map(|json| json[1..json.len() - 1].to_owned())
        .unwrap_or_default()
}

fn in_hex(bytes: &[u8], before_each: &str) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{before_each}{byte:02x}");
        hex
    })
}

/// The base64 characters that are determined by `bytes` alone, if these begin `before` bytes after
/// a multiple of three.
fn in_base64(engine: &impl Engine, bytes: &[u8], before: usize) -> String {
    let shifted = [&[0; 3][..before], bytes].concat();
    let encoded = engine.encode(&shifted);
    let (first, end) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
    encoded.get(first..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_there() {
        let forms = forms("p@ss/w\"rd+1");
        for form in [
            "p@ss/w\"rd+1",
            "1+dr\"w/ss@p",
            "p@ss\\/w\\\"rd+1",
            "p@ss/w\\\\\\\"rd+1",
            "p%40ss%2Fw%22rd%2B1",
            "%70%40%73%73%2f%77%22%72%64%2b%31",
            "704073732f772272642b31",
            "\\x70\\x40\\x73\\x73\\x2f\\x77\\x22\\x72\\x64\\x2b\\x31",
        ] {
            assert!(
                forms.iter().any(|known| known == form),
                "{form} is not in {forms:?}"
            );
        }
    }

    #[test]
    fn base64_is_found_wherever_it_begins() {
        let value = b"sk-ant-0123456789";
        for before in 0..6 {
            for after in 0..3 {
                let whole = [&b"xyzxyz"[..before], value, &b"ab"[..after]].concat();
                let encoded = STANDARD_NO_PAD.encode(&whole);
                let form = in_base64(&STANDARD_NO_PAD, value, before % 3);
                assert!(encoded.contains(&form), "{form} is not in {encoded}");
                assert!(form.len() + 4 >= value.len() * 4 / 3, "{form} is too short");
            }
        }
    }

    #[test]
    fn long_values_are_searched_for_in_pieces() {
        let forms = forms(&"0123456789".repeat(200));
        assert!(forms.iter().all(|form| form.len() <= 5 * PIECE_BYTES_MAX));
    }
}
