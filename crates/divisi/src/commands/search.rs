//! `divisi search`: finds runs by what was asked and answered.

use super::runs::selected;
use crate::context::Context;
use crate::display::{Line, Look, Tone, json, look, number};
use crate::exit::Exit;
use crate::flags::SelectFlags;
use crate::journal::each_event;
use crate::output;
use crate::text;
use anyhow::Context as _;
use clap::value_parser;
use divisi_app::{Problem, clock};
use divisi_core::{Content, Event, Outcome, RunId, Task, TaskId};
use divisi_engine::Engine;
use divisi_engine::store::RunSummary;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Runs that are read, the latest first: a hundred tasks each are read in about half a minute.
const RUNS_READ_MAX: usize = 2_000;

/// Characters of an excerpt before and after the text that was found.
const AROUND_CHARS: usize = 40;

/// Find a text in the names, prompts and results of all runs
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi search \"SQL injection\"
  divisi search parser --here --since 1w
  divisi search timeout --flow audit --json

Upper and lower case are the same. A text that a task answered before it ran again is found, too.")]
pub(crate) struct Args {
    /// The text to find
    text: String,
    #[command(flatten)]
    select: SelectFlags,
    /// Number of places to show
    #[arg(short, long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..))]
    limit: u32,
}

/// A place where the text was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Hit {
    /// The run.
    run: RunId,
    /// The flow's name.
    flow: String,
    /// The name that the run was given.
    name: Option<String>,
    /// The run's folder.
    folder: Option<String>,
    /// The number of the task; `null` for the run as a whole.
    task: Option<String>,
    /// The name of the task.
    label: Option<Arc<str>>,
    /// What the text is in: name, tag, flow, about, label, prompt, context, result or failure.
    part: &'static str,
    /// The text with some words around it.
    excerpt: String,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let needle = args.text.trim().to_lowercase();
    if needle.is_empty() {
        return Err(Problem::usage("the text to find is empty"));
    }
    let engine = Engine::new(context.app.store()?);
    let mut runs = selected(&engine, &args.select, RUNS_READ_MAX, context).await?;
    if runs.len() > RUNS_READ_MAX {
        let left = runs.len() - RUNS_READ_MAX;
        context.app.note(&format!(
            "{left} older runs are not searched; `--flow`, `--here` or `--tag` selects runs"
        ));
        runs.truncate(RUNS_READ_MAX);
    }
    let most = args.limit as usize;
    let mut hits = vec![];
    let mut read = 0;
    for run in &runs {
        read += 1;
        hits.extend(in_run(&engine, run, &needle).await?);
        // One more than is shown is enough to say that there are more.
        if hits.len() > most {
            break;
        }
    }
    let has_more = hits.len() > most;
    hits.truncate(most);
    let text = if context.global.json {
        json::pretty(&hits).context("cannot write the list")?
    } else {
        let look = Look::of_stdout(false);
        let ages: BTreeMap<&RunId, _> = runs.iter().map(|run| (&run.id, run.updated_at)).collect();
        let place = context.app.place();
        let heads = |hit: &Hit| {
            let ago = number::ago(clock::now(), ages[&hit.run]);
            Line::of(Tone::Strong, hit.run.to_string())
                .plain(format!(
                    " {}",
                    text::line(hit.name.as_ref().unwrap_or(&hit.flow))
                ))
                .put(
                    Tone::Dim,
                    format!(
                        "  {ago}  {}",
                        text::line(&place.shown(hit.folder.as_deref()))
                    ),
                )
        };
        look::page(&lines(&hits, heads), &look)
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    if hits.is_empty() {
        let runs = number::counted(read as u64, "run", "runs");
        output::say(&format!("note: nothing found in {runs}"));
    }
    if has_more {
        context.app.note(&format!(
            "these are the latest {most}; there are more: `--limit` shows more of them"
        ));
    }
    Ok(Exit::Ok)
}

/// The hits, each run with its head.
fn lines(hits: &[Hit], head: impl Fn(&Hit) -> Line) -> Vec<Line> {
    let mut lines = vec![];
    let mut shown = None;
    for hit in hits {
        if shown != Some(&hit.run) {
            lines.push(head(hit));
            shown = Some(&hit.run);
        }
        let task = match (&hit.task, &hit.label) {
            (Some(task), Some(label)) => format!("  {task} {}", text::line(label)),
            _ => "  run".to_owned(),
        };
        lines.push(
            Line::new()
                .plain(task)
                .put(Tone::Dim, format!("  {}  ", hit.part))
                .plain(text::line(&hit.excerpt)),
        );
    }
    lines
}

