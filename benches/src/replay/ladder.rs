//! Checks ladders: the cost and results of a weak model, a check, then a strong model, and if the
//! plan predicted them.

use super::estimates::Mean;
use super::stage::{Stage, flow, rung};
use super::table::{Need, Table};
use divisi_core::check::Check;
use divisi_core::climb::{Climb, climb, last_is_kept, needs_check};
use divisi_core::history::Sample;
use divisi_core::preflight::{Forecaster, Priors};
use divisi_core::{History, PicoUsd, Tier};
use fastrand::Rng;

/// Share of correct results that the check accepts.
const RIGHT_ACCEPTED: f64 = 0.95;
/// Share of wrong results that it accepts.
const WRONG_ACCEPTED: f64 = 0.15;

/// The cost of one check.
#[derive(Clone, Copy)]
enum CheckCost {
    /// A command on this machine.
    Nothing,
    /// As much as the weak model spends on the task.
    WeakRun,
}

/// The result of some tasks on a ladder.
#[derive(Default)]
struct Played {
    solved: u32,
    cost: PicoUsd,
    samples: Vec<Sample>,
}

/// Checks a ladder with a free check, and with a costly one.
pub(super) fn judge(stage: &Stage<'_>, weak: &str, strong: &str, table: &mut Table) {
    for (check, words) in [
        (CheckCost::Nothing, "free check"),
        (CheckCost::WeakRun, "a check costs a weak run"),
    ] {
        judge_with(stage, [weak, strong], check, words, table);
    }
}

fn judge_with(
    stage: &Stage<'_>,
    models: [&str; 2],
    check: CheckCost,
    words: &str,
    table: &mut Table,
) {
    let rungs = [rung(models[0], Tier::Haiku), rung(models[1], Tier::Opus)];
    let (mut solved, mut solved_strong) = (Mean::default(), Mean::default());
    let (mut cost, mut cost_strong, mut planned) =
        (Mean::default(), Mean::default(), Mean::default());
    let (mut off, mut inside) = (Mean::default(), Mean::default());
    for (half, other, mut rng) in stage.halves() {
        let history: History = play(stage, &half, models, check, &mut rng)
            .samples
            .into_iter()
            .collect();
        let forecaster = Forecaster::new(&history, Priors::default()).of_flow(flow());
        let forecast = forecaster.graph(&stage.graph(&other, &rungs), &|_| None, rng.u64(..));
        let played = play(stage, &other, models, check, &mut rng);
        let alone = other
            .iter()
            .filter_map(|&case| stage.cost(case, models[1]))
            .sum::<PicoUsd>();
        solved.add(f64::from(played.solved));
        solved_strong.add(
            other
                .iter()
                .filter(|&&case| stage.solved(case, models[1]))
                .count() as f64,
        );
        cost.add(played.cost.0 as f64);
        cost_strong.add(alone.0 as f64);
        planned.add(forecast.mean.0 as f64);
        off.add((forecast.mean.0 as f64 / played.cost.0 as f64 - 1.0).abs());
        inside.add(f64::from(u8::from(
            (forecast.cost.p10..=forecast.cost.p90).contains(&played.cost),
        )));
    }
    let percent = |of: &Mean, whole: &Mean| of.value() / whole.value() * 100.0;
    let ladder = format!("ladder, {words}");
    let row = |table: &mut Table, what: &str, need: Need, figure: f64| {
        table.row(&ladder, what, need, figure);
    };
    row(
        table,
        "solved, % of the strong model's",
        Need::AtLeast(99.0),
        percent(&solved, &solved_strong),
    );
    row(
        table,
        "saved, % of the strong model's cost",
        Need::AtLeast(40.0),
        100.0 - percent(&cost, &cost_strong),
    );
    row(
        table,
        "plan against cost, mean of halves, % off",
        Need::Between(-10.0, 10.0),
        percent(&planned, &cost) - 100.0,
    );
    row(
        table,
        "plan against cost, one half, % off either way",
        Need::Nothing,
        off.value() * 100.0,
    );
    row(
        table,
        "halves whose cost is inside p10–p90, %",
        Need::Nothing,
        inside.value() * 100.0,
    );
}

/// Plays tasks on a ladder, by the policy that runs use.
fn play(
    stage: &Stage<'_>,
    cases: &[usize],
    models: [&str; 2],
    check: CheckCost,
    rng: &mut Rng,
) -> Played {
    let mut played = Played::default();
    for &case in cases {
        let checks = stage
            .node(case, &models.map(|model| rung(model, Tier::Sonnet)))
            .task
            .check;
        let keeps = last_is_kept(checks.iter().map(Check::kind), models.len());
        let mut place = 0;
        loop {
            let model = models[place];
            let Some(mut sample) = stage.sample(case, model) else {
                break;
            };
            let solved = stage.solved(case, model);
            let checked = needs_check(place, models.len(), keeps);
            let accepted = !checked
                || rng.f64()
                    < if solved {
                        RIGHT_ACCEPTED
                    } else {
                        WRONG_ACCEPTED
                    };
            if checked {
                sample.accepted = Some(accepted);
                sample.check_cost = match check {
                    CheckCost::Nothing => PicoUsd::ZERO,
                    CheckCost::WeakRun => stage.cost(case, models[0]).unwrap_or_default(),
                };
            }
            sample.rung = place;
            played.cost += sample.cost + sample.check_cost;
            played.samples.push(sample);
            match climb(place, models.len(), accepted, keeps) {
                Climb::Accept | Climb::Keep => {
                    played.solved += u32::from(solved);
                    break;
                }
                Climb::Next(next) => place = next,
                Climb::Fail => break,
            }
        }
    }
    played
}
