//! Replays real tasks to check statements made before a run.
//!
//! It uses the same code as a run: the history, the forecasts, the simulation, the ladder's policy.
//! The file is not part of the project, and nothing in the project is fitted to it;
//! `docs/estimates.md` describes its format.

mod data;
mod estimates;
mod ladder;
mod stage;
mod table;

use data::{Case, read};
use stage::Stage;
use std::path::PathBuf;
use std::process::ExitCode;
use table::Table;

/// Replays real tasks.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file: JSON lines, plain or `.gz`.
    #[arg(long)]
    history: PathBuf,
    /// Models to estimate, by the beginning of their names in the file.
    #[arg(long = "model", default_values = ["Claude 4.5 Opus", "Claude 4.5 Sonnet", "GPT-5 (", "GPT-5 mini"])]
    models: Vec<String>,
    /// The first model of the ladder.
    #[arg(long, default_value = "GPT-5 mini")]
    weak: String,
    /// The last.
    #[arg(long, default_value = "Claude 4.5 Opus")]
    strong: String,
    /// Random halves to learn from; each is checked on the other half.
    #[arg(long, default_value_t = 200)]
    halves: u32,
    /// Totals of twenty tasks drawn from each half.
    #[arg(long, default_value_t = 10)]
    totals: u32,
    /// Seed of all random choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the benchmark; the exit code is 1 if a required figure is missed.
pub(crate) fn run(args: &Args) -> ExitCode {
    let cases = match read(&args.history) {
        Ok(cases) => cases,
        Err(problem) => return stop(&problem),
    };
    let name = |beginning: &String| {
        let known = cases
            .iter()
            .flat_map(|case| case.results.keys())
            .find(|name| name.starts_with(beginning));
        known
            .cloned()
            .ok_or_else(|| format!("no model of the history begins with `{beginning}`"))
    };
    let names: Result<Vec<_>, _> = args
        .models
        .iter()
        .chain([&args.weak, &args.strong])
        .map(name)
        .collect();
    let names = match names {
        Ok(names) => names,
        Err(problem) => return stop(&problem),
    };
    let (models, ladder) = names.split_at(args.models.len());
    let stage = Stage {
        cases: &cases,
        halves: args.halves,
        seed: args.seed,
    };
    let mut table = Table::default();
    for model in models {
        estimates::judge(&stage, model, models, args.totals, &mut table);
    }
    ladder::judge(&stage, &ladder[0], &ladder[1], &mut table);
    table.print();
    if table.all_reached() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn stop(problem: &str) -> ExitCode {
    table::say(&format!("error: {problem}"));
    ExitCode::from(2)
}
