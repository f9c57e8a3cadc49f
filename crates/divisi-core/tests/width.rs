//! Measures how much of a fan-out's width a cap leaves, and how much of the cap can be spent.
//!
//! Fan-outs with random reply lengths are played in virtual time under caps from half of their cost
//! to three times as much, and once without a cap. Each task sends one request; a reply that does
//! not fit its room is cut off, paid for and requested again.

use divisi_core::budget::TurnBound;
use divisi_core::event::{Caps, FlowSource, RunLabel, TaskFacts, Turn};
use divisi_core::run::{AttemptEnd, Stage, Submission};
use divisi_core::{
    AttemptId, Content, Digest, Event, Failure, FailureClass, Input, Key, Limits, Millis, PicoUsd,
    Run, Timestamp, Usage,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// The longest reply of a request, as the engine asks for it by default.
const REPLY_TOKENS_MAX: u32 = 16_384;

/// Picodollars: 15 dollars for a million tokens.
const TOKEN: PicoUsd = PicoUsd(15_000_000);

/// Duration of a request in milliseconds: a constant part, and a part per token of its reply.
const LATENCY: Millis = Millis(1_000);
const TOKEN_TAKES: u64 = 15;

/// A fan-out of tasks with these reply lengths.
struct FanOut {
    replies: Vec<u32>,
    prompt: PicoUsd,
}

/// The result of a play.
struct Played {
    took: Millis,
    done: usize,
    /// Replies cut off by their room.
    cut: usize,
    billed: PicoUsd,
    is_parked: bool,
}

impl FanOut {
    /// Creates a fan-out with log-normal reply lengths; the seed decides their median and spread.
    fn of(seed: u64, tasks: usize) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let middle = f64::from(80 + dice.below(1_400));
        let spread = 0.2 + f64::from(dice.below(60)) / 100.0;
        let replies = (0..tasks).map(|_| {
            // The sum of twelve uniform numbers minus six is nearly normal.
            let normal: f64 = (0..12)
                .map(|_| f64::from(dice.below(1_000)) / 1_000.0)
                .sum();
            let tokens = middle * ((normal - 6.0) * spread).exp();
            (tokens as u32).clamp(1, REPLY_TOKENS_MAX)
        });
        let replies = replies.collect();
        let prompt = PicoUsd(u64::from(200 + dice.below(4_000)) * TOKEN.0 / 5);
        Self { replies, prompt }
    }

    fn bound(&self) -> TurnBound {
        TurnBound::new(self.prompt, TOKEN, REPLY_TOKENS_MAX)
    }

    /// The cost of a reply: the prompt costs half of its bound.
    fn bill(&self, tokens: u32) -> PicoUsd {
        PicoUsd(self.prompt.0 / 2 + TOKEN.0 * u64::from(tokens))
    }

    fn cost(&self) -> PicoUsd {
        self.replies.iter().map(|tokens| self.bill(*tokens)).sum()
    }

    /// Plays it to its end, or until the cap allows no more.
    fn play(&self, cap: Option<PicoUsd>) -> Played {
        let mut stage = Playing::start(cap);
        for i in 0..self.replies.len() {
            let facts = TaskFacts {
                models: vec!["sonnet".into()],
                first_turns: vec![self.bound()],
                ..TaskFacts::default()
            };
            let key = Key(Digest::of(&(i as u64).to_le_bytes()));
            let submission = Submission::new(key, facts, text(), None);
            stage.input(Input::Submit(Box::new(submission)));
        }
        stage.input(Input::Tick);
        let mut played = Played {
            took: Millis(0),
            done: 0,
            cut: 0,
            billed: PicoUsd::ZERO,
            is_parked: false,
        };
        loop {
            for (attempt, room) in std::mem::take(&mut stage.started) {
                let tokens = self.replies[attempt.task.index()].min(room);
                let took = LATENCY.0 + TOKEN_TAKES * u64::from(tokens);
                stage
                    .due
                    .push(Reverse((stage.now + Millis(took), attempt, room)));
            }
            let Some(Reverse((due, attempt, room))) = stage.due.pop() else {
                break;
            };
            stage.now = due;
            let wanted = self.replies[attempt.task.index()];
            let end = if wanted > room {
                played.cut += 1;
                let failure = Failure::new(FailureClass::Truncated, "cut off");
                AttemptEnd {
                    usage: usage(room),
                    cost: self.bill(room),
                    next_turn: Some(self.bound().widened(room)),
                    ..AttemptEnd::of(Err(failure))
                }
            } else {
                played.done += 1;
                AttemptEnd {
                    last_turn: Some(Box::new(self.turn(wanted))),
                    ..AttemptEnd::of(Ok(text()))
                }
            };
            played.billed += self.bill(wanted.min(room));
            let end = Box::new(end);
            stage.input(Input::AttemptEnded { attempt, end });
            stage.input(Input::Tick);
        }
        played.took = Millis(stage.now.0);
        played.is_parked = matches!(stage.run.stage(), Stage::Parked(_));
        assert_eq!(played.billed, stage.run.budget().settled);
        played
    }

    fn turn(&self, tokens: u32) -> Turn {
        Turn {
            request: Digest::of(b"request"),
            reply: text(),
            model: "sonnet".into(),
            judges: false,
            usage: usage(tokens),
            cost: self.bill(tokens),
            estimated: false,
            took: Millis(1),
            times: divisi_core::event::Times::default(),
        }
    }
}

