//! `divisi diff`: two runs, task by task.

use crate::context::Context;
use crate::display::{Line, Look, Tone, json, look, number, show};
use crate::exit::Exit;
use crate::output;
use crate::results::{self, form::Row};
use crate::text;
use anyhow::Context as _;
use divisi_app::{Intent, Problem};
use divisi_core::view::{Status, TaskView};
use divisi_core::{PicoUsd, RunId, RunView, TaskId};
use divisi_engine::Engine;
use divisi_engine::store::status_word;
use schemars::JsonSchema;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Longest time for the difference of two results; after that it is coarser.
const DIFF_TIME_MAX: Duration = Duration::from_secs(1);

/// Lines of a difference that are shown without `--all`.
const LINES_MAX: usize = 12;

/// Compare two runs: which tasks have other results, costs, models
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi diff k3f9 8xw0
  divisi diff k3f9 8xw0 \"audit auth\" --all
  divisi diff k3f9 8xw0 --jq '.tasks[] | select(.result == \"changed\") | .label'

Tasks are matched by label and phase, tasks of one label in their order; what is left, by their place in \
the flow.")]
pub(crate) struct Args {
    /// The first run: its id or the beginning of it, its name, its flow, or `last` of this folder
    before: String,
    /// The second run
    after: String,
    /// Only tasks with these labels
    labels: Vec<String>,
    /// Show differences of results in full
    #[arg(short, long)]
    all: bool,
}

/// Two runs, task by task.
#[derive(Serialize, JsonSchema)]
pub(super) struct Diff {
    /// The first run.
    before: Side,
    /// The second run.
    after: Side,
    /// The tasks of both.
    tasks: Vec<Pair>,
}

/// A run.
#[derive(Serialize, JsonSchema)]
struct Side {
    /// The run.
    run: RunId,
    /// Its stage in a word.
    status: &'static str,
    /// What it cost, with what may be billed at most for requests without a reply.
    cost: PicoUsd,
    /// The number of its tasks.
    tasks: usize,
}

