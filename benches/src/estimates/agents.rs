//! A model of agents: the number of their turns, the tokens that each turn reads and writes, and
//! the effect of the prompt cache.
//!
//! The figures are public ones: turns and replies are skewed, a tool result has some hundred to
//! some thousand tokens, and a prompt prefix that is long enough is read from the cache at a tenth
//! of its price. Nothing is taken from `priors.toml` or from the table of kinds.

use divisi_core::price::Rates;
use divisi_core::{ModelPrice, PicoUsd, Usage};
use fastrand::Rng;

/// A log-normal quantity, by its median and the standard deviation of its logarithm.
#[derive(Clone, Copy)]
pub(super) struct About {
    pub(super) middle: f64,
    pub(super) deviation: f64,
}

pub(super) const fn about(middle: f64, deviation: f64) -> About {
    About { middle, deviation }
}

impl About {
    pub(super) fn draw(self, rng: &mut Rng) -> f64 {
        self.middle * (self.deviation * bell(rng)).exp()
    }

    pub(super) fn times(self, factor: f64) -> Self {
        Self {
            middle: self.middle * factor,
            ..self
        }
    }
}

/// A draw from the standard normal distribution (Box and Muller).
pub(super) fn bell(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * rng.f64().max(1e-300).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

/// How agents do one sort of task.
#[derive(Clone, Copy)]
pub(super) struct Agent {
    /// Requests of one attempt.
    pub(super) turns: About,
    /// Output tokens of a turn that calls a tool.
    pub(super) reply: About,
    /// Tokens of a tool result.
    pub(super) result: About,
    /// Output tokens of the last turn, which is the result.
    pub(super) answer: About,
}

/// A model with its provider and prices.
#[derive(Clone, Copy)]
pub(super) struct Model {
    pub(super) provider: &'static str,
    pub(super) id: &'static str,
    /// Dollars per million tokens: input, output.
    dollars: (f64, f64),
    /// Price of a cache write, relative to that of input.
    write: f64,
    /// Shortest prefix that the cache keeps, in tokens.
    cached_min: u64,
}

const fn model(provider: &'static str, id: &'static str, input: f64, output: f64) -> Model {
    Model {
        provider,
        id,
        dollars: (input, output),
        write: 1.25,
        cached_min: 1_024,
    }
}

pub(super) const HAIKU: Model = Model {
    cached_min: 4_096,
    ..model("anthropic", "claude-haiku", 1.0, 5.0)
};
pub(super) const SONNET: Model = model("anthropic", "claude-sonnet", 3.0, 15.0);
pub(super) const OPUS: Model = model("anthropic", "claude-opus", 5.0, 25.0);
pub(super) const MINI: Model = Model {
    write: 1.0,
    ..model("openai", "gpt-mini", 0.25, 2.0)
};
pub(super) const GPT: Model = Model {
    write: 1.0,
    ..model("openai", "gpt", 1.25, 10.0)
};

impl Model {
    pub(super) fn price(&self) -> ModelPrice {
        let per_token = |dollars: f64| PicoUsd((dollars * 1e6).round() as u64);
        let (input, output) = self.dollars;
        let base = Rates {
            input: per_token(input),
            cache_write_5m: per_token(input * self.write),
            cache_write_1h: per_token(input * 2.0),
            cache_read: per_token(input * 0.1),
            output: per_token(output),
        };
        ModelPrice {
            base,
            ..ModelPrice::default()
        }
    }
}

/// Longest context in tokens: beyond it the attempt ends.
const CONTEXT_MAX: u64 = 180_000;

/// Most turns of one attempt.
pub(super) const TURNS_MAX: u32 = 100;

/// Share of turns followed by a pause that outlasts the cache, because of a slow tool.
const SLOW_TOOL: f64 = 0.02;

/// Usage of each turn of one attempt. `prompt` and `shared` are tokens: `shared` is the prefix in
/// common with other tasks; if `primed`, it is in the cache already.
pub(super) fn attempt(
    agent: &Agent,
    model: &Model,
    has_tools: bool,
    (prompt, shared, primed): (u64, u64, bool),
    rng: &mut Rng,
) -> Vec<Usage> {
    let turns = match has_tools {
        true => (agent.turns.draw(rng).round() as u32).clamp(1, TURNS_MAX),
        false => 1,
    };
    // Factors of the whole attempt, because tasks differ, not only turns.
    let (wordy, heavy) = ((0.25 * bell(rng)).exp(), (0.3 * bell(rng)).exp());
    let (mut context, mut cached) = (prompt, if primed { shared } else { 0 });
    let mut all = vec![];
    for turn in 0..turns {
        let is_last = turn + 1 == turns || context > CONTEXT_MAX;
        let said = if is_last { agent.answer } else { agent.reply };
        let output = said.times(wordy).draw(rng).max(8.0) as u64;
        let left = if has_tools { context } else { shared };
        let keeps = left >= model.cached_min;
        let read = if cached >= model.cached_min {
            cached.min(context)
        } else {
            0
        };
        let written = if keeps { left.saturating_sub(read) } else { 0 };
        all.push(Usage {
            input: context - read - written,
            cache_write_5m: written,
            cache_read: read,
            output,
            ..Usage::default()
        });
        cached = if keeps { left } else { 0 };
        if rng.f64() < SLOW_TOOL {
            cached = 0;
        }
        context += output + agent.result.times(heavy).draw(rng) as u64;
        if is_last {
            break;
        }
    }
    all
}
