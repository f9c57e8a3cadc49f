//! The result of a run, on stdout.

use crate::display::json;
use crate::output;
use crate::text;
use serde_json::Value;
use std::io::{self, IsTerminal};

/// A text unchanged, anything else as JSON; nothing if the flow returned nothing.
pub(crate) fn print(result: &str) -> anyhow::Result<()> {
    match serde_json::from_str(result)? {
        Value::Null => Ok(()),
        // On a terminal a text from a model must not act; a program receives its exact bytes.
        Value::String(text) if io::stdout().is_terminal() => {
            Ok(output::print(&text::block(&text))?)
        }
        Value::String(text) => Ok(output::print_as_it_is(&text)?),
        value => Ok(output::print(&json::harmless(
            &serde_json::to_string_pretty(&value)?,
        ))?),
    }
}
