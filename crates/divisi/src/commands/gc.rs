//! `divisi gc`: removes old runs.

use super::rm::{has_ended, is_unchanged, remove};
use super::runs::look_again;
use crate::context::Context;
use crate::display::table::{Column, Table};
use crate::display::{Line, Look, Tone, json, look, number};
use crate::exit::Exit;
use crate::flags::Age;
use crate::output;
use crate::worktrees::{Left, LeftForm};
use anyhow::Context as _;
use divisi_app::{Problem, clock};
use divisi_core::{RunId, Timestamp};
use divisi_engine::Engine;
use divisi_engine::store::{LeaseError, Room, RunSummary};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;
use std::str::FromStr;

/// Show how much disk the runs take, and remove old ones
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi gc                                # how much disk the runs take
  divisi gc --older-than 30d               # shows what would be removed, and asks
  divisi gc --keep 100 --max-size 500MB --yes

A run is removed if any of the limits says so; those that could still be resumed stay, unless \
--unfinished is given, and a run that is being driven always stays. Without a terminal nothing is \
removed unless --yes is given. Worktrees that the runs have left stay, unless --worktrees is given.")]
pub(crate) struct Args {
    /// Remove runs that have not been at work for this long: 12h, 30d, 8w
    #[arg(long, value_name = "AGE")]
    older_than: Option<Age>,
    /// Keep this many runs, the latest
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Remove the oldest runs until the others take no more than this: 500MB, 2GB
    #[arg(long, value_name = "SIZE")]
    max_size: Option<Size>,
    /// Remove also runs that are parked, cancelled or were interrupted, and could be resumed
    #[arg(long)]
    unfinished: bool,
    /// Remove also the worktrees that they have left, with work that is not merged
    #[arg(long)]
    worktrees: bool,
    /// Remove without a question
    #[arg(short, long)]
    yes: bool,
}

/// A number of bytes: `500MB`, `2GB`, `1.5 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_lowercase();
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (base, unit) = match unit.trim().strip_suffix("ib") {
            Some(unit) => (1_024_f64, unit),
            None => (1_000_f64, unit.trim().trim_end_matches('b')),
        };
        let power = ["", "k", "m", "g", "t"]
            .iter()
            .position(|known| *known == unit);
        let number: Option<f64> = number.parse().ok();
        match (number, power) {
            (Some(number), Some(power)) => Ok(Self((number * base.powi(power as i32)) as u64)),
            _ => Err("write it with its unit, like 500MB or 2GB".to_owned()),
        }
    }
}

/// What the store takes, and what is removed from it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Report {
    /// Bytes of the store on disk.
    total_bytes: u64,
    /// Texts that several runs have.
    shared_bytes: u64,
    /// The number of runs.
    runs: usize,
    /// The runs that the limits select, oldest first.
    selected: Vec<Selected>,
    /// Bytes that they take.
    selected_bytes: u64,
    /// Whether any of them were removed.
    removed: bool,
    /// By how much the store is smaller on disk.
    freed_bytes: u64,
    /// Worktrees that the selected runs have left.
    worktrees: LeftForm,
}