/// A task of both runs, or of one of them.
#[derive(Serialize, JsonSchema)]
struct Pair {
    /// Its name.
    label: Arc<str>,
    /// Its phase.
    phase: Option<Arc<str>>,
    /// The task in the first run.
    before: Option<One>,
    /// The task in the second run.
    after: Option<One>,
    /// What has become of its result.
    result: Change,
    /// The difference of the results as a unified diff; only for changed ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

/// A task in one of the runs.
#[derive(PartialEq, Serialize, JsonSchema)]
struct One {
    /// Its number: `t7`.
    task: String,
    /// Its state.
    status: Status,
    /// The model that answered.
    model: Option<Arc<str>>,
    /// What it cost.
    cost: PicoUsd,
}

/// What has become of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Change {
    /// Both runs have the same.
    Same,
    /// They differ.
    Changed,
    /// Only the second run has the task.
    Added,
    /// Only the first run has it.
    Removed,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let before = load(&engine, &args.before, context).await?;
    let after = load(&engine, &args.after, context).await?;
    let mut tasks = vec![];
    for (one, other) in matched(&before.view, &after.view) {
        let pair = pair(
            one.and_then(|id| Some((&before.view, before.rows.get(&id)?))),
            other.and_then(|id| Some((&after.view, after.rows.get(&id)?))),
        );
        tasks.extend(pair);
    }
    if !args.labels.is_empty() {
        tasks.retain(|pair| args.labels.iter().any(|label| **label == *pair.label));
        if tasks.is_empty() {
            let labels = args.labels.join("`, `");
            return Err(Problem::usage(format!("neither run has a task `{labels}`"))
                .hint("`divisi show <run>` lists the tasks of a run"));
        }
    }
    let diff = Diff {
        before: before.side(),
        after: after.side(),
        tasks,
    };
    let text = if context.global.json {
        json::pretty(&diff).context("cannot write the difference")?
    } else {
        let look = Look::of_stdout(false);
        look::page(&diff.lines(args.all, &look), &look)
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}

/// A run with its results.
struct Loaded {
    id: RunId,
    view: RunView,
    rows: BTreeMap<TaskId, Row>,
}

async fn load(engine: &Engine, word: &str, context: &Context) -> Result<Loaded, Problem> {
    let id = context.app.find_run(word, Intent::Look).await?;
    let (view, _) = engine.view(&id).await?;
    let ids = results::all(&view);
    let rows = results::rows(engine, &id, &view, ids.clone()).await?;
    let rows = ids.into_iter().zip(rows).collect();
    Ok(Loaded { id, view, rows })
}

impl Loaded {
    fn side(&self) -> Side {
        Side {
            run: self.id.clone(),
            status: status_word(&self.view.stage),
            cost: self.view.money.spent().total(),
            tasks: self.rows.len(),
        }
    }
}

/// The tasks of both runs in the order of the first, then those that only the second one has.
fn matched(before: &RunView, after: &RunView) -> Vec<(Option<TaskId>, Option<TaskId>)> {
    let name = |view: &RunView, task: &TaskView| (task.label.clone(), view.phase_of(task).cloned());
    let mut others: HashMap<_, VecDeque<TaskId>> = HashMap::new();
    for id in results::all(after) {
        let task = &after.tasks[id.index()];
        others.entry(name(after, task)).or_default().push_back(id);
    }
    let mut pairs: Vec<(Option<TaskId>, Option<TaskId>)> = vec![];
    for id in results::all(before) {
        let task = &before.tasks[id.index()];
        let other = others
            .get_mut(&name(before, task))
            .and_then(VecDeque::pop_front);
        pairs.push((Some(id), other));
    }
    let mut left: Vec<TaskId> = others.into_values().flatten().collect();
    left.sort_unstable();
    // A label may have been edited: the place in the flow tells, too.
    let place = |view: &RunView, id: TaskId| {
        let task = &view.tasks[id.index()];
        // Without the column, which an edit in the same line moves.
        let site = task.site.and_then(|site| view.sites.get(site))?;
        Some((site.script.clone(), site.line))
    };
    for (one, other) in pairs.iter_mut().filter(|(_, other)| other.is_none()) {
        let Some(here) = one.and_then(|id| place(before, id)) else {
            continue;
        };
        if let Some(found) = left
            .iter()
            .position(|id| place(after, *id).as_ref() == Some(&here))
        {
            *other = Some(left.remove(found));
        }
    }
    pairs.extend(left.into_iter().map(|id| (None, Some(id))));
    pairs
}

fn pair(before: Option<(&RunView, &Row)>, after: Option<(&RunView, &Row)>) -> Option<Pair> {
    let (_, named) = after.or(before)?;
    let one = |(_, row): (&RunView, &Row)| One {
        task: row.task.clone(),
        status: row.status,
        model: row.model.clone(),
        cost: row.cost,
    };
    let (result, diff) = match (before, after) {
        (Some((_, a)), Some((_, b))) if a.result == b.result && a.status == b.status => {
            (Change::Same, None)
        }
        (Some((_, a)), Some((_, b))) => (Change::Changed, Some(unified(&a.text(), &b.text()))),
        (Some(_), None) => (Change::Removed, None),
        (None, _) => (Change::Added, None),
    };
    Some(Pair {
        label: named.label.clone(),
        phase: named.phase.clone(),
        before: before.map(one),
        after: after.map(one),
        result,
        diff,
    })
}

/// Both texts as one diff, in the usual form.
fn unified(before: &str, after: &str) -> String {
    let diff = TextDiff::configure()
        .timeout(DIFF_TIME_MAX)
        .diff_lines(before, after);
    let mut lines = String::new();
    for (number, group) in diff.grouped_ops(2).iter().enumerate() {
        if number > 0 {
            lines.push_str("…\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => "-",
                ChangeTag::Insert => "+",
                ChangeTag::Equal => " ",
            };
            lines.push_str(sign);
            lines.push_str(change.value().trim_end_matches('\n'));
            lines.push('\n');
        }
    }
    lines
}

impl Diff {
    fn lines(&self, all: bool, look: &Look) -> Vec<Line> {
        let side = |side: &Side| {
            let tasks = number::counted(side.tasks as u64, "task", "tasks");
            let (
                dot,
                Side {
                    run, status, cost, ..
                },
            ) = (look.dot(), side);
            Line::of(Tone::Strong, run.to_string())
                .plain(format!(" {status}{dot}{tasks}{dot}{cost}"))
        };
        let mut lines = vec![side(&self.before), side(&self.after)];
        let is_same = |pair: &&Pair| pair.result == Change::Same;
        let same = self.tasks.iter().filter(is_same).count();
        for pair in &self.tasks {
            let facts = pair.facts(look);
            // The same result at the same price is nothing to look at, unless all is asked for.
            if pair.result == Change::Same && facts.is_empty() && !all {
                continue;
            }
            let (sign, tone) = match pair.result {
                Change::Same => (" ", Tone::Plain),
                Change::Changed => ("~", Tone::Warn),
                Change::Added => ("+", Tone::Good),
                Change::Removed => ("-", Tone::Bad),
            };
            let task = pair.after.as_ref().or(pair.before.as_ref());
            let task = task.map_or("", |one| &one.task);
            lines.push(
                Line::of(tone, format!("{sign} {task} "))
                    .put(Tone::Strong, text::line(&pair.label))
                    .put(Tone::Dim, facts),
            );
            let diff: Vec<&str> = pair.diff.iter().flat_map(|diff| diff.lines()).collect();
            let most = if all { diff.len() } else { LINES_MAX };
            for line in diff.iter().take(most) {
                let tone = match line.chars().next() {
                    Some('-') => Tone::Bad,
                    Some('+') => Tone::Good,
                    _ => Tone::Dim,
                };
                lines.push(Line::of(tone, format!("    {}", text::flat(line))));
            }
            if diff.len() > most {
                let more = diff.len() - most;
                lines.push(Line::of(
                    Tone::Dim,
                    format!("    … {more} more lines; `--all` shows them"),
                ));
            }
        }
        let same = number::counted(same as u64, "task has", "tasks have");
        lines.push(Line::of(Tone::Dim, format!("{same} the same result")));
        lines
    }
}

impl Pair {
    /// What else differs: status, model, cost.
    fn facts(&self, look: &Look) -> String {
        let (Some(before), Some(after)) = (&self.before, &self.after) else {
            return String::new();
        };
        let mut facts = vec![];
        let arrow = look.arrow();
        if before.status != after.status {
            facts.push(format!(
                "{}{arrow}{}",
                show::word(before.status),
                show::word(after.status)
            ));
        }
        if before.model != after.model {
            let model = |one: &One| one.model.as_deref().unwrap_or("-").to_owned();
            facts.push(format!("{}{arrow}{}", model(before), model(after)));
        }
        // As far as the page shows it.
        let costs = [before, after].map(|one| one.cost.to_string());
        if costs[0] != costs[1] {
            facts.push(costs.join(arrow));
        }
        match facts.is_empty() {
            true => String::new(),
            false => format!("  {}", text::line(&facts.join(look.dot()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_the_lines_around_it() {
        let before = "a\nb\nc\nd\ne\nf\ng\n";
        let after = "a\nb\nc\nd\nE\nf\ng\n";
        assert_eq!(unified(before, after), " c\n d\n-e\n+E\n f\n g\n");
        assert_eq!(unified("same", "same"), "");
    }
}
