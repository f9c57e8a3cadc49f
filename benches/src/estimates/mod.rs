//! Simulates flows of agents and compares their cost with the plans for them: without history,
//! after runs of the flow itself, and after runs of other flows.
//!
//! No model is asked and nothing is sent. Agents are drawn turn by turn, their runs are recorded as
//! journals, the history is read from those as from any, and the resulting plan is compared with
//! further simulated runs. `docs/estimates.md` has the latest table.

mod agents;
mod flows;
mod plan;
mod play;

use divisi_core::History;
use fastrand::Rng;
use flows::FLOWS;
use plan::plan;
use play::{Habits, play};
use std::io::Write;
use std::process::ExitCode;

/// Simulates flows of agents, and compares their cost with the plans for them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Worlds; in each, all flows are simulated with agents of other properties.
    #[arg(long, default_value_t = 12)]
    worlds: u64,
    /// Runs of a flow that its plan is compared with.
    #[arg(long, default_value_t = 40)]
    runs: u32,
    /// Simulated runs of a plan.
    #[arg(long, default_value_t = 300)]
    draws: u32,
    /// Seed of all random choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The history of a plan.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    /// This number of runs of the flow itself.
    Own(u32),
    /// One run of a single other flow: as many plans as there are other flows.
    EachOther,
    /// One run of each other flow.
    AllOthers,
}

const BEFORE: [(Before, &str); 6] = [
    (Before::Own(0), "no run"),
    (Before::Own(1), "1 run"),
    (Before::Own(3), "3 runs"),
    (Before::Own(10), "10 runs"),
    (Before::EachOther, "1 run of another"),
    (Before::AllOthers, "1 run of all others"),
];

/// The results of plans of one flow after one sort of history.
#[derive(Default, Clone)]
struct Judged {
    /// Median of the plan divided by the median of the runs.
    ratios: Vec<f64>,
    /// Number of runs inside p10–p90, and of all runs.
    inside: (u32, u32),
    /// p90 divided by p10.
    widths: Vec<f64>,
    /// Median of the plan divided by that of the plan without history.
    moved: Vec<f64>,
}

/// Runs the benchmark; prints its tables.
pub(crate) fn run(args: &Args) -> ExitCode {
    let mut table = vec![vec![Judged::default(); BEFORE.len()]; FLOWS.len()];
    for world in 0..args.worlds {
        let mut rng = Rng::with_seed(args.seed << 32 | world);
        let habits: Vec<Habits> = FLOWS.iter().map(|_| Habits::draw(&mut rng)).collect();
        for (place, flow) in FLOWS.iter().enumerate() {
            // These runs have the inputs that the plan was made for.
            let inputs = rng.u64(..);
            let mut own = || play(flow, habits[place], (1_000, inputs), &mut rng);
            let mut actual: Vec<f64> = (0..args.runs).map(|_| own().cost.0 as f64).collect();
            actual.sort_by(f64::total_cmp);
            let first = plan(flow, &History::default(), inputs, args.draws).cost.p50;
            for (column, (before, _)) in BEFORE.iter().enumerate() {
                for history in histories(*before, place, &habits, &mut rng) {
                    let forecast = plan(flow, &history, inputs, args.draws);
                    let judged = &mut table[place][column];
                    judged.judge(&forecast.cost.map(|cost| cost.0 as f64), &actual);
                    judged
                        .moved
                        .push(forecast.cost.p50.0 as f64 / first.0 as f64);
                }
            }
        }
    }
    print(&table);
    ExitCode::SUCCESS
}

fn histories(before: Before, own: usize, habits: &[Habits], rng: &mut Rng) -> Vec<History> {
    let mut at = 0;
    let mut teach = |history: &mut History, flow: usize| {
        at += 100_000_000;
        let inputs = rng.u64(..);
        play(&FLOWS[flow], habits[flow], (at, inputs), rng).teach(history);
    };
    let others = (0..FLOWS.len()).filter(|other| *other != own);
    match before {
        Before::Own(times) => {
            let mut history = History::default();
            (0..times).for_each(|_| teach(&mut history, own));
            vec![history]
        }
        Before::AllOthers => {
            let mut history = History::default();
            others.for_each(|other| teach(&mut history, other));
            vec![history]
        }
        Before::EachOther => others
            .map(|other| {
                let mut history = History::default();
                teach(&mut history, other);
                history
            })
            .collect(),
    }
}