/// A run that is removed.
#[derive(Serialize, JsonSchema)]
struct Selected {
    /// Its id.
    run: RunId,
    /// The flow's name.
    flow: String,
    /// The name that it was given.
    name: Option<String>,
    /// Its stage in a word.
    status: String,
    /// Bytes that only it has.
    bytes: u64,
    /// Whether it was removed; one that is at work again stays.
    removed: bool,
    /// When it was last at work.
    updated_at: Timestamp,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let room = engine.store().room().await?;
    // All: the oldest are those to remove.
    let mut runs = engine.store().runs(usize::MAX).await?;
    for run in &mut runs {
        look_again(&engine, run).await?;
    }
    let has_limit = args.older_than.is_some() || args.keep.is_some() || args.max_size.is_some();
    let chosen = chosen(&runs, &room, &args);
    let ids: Vec<RunId> = chosen.iter().map(|run| run.id.clone()).collect();
    let mut left = Left::find(&engine, &ids).await?;
    let mut report = Report {
        total_bytes: room.total,
        shared_bytes: room.shared,
        runs: runs.len(),
        selected_bytes: chosen.iter().map(|run| bytes(&room, run)).sum(),
        selected: chosen
            .iter()
            .map(|run| Selected {
                run: run.id.clone(),
                flow: run.flow.clone(),
                name: run.name.clone(),
                status: run.status.clone(),
                bytes: bytes(&room, run),
                removed: false,
                updated_at: run.updated_at,
            })
            .collect(),
        removed: false,
        freed_bytes: 0,
        worktrees: left.form(),
    };
    let look = Look::of_stdout(false);
    if !context.global.json {
        let page = look::page(&lines(&report, &runs, &room, has_limit, &look), &look);
        output::print(page.trim_end()).context("cannot write to stdout")?;
    }
    if !report.selected.is_empty() && is_agreed(&args, &report, context)? {
        let removed;
        (removed, report.freed_bytes) =
            remove_undriven(&engine, &chosen, &mut left, &args, context).await?;
        report.worktrees = left.form();
        report.removed = !removed.is_empty();
        for it in &mut report.selected {
            it.removed = removed.contains(&it.run);
        }
        if !context.global.json {
            let count = number::counted(removed.len() as u64, "run", "runs");
            let freed = number::bytes(report.freed_bytes);
            output::say(&format!("removed {count}; {freed} of disk are free again"));
        }
        left.tell(context);
    }
    if context.global.json {
        let text = json::pretty(&report).context("cannot write the report")?;
        output::print(&text).context("cannot write to stdout")?;
    }
    Ok(Exit::Ok)
}

fn is_agreed(args: &Args, report: &Report, context: &Context) -> Result<bool, Problem> {
    if args.yes {
        return Ok(true);
    }
    let question = format!(
        "remove {} for good?",
        number::counted(report.selected.len() as u64, "run", "runs")
    );
    let may_ask = !context.global.json && !context.global.quiet;
    let answers = [("yes", true), ("no", false)];
    let answer = match may_ask {
        true => output::ask(&question, &answers).context("cannot read the answer")?,
        false => None,
    };
    if answer.is_none() {
        context.app.note("nothing is removed; `--yes` removes them");
    }
    Ok(answer.unwrap_or(false))
}

/// Removes those that no process has gone on with since they were chosen. Returns them, and by how
/// much the store is smaller.
async fn remove_undriven(
    engine: &Engine,
    chosen: &[&RunSummary],
    left: &mut Left,
    args: &Args,
    context: &Context,
) -> Result<(Vec<RunId>, u64), Problem> {
    let (mut free, mut leases) = (vec![], vec![]);
    for run in chosen {
        match engine.store().leases().take(&run.id).await {
            Ok(lease) if is_unchanged(engine, run).await? => {
                leases.push(lease);
                free.push(run.id.clone());
            }
            Ok(_) => context
                .app
                .note(&format!("run {} was at work just now; it stays", run.id)),
            Err(held @ LeaseError::Held { .. }) => context.app.note(&format!("{held}; it stays")),
            Err(error) => return Err(error.into()),
        }
    }
    left.keep_to(&free);
    if args.worktrees {
        left.remove().await?;
    }
    let freed = match free.is_empty() {
        true => 0,
        false => remove(engine, &free, leases).await?,
    };
    Ok((free, freed))
}

