//! Plays flows of agents and asks the code that plans runs what they will cost: after
//! nothing, after runs of the flow itself, and after runs of others.
//!
//! No model is asked and nothing is sent. Agents are drawn turn by turn, their runs leave
//! journals, the history reads those as it reads any, and the plan that comes of it is held
//! against runs that are played anew. `docs/estimates.md` holds the latest table.

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

/// Plays flows of agents and judges what is planned for them.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Worlds in which every flow is played.
    #[arg(long, default_value_t = 12)]
    worlds: u64,
    /// Runs of a flow that its plan is held against.
    #[arg(long, default_value_t = 40)]
    runs: u32,
    /// Simulated runs of a plan.
    #[arg(long, default_value_t = 300)]
    draws: u32,
    /// Seed of all that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What was run before the plan is made.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    /// The flow itself, so often.
    Own(u32),
    /// Each of the others alone, once: as many plans as there are others.
    EachOther,
    /// All of the others, once.
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

/// How plans of one flow after one sort of history did.
#[derive(Default, Clone)]
struct Judged {
    /// The middle of the plan over the middle of the runs.
    ratios: Vec<f64>,
    /// Runs inside p10–p90, and all.
    inside: (u32, u32),
    /// p90 over p10.
    widths: Vec<f64>,
    /// The middle of the plan over that of the plan after nothing.
    moved: Vec<f64>,
}

/// Runs the benchmark; prints its tables.
pub(crate) fn run(args: &Args) -> ExitCode {
    let mut table = vec![vec![Judged::default(); BEFORE.len()]; FLOWS.len()];
    for world in 0..args.worlds {
        let mut rng = Rng::with_seed(args.seed << 32 | world);
        let habits: Vec<Habits> = FLOWS.iter().map(|_| Habits::draw(&mut rng)).collect();
        for (place, flow) in FLOWS.iter().enumerate() {
            // The runs that a plan is held against have the inputs that it was made for.
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

    /// How far the farthest of these ratios is from 1, either way.
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
        // A reader that has gone away has seen enough.
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

/// A ratio that may be absurd.
struct Times(f64);

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            ratio if ratio < 100.0 => write!(f, "{ratio:.2}"),
            ratio => write!(f, "{ratio:.0}"),
        }
    }
}
