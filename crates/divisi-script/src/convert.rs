//! Conversion of JavaScript's strings and values.
//!
//! JavaScript strings may contain unpaired surrogates: `text.slice(0, 100)` may cut an emoji in
//! two. UTF-8 cannot encode them, so each becomes a replacement character here.

use divisi_core::PicoUsd;
use rquickjs::{Ctx, Result, Value};

/// The text of a string.
pub(crate) fn text<'js>(ctx: &Ctx<'js>, string: &rquickjs::String<'js>) -> Result<String> {
    match string.to_string() {
        Err(rquickjs::Error::Utf8(_)) => {
            let quoted = json(ctx, string.as_value().clone())?.unwrap_or_default();
            Ok(serde_json::from_str(&quoted).unwrap_or_default())
        }
        other => other,
    }
}

/// An amount in dollars, as scripts see it.
pub(crate) fn dollars(amount: PicoUsd) -> f64 {
    amount.0 as f64 / PicoUsd::DOLLAR.0 as f64
}

/// The dollars of a JavaScript number; `None` if it is no amount.
///
/// Its shortest decimal text is what was written in the script. A computed number may have digits
/// below a picodollar; they are cut, so a limit may be lower than intended, never higher.
pub(crate) fn dollars_of(number: f64) -> Option<PicoUsd> {
    const DECIMALS_MAX: usize = 12;
    let written = number.to_string();
    let end = written.find('.').map_or(written.len(), |point| {
        written.len().min(point + 1 + DECIMALS_MAX)
    });
    PicoUsd::parse_dollars(&written[..end])
}

/// The JSON text of a value; `None` if JSON cannot express it.
pub(crate) fn json<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Option<String>> {
    let Some(written) = ctx.json_stringify(value)? else {
        return Ok(None);
    };
    written.to_string().map(mend).map(Some)
}

/// Replaces unpaired surrogates. The engine writes them, and only them, as `\ud8…` to `\udf…`.
fn mend(json: String) -> String {
    if !json.contains("\\ud") {
        return json;
    }
    let mut mended = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let half = matches!(
            escape.as_bytes(),
            [_, b'u', b'd', b'8'..=b'9' | b'a'..=b'f', ..]
        );
        let length = if half { 6 } else { 2 };
        mended.push_str(if half { "\\ufffd" } else { &escape[..length] });
        rest = &escape[length..];
    }
    mended + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_characters_are_replaced() {
        assert_eq!(
            mend(r#"{"a":"x\ud83d","b\udfff":1}"#.into()),
            r#"{"a":"x\ufffd","b\ufffd":1}"#
        );
        assert_eq!(
            mend(r#""\\ud83d \n \u0001""#.into()),
            r#""\\ud83d \n \u0001""#
        );
    }
}