/// All places in one run, those of the run as a whole first, then by task.
async fn in_run(engine: &Engine, run: &RunSummary, needle: &str) -> Result<Vec<Hit>, Problem> {
    let mut hits = vec![];
    let mut look = |task: Option<(TaskId, &Arc<str>)>, part, text: &str| {
        let Some(excerpt) = excerpt(text, needle) else {
            return false;
        };
        hits.push(Hit {
            run: run.id.clone(),
            flow: run.flow.clone(),
            name: run.name.clone(),
            folder: run.folder.clone(),
            task: task.map(|(id, _)| id.to_string()),
            label: task.map(|(_, label)| label.clone()),
            part,
            excerpt,
        });
        true
    };
    look(None, "flow", &run.flow);
    run.name
        .iter()
        .for_each(|name| _ = look(None, "name", name));
    run.about
        .iter()
        .for_each(|about| _ = look(None, "about", about));
    run.tags.iter().for_each(|tag| _ = look(None, "tag", tag));
    // Texts are read after the events, because reading them waits.
    let mut texts: Vec<(TaskId, Text)> = vec![];
    let mut labels: BTreeMap<TaskId, Arc<str>> = BTreeMap::new();
    each_event(&**engine.store(), &run.id, |recorded| {
        match recorded.event {
            Event::TaskSubmitted(submitted) if submitted.facts.wait.is_none() => {
                labels.insert(submitted.task, submitted.facts.label.clone());
                texts.push((submitted.task, Text::Spec(submitted.spec)));
            }
            Event::TaskEnded { task, outcome } => texts.push((task, Text::Outcome(outcome))),
            _ => {}
        }
    })
    .await?;
    // By task; the order of events within one.
    texts.sort_by_key(|(task, _)| *task);
    for (id, text) in texts {
        let Some(label) = labels.get(&id) else {
            continue;
        };
        let task = Some((id, label));
        match text {
            Text::Spec(spec) => {
                let json = engine.read(&spec).await?;
                let Ok(spec) = serde_json::from_str::<Task>(&json) else {
                    continue;
                };
                let in_prompt = look(task, "prompt", &spec.prompt);
                spec.context
                    .iter()
                    .for_each(|text| _ = look(task, "context", text));
                // A label is often the beginning of the prompt.
                if !in_prompt {
                    look(task, "label", label);
                }
            }
            Text::Outcome(Outcome::Ok { value }) => {
                let json = engine.read(&value).await?;
                match serde_json::from_str(&json) {
                    Ok(Value::String(text)) => look(task, "result", &text),
                    _ => look(task, "result", &json),
                };
            }
            Text::Outcome(Outcome::Failed(failure)) => {
                look(task, "failure", &failure.to_string());
            }
            Text::Outcome(Outcome::Skipped { .. } | Outcome::Cancelled) => {}
        }
    }
    Ok(hits)
}

/// A text of a task, or what leads to one.
enum Text {
    Spec(Content),
    Outcome(Outcome),
}

/// The first place of `needle`, which is in lower case, with some words around it.
fn excerpt(text: &str, needle: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let at = lower.find(needle)?;
    // Counted in characters: lower case may have other bytes.
    let start = lower[..at].chars().count();
    let length = needle.chars().count();
    let first = start.saturating_sub(AROUND_CHARS);
    let mut chars = text.chars().skip(first);
    let wanted = start - first + length + AROUND_CHARS;
    let cut: String = chars.by_ref().take(wanted).collect();
    let words = cut.split_whitespace().collect::<Vec<_>>().join(" ");
    let (before, after) = (
        if first > 0 { "…" } else { "" },
        if chars.next().is_some() { "…" } else { "" },
    );
    Some(format!("{before}{words}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_has_the_words_around_the_text() {
        assert_eq!(
            excerpt("one TWO\n three", "two").as_deref(),
            Some("one TWO three")
        );
        assert_eq!(excerpt("one", "two"), None);
        let long = format!(
            "{} Fehler in der ÜBERGABE {}",
            "a".repeat(99),
            "b".repeat(99)
        );
        let cut = excerpt(&long, "übergabe").unwrap();
        assert!(
            cut.starts_with("…aaa") && cut.contains("der ÜBERGABE bbb") && cut.ends_with("b…"),
            "{cut}"
        );
    }
}
