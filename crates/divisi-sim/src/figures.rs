//! Sums over many simulations.

use divisi_sim::{Spending, Tally};
use std::fmt::Write;

/// Sums over simulations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    runs: u64,
    all: Tally,
    /// Used shares of the caps that were exhausted.
    usable: Vec<f64>,
    billed: f64,
    cut: f64,
    /// Largest amount over a cap, in picodollars.
    overshoot: u64,
}

impl Figures {
    pub(crate) fn add(&mut self, tally: Tally, spending: Option<Spending>) {
        self.runs += 1;
        self.all += tally;
        let Some(spending) = spending else { return };
        self.overshoot = self.overshoot.max(spending.overshoot().0);
        if spending.exhausted {
            let share = |amount: divisi_core::PicoUsd| amount.0 as f64 / spending.cap.0 as f64;
            self.usable.push(spending.usable());
            self.billed += share(spending.billed);
            self.cut += share(spending.billed_for_cut);
        }
    }

    /// A summary of a few lines.
    pub(crate) fn summary(mut self, from: u64, seconds: f64) -> String {
        let Tally {
            events,
            requests,
            kills,
            executions,
            cut,
            refusals,
            stand_ins,
            waited,
            withdrawn,
            held,
            timeouts,
            answered,
            polled,
            turned_away,
            limited,
            warm,
            parks,
            hedges,
            wakes,
            fired,
            fired_late,
            timed_out,
            at_once,
        } = self.all;
        let mut text = format!(
            "{} seeds from {from}: {executions} executions, {kills} kills, {requests} requests, {events} events in {seconds:.1} s\n\
             {cut} replies cut, {refusals} results refused, {stand_ins} attempts on stand-ins, {parks} parks on a budget, up to {at_once} attempts at once\n\
             {hedges} requests sent a second time, {wakes} waits for quota that were over, {held} waits for a prefix, {timeouts} attempts that took too long, {answered} answers with nothing at work, {polled} waits that were polled\n\
             {fired} timers fired, {fired_late} of them were due while no process ran, {timed_out} races were won by one\n\
             {waited} requests waited at a gate, {withdrawn} of them in vain, {turned_away} came to a closed one, {limited} were too many for the vendor, {warm} found their prefix cached",
            self.runs,
        );
        let count = self.usable.len() as f64;
        self.usable.sort_by(f64::total_cmp);
        if let (Some(least), Some(median)) =
            (self.usable.first(), self.usable.get(self.usable.len() / 2))
        {
            let percent = |sum: f64| sum / count * 100.0;
            // Cannot fail: the target is a string.
            let _ = write!(
                text,
                "\novershoot {}; {count} caps used up: usable {:.2} % at the least, {:.2} % in the middle, {:.2} % on average\n\
                 billed {:.1} % of them, {:.1} % for replies that were cut",
                self.overshoot,
                least * 100.0,
                median * 100.0,
                percent(self.usable.iter().sum()),
                percent(self.billed),
                percent(self.cut),
            );
        }
        text
    }
}
