//! A sample run of any size for measurements: fan-outs with a synthesis, and chains, with the times
//! and tokens of agents without tools.

use super::{Leg, Tasks, Works};
use crate::chance::Chance;
use divisi_core::PicoUsd;
use divisi_core::budget::TurnBound;

/// Tasks that one synthesis reads.
const FAN: usize = 99;

/// `count` tasks in groups of a hundred, whose last task waits for all others; in every tenth group
/// each task waits for the previous one.
pub fn tasks(count: usize) -> Tasks {
    let mut waits: Vec<Vec<usize>> = Vec::with_capacity(count);
    for task in 0..count {
        let (group, place) = (task / (FAN + 1), task % (FAN + 1));
        waits.push(match (group % 10, place) {
            (_, 0) => vec![],
            (0, _) => vec![task - 1],
            (_, FAN) => (task - FAN..task).collect(),
            _ => vec![],
        });
    }
    Tasks::new(count, |task| &waits[task])
}

/// Their work: mostly about ten seconds, one to four requests each.
pub fn draw(count: usize, repetition: u64, works: &mut Works) {
    let mut chance = Chance::of(repetition, "what if");
    for task in 0..count {
        // The product of three factors is nearly log-normal.
        let took = (0..3).fold(8_000, |took, _| took * chance.within(500..2_000) / 1_000);
        let requests = if chance.percent(80) {
            1
        } else {
            chance.within(2..5) as u32
        };
        let (input, output) = (
            chance.within(500..4_000) as u32,
            chance.within(100..1_000) as u32,
        );
        let leg = Leg {
            family: Some(0),
            requests,
            took: took as u32,
            input,
            output,
            cost: PicoUsd(u64::from(input) * 1_000_000 + u64::from(output) * 5_000_000),
            bound: TurnBound::new(PicoUsd(5_000_000_000), PicoUsd(5_000_000), 4_096),
        };
        works.push(task, leg);
    }
}
