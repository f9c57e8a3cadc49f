//! JSON output. Amounts of money are in dollars, and texts of JSON are values ([`Readable`]).
//!
//! Each form of output is a type, from which [`schema`] makes its JSON schema.
//!
//! JSON escapes only some of the characters that act on a terminal. Here all are escaped, since the
//! user may view the output on one.

mod jq;
pub(crate) mod schema;

pub(crate) use jq::BadFilter;

use super::readable::Readable;
use crate::output;
use crate::text::is_harmless;
use divisi_providers::redact::known;
use jq::Filter;
use serde::Serialize;
use serde_json::Value;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Write;

thread_local! {
    /// The filter of `--jq`, on the thread that writes output.
    static FILTER: OnceCell<Filter> = const { OnceCell::new() };

    /// The kinds of events that it has failed on.
    static WARNED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Passes all further JSON output through a filter of jq. Fails if `code` is not one.
pub(crate) fn filter(code: &str) -> Result<(), BadFilter> {
    let filter = Filter::new(code)?;
    // Set once, at the beginning of the process.
    FILTER.with(|cell| _ = cell.set(filter));
    Ok(())
}

/// The value on one line, without secrets: what the filter makes of it, if there is one.
pub(crate) fn line(value: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string(&Readable(value))?;
    filtered(&known().json(json.into()))
}

/// An event of a run on one line. A filter that fails on it leaves nothing of it and is warned of,
/// once for each kind of event: the run goes on, and is paid for.
pub(crate) fn event(value: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string(&Readable(value))?;
    let json = known().json(json.into());
    match filtered(&json) {
        Ok(line) => Ok(line),
        Err(error) => {
            let event: Value = serde_json::from_str(&json)?;
            let kind = event["event"].as_str().unwrap_or_default().to_owned();
            if WARNED.with_borrow_mut(|warned| warned.insert(kind.clone())) {
                output::say(&format!(
                    "warning: {error:#}; events `{kind}` on which it fails are left out"
                ));
            }
            Ok(String::new())
        }
    }
}

/// The value on one line, whatever filter there is.
pub(crate) fn unfiltered(value: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string(&Readable(value))?;
    Ok(harmless(&known().json(json.into())))
}

/// The value on several lines, for a person: what the filter makes of it, if there is one.
pub(crate) fn pretty(value: &impl Serialize) -> anyhow::Result<String> {
    filtered(&serde_json::to_string_pretty(&Readable(value))?)
}

fn filtered(json: &str) -> anyhow::Result<String> {
    FILTER.with(|cell| match cell.get() {
        None => Ok(harmless(json)),
        Some(filter) => filter.apply(json),
    })
}

/// The same JSON without a character that acts on a terminal, but for the line
/// breaks between its values.
pub(crate) fn harmless(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        // Outside of strings JSON has no such characters, so an escape is always inside one.
        if c != '\n' && !is_harmless(&safe, c, chars.peek().copied()) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_it_acts_on_the_terminal() {
        let text = "a\u{200d}b\u{9b}31m\u{1b}[2J\u{7f}\u{202e}\u{e0041}é";
        let line = line(&[text]).expect("JSON");
        assert_eq!(
            line,
            "[\"a\\u200db\\u009b31m\\u001b[2J\\u007f\\u202e\\udb40\\udc41é\"]"
        );
        assert_eq!(
            serde_json::from_str::<Vec<String>>(&line).expect("JSON"),
            [text]
        );
    }
}