/// A run in virtual time.
struct Playing {
    run: Run,
    now: Timestamp,
    started: Vec<(AttemptId, u32)>,
    due: BinaryHeap<Reverse<(Timestamp, AttemptId, u32)>>,
}

impl Playing {
    fn start(cap: Option<PicoUsd>) -> Self {
        let mut stage = Self {
            run: Run::new(),
            now: Timestamp(0),
            started: vec![],
            due: BinaryHeap::new(),
        };
        let flow = FlowSource {
            label: RunLabel::default(),
            path: None,
            source: text(),
            args: None,
            folder: None,
            options: None,
        };
        let limits = Limits {
            in_flight_max: 64,
            ..Limits::default()
        };
        stage.input(Input::Start {
            name: Arc::from("fan-out"),
            flow,
            limits,
            caps: Caps::of(cap),
        });
        stage
    }

    fn input(&mut self, input: Input) {
        for event in self.run.decide(self.now, input) {
            self.run
                .apply(self.now, &event)
                .expect("what was decided follows");
            let budget = self.run.budget();
            let used = budget.settled + budget.reserved;
            assert!(
                budget.cap.is_none_or(|cap| used <= cap),
                "{used} is over the cap"
            );
            if let Event::AttemptScheduled {
                attempt,
                reply_tokens,
                ..
            } = event
            {
                let room = reply_tokens.unwrap_or(REPLY_TOKENS_MAX);
                self.started.push((attempt, room));
            }
        }
    }
}

fn text() -> Content {
    Content::Inline("\"done\"".into())
}

fn usage(output: u32) -> Usage {
    Usage {
        output: output.into(),
        ..Usage::default()
    }
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as u32 % bound
    }
}

/// The results of fan-outs of one size under one cap, compared with no cap.
struct Row {
    tasks: usize,
    /// The cap, in percent of the cost.
    percent: u64,
    /// Duration divided by that without a cap: the mean, and the largest.
    slower: f64,
    slowest: f64,
    /// Share of the cap spent by runs that parked: the smallest.
    used: f64,
    parked: usize,
    cut: usize,
}

const SEEDS: u64 = 8;

#[allow(clippy::print_stdout)]
fn row(tasks: usize, percent: u64) -> Row {
    let mut row = Row {
        tasks,
        percent,
        slower: 0.0,
        slowest: 0.0,
        used: 1.0,
        parked: 0,
        cut: 0,
    };
    for seed in 0..SEEDS {
        let fan_out = FanOut::of(seed, tasks);
        let cap = PicoUsd(fan_out.cost().0 / 100 * percent);
        let played = fan_out.play(Some(cap));
        let slower = played.took.0 as f64 / fan_out.play(None).took.0 as f64;
        row.slower += slower / SEEDS as f64;
        row.slowest = row.slowest.max(slower);
        row.cut += played.cut;
        row.parked += usize::from(played.is_parked);
        if played.is_parked {
            row.used = row.used.min(played.billed.0 as f64 / cap.0 as f64);
        } else {
            assert_eq!(played.done, tasks);
        }
    }
    println!(
        "| {tasks} | {percent} % | {:.2} | {:.2} | {} of {SEEDS} | {:.1} % | {} |",
        row.slower,
        row.slowest,
        row.parked,
        row.used * 100.0,
        row.cut
    );
    row
}

/// `cargo test -p divisi-core --test width -- --nocapture` prints the table of
/// docs/benchmarks.md.
#[test]
fn a_cap_near_the_cost_leaves_a_fan_out_its_width() {
    for tasks in [40, 100, 200, 400, 1_000] {
        for percent in [50, 100, 120, 200, 300] {
            let row = row(tasks, percent);
            let name = format!("{} tasks under {} %", row.tasks, row.percent);
            let enough = percent >= 120;
            assert_eq!(row.parked, if enough { 0 } else { row.parked }, "{name}");
            assert!(row.used >= if tasks < 100 { 0.9 } else { 0.95 }, "{name}");
            if tasks >= 400 && enough {
                assert!(row.slower <= 1.3, "{name}: {:.2}", row.slower);
            }
            // One task at a time would take 20 times as long.
            assert!(row.slowest <= 7.0, "{name}: {:.2}", row.slowest);
        }
    }
}