impl Judged {
    fn judge(&mut self, cost: &divisi_core::estimate::Spread<f64>, actual: &[f64]) {
        let middle = actual[actual.len() / 2];
        self.ratios.push(cost.p50 / middle);
        let inside = |cost_of_run: &&f64| (cost.p10..=cost.p90).contains(*cost_of_run);
        self.inside.0 += actual.iter().filter(inside).count() as u32;
        self.inside.1 += actual.len() as u32;
        self.widths.push(cost.p90 / cost.p10);
    }

    fn add(&mut self, other: &Self) {
        self.ratios.extend(&other.ratios);
        self.widths.extend(&other.widths);
        self.moved.extend(&other.moved);
        self.inside.0 += other.inside.0;
        self.inside.1 += other.inside.1;
    }

    fn middle(values: &[f64]) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn share_inside(&self) -> f64 {
        f64::from(self.inside.0) / f64::from(self.inside.1) * 100.0
    }

    /// The largest factor between one of these ratios and 1, in either direction.
    fn worst(ratios: &[f64]) -> f64 {
        let off = ratios.iter().map(|ratio| ratio.max(1.0 / ratio));
        off.fold(1.0, f64::max)
    }

    fn far(&self) -> f64 {
        let far = |ratio: &&f64| ratio.max(1.0 / **ratio) > 3.0;
        self.ratios.iter().filter(far).count() as f64 / self.ratios.len() as f64 * 100.0
    }
}

fn print(table: &[Vec<Judged>]) {
    let mut out = std::io::stdout().lock();
    let mut line = |cells: Vec<String>| {
        // A closed stdout is ignored.
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    };
    let names = BEFORE.iter().map(|(_, name)| (*name).to_owned());
    line(
        [String::from("p50 ÷ median / % inside")]
            .into_iter()
            .chain(names.clone())
            .collect(),
    );
    line(
        std::iter::once("---")
            .chain(BEFORE.map(|_| "---:"))
            .map(Into::into)
            .collect(),
    );
    for (flow, row) in FLOWS.iter().zip(table) {
        let cell = |judged: &Judged| {
            format!(
                "{:.2} / {:.0}",
                Judged::middle(&judged.ratios),
                judged.share_inside()
            )
        };
        line(
            std::iter::once(flow.name.to_owned())
                .chain(row.iter().map(cell))
                .collect(),
        );
    }
    let all: Vec<Judged> = (0..BEFORE.len())
        .map(|column| {
            let mut all = Judged::default();
            table.iter().for_each(|row| all.add(&row[column]));
            all
        })
        .collect();
    let mut row = |name: &str, cell: &dyn Fn(&Judged) -> String| {
        line(
            std::iter::once(name.to_owned())
                .chain(all.iter().map(cell))
                .collect(),
        );
    };
    row("plans", &|all| all.ratios.len().to_string());
    row("worst, times off", &|all| {
        Times(Judged::worst(&all.ratios)).to_string()
    });
    row("worst, moved by runs", &|all| {
        Times(Judged::worst(&all.moved)).to_string()
    });
    row("over 3 times off, %", &|all| format!("{:.1}", all.far()));
    row("runs inside p10–p90, %", &|all| {
        format!("{:.0}", all.share_inside())
    });
    row("p90 ÷ p10, median", &|all| {
        format!("{:.1}", Judged::middle(&all.widths))
    });
}

/// A ratio, without decimals if it is large.
struct Times(f64);

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            ratio if ratio < 100.0 => write!(f, "{ratio:.2}"),
            ratio => write!(f, "{ratio:.0}"),
        }
    }
}
