//! Conditions that must hold at a gate, whatever the requests behind it do.
//!
//! The watcher counts by itself and never reads the queue.

use super::ensure;
use divisi_core::Timestamp;
use divisi_core::governor::{Decision, Ending, Estimate, Governor, IN_FLIGHT_MAX, RateSettings};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Watches one gate of one process.
#[derive(Clone, Debug)]
pub(crate) struct GateWatch {
    lines: BTreeMap<u32, Line>,
    in_flight: u32,
    /// Requests that have left, and those of them refused by a limit.
    left: u64,
    limited: u64,
    /// The rate that the user has configured.
    set: Option<Rate>,
    /// Until when the vendor wants no request.
    not_before: Timestamp,
    /// When it reopens, if it is closed; the inner `None` is at no known time.
    closed: Option<Option<Timestamp>>,
    /// Whether a single request must try first if it is open again.
    tries: bool,
    known: Known,
}

/// How well the governor can know what the vendor permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Exactly: the vendor never has to refuse a request because of its limits.
    Exactly,
    /// Exactly except for the varying time in transit.
    Mostly,
    /// The limits or their current use are unknown.
    Hardly,
}

/// The waiting requests of one run.
#[derive(Clone, Debug, Default)]
struct Line {
    waiting: BTreeMap<(Reverse<u32>, u64), Estimate>,
    /// Requests of other runs that have left since this one was due.
    passed_by: usize,
}

/// The configured rate: never more than the burst plus what a minute gives, whatever the vendor
/// says.
#[derive(Clone, Copy, Debug)]
struct Rate {
    per_minute: u64,
    /// In units, of which a request takes [`Rate::PARTS`].
    capacity: u64,
    level: u64,
    filled_at: Timestamp,
}

impl GateWatch {
    pub(crate) fn new(settings: RateSettings, known: Known, now: Timestamp) -> Self {
        let rate = |per_minute: u64| {
            let capacity = settings.burst.unwrap_or_else(|| per_minute.div_ceil(60)) * Rate::PARTS;
            Rate {
                per_minute,
                capacity,
                level: capacity,
                filled_at: now,
            }
        };
        Self {
            lines: BTreeMap::new(),
            in_flight: 0,
            left: 0,
            limited: 0,
            set: settings.requests_per_minute.map(rate),
            not_before: now,
            closed: None,
            tries: false,
            known,
        }
    }

    /// A request must wait.
    pub(crate) fn waits(&mut self, run: u32, priority: u32, ticket: u64, estimate: Estimate) {
        let line = self.lines.entry(run).or_default();
        line.waiting.insert((Reverse(priority), ticket), estimate);
    }

    /// A waiting request is withdrawn.
    pub(crate) fn goes_away(&mut self, run: u32, priority: u32, ticket: u64) -> Result<(), String> {
        let line = self.lines.entry(run).or_default();
        let known = line.waiting.remove(&(Reverse(priority), ticket)).is_some();
        ensure!(known, "one of run {run} leaves the line twice");
        if line.waiting.is_empty() {
            self.lines.remove(&run);
        }
        Ok(())
    }

    /// A waiting request is let through.
    pub(crate) fn turn_of(&mut self, run: u32, priority: u32, ticket: u64) -> Result<(), String> {
        let first = self
            .lines
            .get(&run)
            .and_then(|line| line.waiting.keys().next());
        ensure!(
            first == Some(&(Reverse(priority), ticket)),
            "one of run {run} is overtaken by its own"
        );
        self.goes_away(run, priority, ticket)?;
        let others = self.lines.len();
        for (other, line) in self.lines.iter_mut().filter(|(other, _)| **other != run) {
            line.passed_by += 1;
            // Each of the other runs once, and those that have left since.
            ensure!(
                line.passed_by <= others + PASSED_BY_MORE,
                "run {other} is passed by {} times",
                line.passed_by
            );
        }
        if let Some(line) = self.lines.get_mut(&run) {
            line.passed_by = 0;
        }
        Ok(())
    }

    /// A request leaves.
    pub(crate) fn leaves(&mut self, now: Timestamp) -> Result<(), String> {
        ensure!(
            !self.is_closed(now),
            "a request leaves through a closed gate"
        );
        ensure!(
            self.not_before <= now,
            "a request leaves before the vendor wants one"
        );
        self.tries |= self.closed.take().is_some();
        (self.in_flight, self.left) = (self.in_flight + 1, self.left + 1);
        ensure!(
            !self.tries || self.in_flight == 1,
            "it is not known to be open, and more than one tries"
        );
        ensure!(
            self.in_flight <= IN_FLIGHT_MAX,
            "{} requests are under way",
            self.in_flight
        );
        if let Some(rate) = &mut self.set {
            ensure!(
                rate.take(now),
                "a request leaves although the settings forbid it"
            );
        }
        Ok(())
    }

