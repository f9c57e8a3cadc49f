//! The result of a run, on stdout, and the last line of its events.

use crate::display::json;
use crate::output;
use crate::text;
use anyhow::Context as _;
use divisi_app::Problem;
use divisi_core::{Failure, PicoUsd, Run, RunId};
use divisi_engine::Engine;
use divisi_engine::store::RunSummary;
use divisi_providers::redact;
use schemars::JsonSchema;
use serde::Serialize;
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

/// The result as the text of a file, with a line break at its end; `None` if the flow returned
/// nothing.
pub(crate) fn text(result: &str) -> Result<Option<String>, Problem> {
    let value: Value = serde_json::from_str(result).context("the result cannot be read")?;
    let text = match value {
        Value::Null => return Ok(None),
        Value::String(text) => redact(&text).trim_end().to_owned(),
        value => format!("{value:#}"),
    };
    Ok(Some(text + "\n"))
}

/// The last line of a run: how it ended or rests, in one place.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LastLine<'a> {
    /// The run.
    run: &'a RunId,
    /// Always `run_result`.
    #[schemars(extend("const" = "run_result"))]
    event: &'static str,
    /// `ok`, `partial`, `failed`, `cancelled`, `parked`, or `interrupted` if its process died.
    status: &'a str,
    /// What the flow returned; `null` before its end, and if it failed.
    result: Option<Value>,
    /// Why it failed.
    failure: Option<&'a Failure>,
    /// Spent by the whole run, each request up to its reservation.
    cost: PicoUsd,
    /// The part of it that is reservations of requests whose reply never came.
    unconfirmed: PicoUsd,
    /// Cost of replies above their reservations.
    over: PicoUsd,
    /// Tokens, in and out.
    tokens: u64,
    /// Tasks with a result.
    ok: u32,
    /// Tasks that failed.
    failed: u32,
    /// Tasks that were skipped or cancelled.
    skipped: u32,
    /// Tasks without an outcome.
    open: u32,
}

/// Prints the last line of the events of a run. `status` is the word for its stage, unless another
/// is known.
pub(crate) async fn print_last_line(
    engine: &Engine,
    id: &RunId,
    run: &Run,
    status: Option<&str>,
) -> Result<(), Problem> {
    let summary = RunSummary::of(id, run, run.ended_at());
    let mut result = None;
    if let Some(Ok(content)) = run.result() {
        result = serde_json::from_str(&engine.read(content).await?).ok();
    }
    let line = LastLine {
        run: id,
        event: "run_result",
        status: status.unwrap_or(&summary.status),
        result,
        failure: run.result().and_then(Result::err),
        cost: summary.cost,
        unconfirmed: summary.unconfirmed,
        over: summary.over,
        tokens: summary.tokens,
        ok: summary.ok,
        failed: summary.failed,
        skipped: summary.skipped,
        open: summary.open,
    };
    let line = json::event(&line).context("cannot write the result as JSON")?;
    Ok(output::print(&line).context("cannot write to stdout")?)
}