/// The runs that the limits select, oldest first.
fn chosen<'a>(runs: &'a [RunSummary], room: &Room, args: &Args) -> Vec<&'a RunSummary> {
    let now = clock::now();
    let may_go = |run: &RunSummary| {
        has_ended(run)
            || (args.unfinished && matches!(&*run.status, "parked" | "interrupted" | "cancelled"))
    };
    let mut by_age: Vec<&RunSummary> = runs.iter().collect();
    by_age.sort_by(|a, b| (b.updated_at, &b.id).cmp(&(a.updated_at, &a.id)));
    let mut gone = BTreeSet::new();
    for (place, run) in by_age.iter().enumerate() {
        let is_old = args
            .older_than
            .is_some_and(|Age(age)| now.since(run.updated_at) > age);
        let is_beyond = args.keep.is_some_and(|keep| place >= keep);
        if may_go(run) && (is_old || is_beyond) {
            gone.insert(&run.id);
        }
    }
    if let Some(Size(most)) = args.max_size {
        let kept = by_age.iter().filter(|run| !gone.contains(&run.id));
        let mut taken: u64 = kept.map(|run| bytes(room, run)).sum();
        for run in by_age.iter().rev().filter(|run| may_go(run)) {
            if taken <= most {
                break;
            }
            if gone.insert(&run.id) {
                taken = taken.saturating_sub(bytes(room, run));
            }
        }
    }
    by_age.reverse();
    by_age.retain(|run| gone.contains(&run.id));
    by_age
}

fn bytes(room: &Room, run: &RunSummary) -> u64 {
    room.runs.get(&run.id).copied().unwrap_or_default()
}

/// Runs that are shown when nothing is removed.
const LARGEST_MAX: usize = 10;

fn lines(
    report: &Report,
    runs: &[RunSummary],
    room: &Room,
    has_limit: bool,
    look: &Look,
) -> Vec<Line> {
    let now = clock::now();
    let count = number::counted(report.runs as u64, "run", "runs");
    let shared = match report.shared_bytes {
        0 => String::new(),
        bytes => format!(", {} of them shared by several", number::bytes(bytes)),
    };
    let mut lines = vec![
        Line::of(Tone::Strong, number::bytes(report.total_bytes))
            .plain(format!(" on disk for {count}{shared}")),
    ];
    let mut table = Table::new(
        vec![
            Column::left(""),
            Column::left("").at_least(8),
            Column::left(""),
            Column::left("").rank(1),
            Column::right(""),
        ],
        2,
    );
    let mut row = |id: &RunId, name: &str, status: &str, bytes: u64, at| {
        table.row(vec![
            (Tone::Plain, id.to_string()),
            (Tone::Strong, name.to_owned()),
            (Tone::Dim, status.to_owned()),
            (Tone::Dim, number::ago(now, at)),
            (Tone::Plain, number::bytes(bytes)),
        ]);
    };
    if has_limit {
        let bytes = number::bytes(report.selected_bytes);
        let count = number::counted(report.selected.len() as u64, "run", "runs");
        lines.push(Line::new().plain(format!("{count} to remove: {bytes}")));
        for it in &report.selected {
            let name = it.name.as_ref().unwrap_or(&it.flow);
            row(&it.run, name, &it.status, it.bytes, it.updated_at);
        }
        lines.extend(table.render(look));
        if report.worktrees.stay > 0 {
            let count = number::counted(report.worktrees.stay, "worktree", "worktrees");
            lines.push(Line::of(
                Tone::Warn,
                format!("they have left {count}, which stay unless `--worktrees` is given"),
            ));
        }
        return lines;
    }
    let mut largest: Vec<&RunSummary> = runs.iter().collect();
    largest.sort_by_key(|run| std::cmp::Reverse(bytes(room, run)));
    largest.truncate(LARGEST_MAX);
    for run in largest {
        let name = run.name.as_ref().unwrap_or(&run.flow);
        row(&run.id, name, &run.status, bytes(room, run), run.updated_at);
    }
    lines.extend(table.render(look));
    lines.push(Line::of(
        Tone::Dim,
        "`divisi gc --older-than 30d` shows what it would remove, and asks",
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let bytes = |text: &str| text.parse().ok().map(|Size(bytes)| bytes);
        assert_eq!(bytes("500MB"), Some(500_000_000));
        assert_eq!(bytes("1.5 GiB"), Some(3 << 29));
        assert_eq!(bytes("2g"), Some(2_000_000_000));
        assert_eq!(bytes("0"), Some(0));
        for text in ["", "MB", "5 parsecs", "-1MB", "1..2"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