    /// The reply to the single request has begun: the gate is open.
    pub(crate) fn begins(&mut self) {
        self.tries = false;
    }

    /// A request has ended.
    pub(crate) fn ends(&mut self, now: Timestamp, ending: Ending) -> Result<(), String> {
        self.in_flight -= 1;
        match ending {
            Ending::Quota { until } => self.closed = Some(until),
            Ending::Auth => self.closed = Some(None),
            Ending::RateLimited { retry_after } => {
                self.limited += 1;
                self.not_before = self.not_before.max(now + retry_after.unwrap_or_default());
                ensure!(
                    self.known != Known::Exactly,
                    "the vendor is asked too often, though its limits are known"
                );
            }
            Ending::Ok => self.tries = false,
            Ending::Overloaded | Ending::Other => {}
        }
        Ok(())
    }

    /// The gate may be tried again.
    pub(crate) fn reopens(&mut self, now: Timestamp) {
        (self.closed, self.tries) = (None, true);
        self.not_before = self.not_before.min(now);
    }

    /// A request is refused by a closed gate.
    pub(crate) fn turned_away(&self, now: Timestamp) -> Result<(), String> {
        ensure!(
            self.is_closed(now),
            "a request is turned away from an open gate"
        );
        Ok(())
    }

    /// Checks that no request waits that could leave, and that something will wake those that wait.
    pub(crate) fn at_rest(
        &self,
        governor: &Governor,
        in_line: usize,
        wake_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), String> {
        let waiting: usize = self.lines.values().map(|line| line.waiting.len()).sum();
        ensure!(
            waiting == in_line,
            "{waiting} wait, and {in_line} are in the line"
        );
        ensure!(
            governor.in_flight() == self.in_flight,
            "{} are under way, and {} known of",
            self.in_flight,
            governor.in_flight()
        );
        if waiting == 0 {
            return Ok(());
        }
        ensure!(!self.is_closed(now), "{waiting} wait at a closed gate");
        ensure!(
            wake_at.is_some() || self.in_flight > 0,
            "{waiting} wait, and nothing can wake them"
        );
        ensure!(
            wake_at.is_none_or(|due| due > now),
            "the gate wants to be looked at in the past"
        );
        let may_go = |line: &Line| {
            line.waiting.values().next().is_some_and(|estimate| {
                matches!(governor.clone().ask(now, *estimate), Decision::Go(_))
            })
        };
        // The queue blocks at the first line whose head must wait; if every head could leave, it
        // has missed one.
        ensure!(
            !self.lines.values().all(may_go),
            "{waiting} wait although the governor would let them go"
        );
        Ok(())
    }

    /// The process ends: of the requests sent under known limits, only a few were refused.
    ///
    /// Not checked if the vendor limits output tokens, since the length of a reply is not known
    /// before, or remembers requests of an earlier process.
    pub(crate) fn over(&self) -> Result<(), String> {
        if self.known == Known::Hardly {
            return Ok(());
        }
        let most = LIMITED_MORE + self.left / LIMITED_ONE_IN;
        let Self { limited, left, .. } = self;
        ensure!(
            *limited <= most,
            "{limited} of {left} requests were one too many, though the limits are known"
        );
        Ok(())
    }

    fn is_closed(&self, now: Timestamp) -> bool {
        self.closed
            .is_some_and(|until| until.is_none_or(|until| now < until))
    }
}

/// Runs that may have had their turn and left while another one waited.
const PASSED_BY_MORE: usize = 4;

/// One request in this many may be refused even though the limits are known, if the time in transit
/// varies.
const LIMITED_ONE_IN: u64 = 5;

/// This many more: with a limit of input tokens, a refused request comes again at once.
const LIMITED_MORE: u64 = 8;

impl Rate {
    const PARTS: u64 = 60_000;

    fn take(&mut self, now: Timestamp) -> bool {
        let gained = now.since(self.filled_at).0.saturating_mul(self.per_minute);
        self.level = self.level.saturating_add(gained).min(self.capacity);
        self.filled_at = now;
        let left = self.level.checked_sub(Self::PARTS);
        self.level = left.unwrap_or(0);
        left.is_some()
    }
}
