//! One task as a flow requests it.

use crate::chance::Chance;
use divisi_core::attempt::Reading;
use divisi_core::budget::TurnBound;
use divisi_core::event::TaskFacts;
use divisi_core::key::KeyParts;
use divisi_core::{FailureClass, Isolation, Key, Millis, PicoUsd};
use std::sync::Arc;

/// Timeout of most attempts.
const TIMEOUT: Millis = Millis::from_secs(1_800);

/// The phases of a flow.
pub(crate) const PHASES: [&str; 3] = ["Search", "Audit", "Fix"];

/// One `agent` call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) text: u64,
    /// Number of requests of an attempt.
    pub(crate) turns: usize,
    /// Bound of the first request's cost on the first model.
    pub(crate) first: TurnBound,
    /// Usual length of its replies in tokens; at most twice this.
    pub(crate) reply_usual: u32,
    /// Tokens of its first prompt.
    pub(crate) input: u64,
    /// The shared beginning of its prompt, if there is one.
    pub(crate) prefix: Option<u8>,
    pub(crate) priority: u32,
    pub(crate) fate: Fate,
    /// Whether a program carries it out, which reports its cost at the end.
    pub(crate) by_program: bool,
    /// Whether it waits for something outside of the process, such as the user.
    pub(crate) outside: bool,
    pub(crate) awaited: bool,
    /// Whether the flow throws if it fails.
    pub(crate) required: bool,
    /// Index into [`PHASES`].
    pub(crate) phase: Option<usize>,
    /// Its own cap.
    pub(crate) own: Option<PicoUsd>,
    /// Number of models in its ladder.
    pub(crate) rungs: usize,
    /// On how many of them its check refuses the result.
    pub(crate) refused: usize,
    /// Whether a model judges its results, which takes another request.
    pub(crate) judged: bool,
    /// Bound of the judge's cost.
    pub(crate) judge: TurnBound,
    /// Number of fallback models.
    pub(crate) stand_ins: usize,
    /// Timeout of one attempt.
    pub(crate) timeout: Millis,
}

/// How a task ends in an undisturbed run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Succeeds,
    Fails(FailureClass),
    /// It needs something unavailable, which is known when it is submitted.
    Useless,
}

impl Ask {
    /// A random task.
    pub(crate) fn new(chance: &mut Chance) -> Self {
        let class = match chance.within(0..3) {
            0 => FailureClass::Declined,
            1 => FailureClass::Turns,
            _ => FailureClass::Auth,
        };
        let mut bound = |most: u64| {
            let reply_tokens_max = chance.within(0..40) as u32;
            TurnBound {
                prompt: PicoUsd(chance.within(0..most)),
                reply_token: PicoUsd(chance.within(0..5)),
                reply_tokens_max,
                reply_tokens_min: chance.within(0..u64::from(reply_tokens_max) / 2 + 1) as u32,
            }
        };
        let (first, judge) = (bound(50), bound(20));
        Self {
            text: chance.any(),
            turns: if chance.percent(60) {
                1
            } else {
                chance.within(1..6) as usize
            },
            first,
            reply_usual: first.reply_tokens_max,
            input: chance.within(20..2_000),
            prefix: chance.percent(40).then(|| chance.within(0..3) as u8),
            priority: chance.within(0..3) as u32,
            fate: match chance.within(0..100) {
                0..86 => Fate::Succeeds,
                86..97 => Fate::Fails(class),
                _ => Fate::Useless,
            },
            by_program: chance.percent(15),
            outside: false,
            awaited: !chance.percent(5),
            required: chance.percent(6),
            phase: chance.percent(60).then(|| chance.place(PHASES.len())),
            own: chance.percent(40).then(|| PicoUsd(chance.within(0..300))),
            rungs: chance.within(1..4) as usize,
            refused: if chance.percent(50) {
                0
            } else {
                chance.within(0..4) as usize
            },
            judged: chance.percent(50),
            judge,
            stand_ins: chance.within(0..3) as usize,
            timeout: if chance.percent(20) {
                Millis(chance.within(4_000..40_000))
            } else {
                TIMEOUT
            },
        }
    }

    /// A task of a fan-out, with the prices of a real model in nanodollars: the bound of a request
    /// is 3 to 30 times its usual cost.
    pub(crate) fn of_fan_out(chance: &mut Chance) -> Self {
        let nanodollars = |amount: u64| PicoUsd(amount * 1_000);
        let reply_token = chance.within(4_000..25_000);
        let reply_tokens_max = [4_096, 8_192, 16_384, 32_768][chance.place(4)];
        let prompt = chance.within(500..8_000) * reply_token / 5;
        let most = prompt + reply_token * reply_tokens_max;
        // A prompt costs on average half of its bound.
        let usually = (most / chance.within(3..31)).saturating_sub(prompt / 2);
        let reply_usual = (usually / reply_token).clamp(50, reply_tokens_max / 2) as u32;
        Self {
            text: chance.any(),
            turns: if chance.percent(80) {
                1
            } else {
                chance.within(2..8) as usize
            },
            first: TurnBound::new(
                nanodollars(prompt),
                nanodollars(reply_token),
                reply_tokens_max as u32,
            ),
            reply_usual,
            fate: if chance.percent(97) {
                Fate::Succeeds
            } else {
                Fate::Fails(FailureClass::Declined)
            },
            by_program: false,
            awaited: true,
            required: false,
            ..Self::new(chance)
        }
    }

    /// Makes one task in twelve wait for something outside of the process.
    pub(crate) fn may_be_outside(&mut self) {
        self.outside = self.text.is_multiple_of(12);
        self.by_program |= self.outside;
        if self.outside {
            self.fate = Fate::Succeeds;
        }
    }

    /// Whether the process asks for what it waits for outside, instead of parking.
    pub(crate) fn is_polled(&self) -> bool {
        self.outside && self.text.is_multiple_of(24)
    }

    /// Removes the limits that could prevent its result.
    pub(crate) fn unlimit(&mut self) {
        (self.own, self.timeout) = (None, TIMEOUT);
    }

    /// Requests of one attempt, including the judge's.
    pub(crate) fn requests(&self) -> usize {
        self.turns + usize::from(self.judged && !self.by_program)
    }

    /// Whether this request of an attempt is the judge's.
    pub(crate) fn judges(&self, turn: usize) -> bool {
        turn >= self.turns
    }

    /// What the reply to this request says if it has enough room: always the same. The last turn
    /// answers; a judge may miss the format of its verdict once.
    pub(crate) fn reading(&self, turn: usize, rung: usize) -> Reading {
        let dice = (self.text >> (turn % 16 * 4)) % 10;
        match turn.checked_sub(self.turns) {
            None if turn + 1 == self.turns => Reading::Answers,
            None => match dice {
                0 => Reading::Pauses,
                1 if turn < 4 => Reading::Misses,
                2 if turn == 0 => Reading::Empty,
                3 if turn == 0 => Reading::NoCall,
                _ => Reading::Calls,
            },
            Some(0) if dice == 0 => Reading::NoVerdict,
            Some(_) if self.refuses(rung) => Reading::Refuses,
            Some(_) => Reading::Passes,
        }
    }

    /// Bound of the cost of `turn` on a model; it grows with the conversation.
    pub(crate) fn bound(&self, turn: usize, model: Option<&Arc<str>>) -> TurnBound {
        if self.by_program {
            return TurnBound::fixed(self.first.most());
        }
        if self.judges(turn) {
            return self.judge;
        }
        let dearer = 1 + self
            .models()
            .position(|name| Some(&name) == model)
            .unwrap_or_default() as u64;
        TurnBound {
            prompt: PicoUsd(self.first.prompt.0 * dearer * (turn as u64 + 4) / 4),
            reply_token: PicoUsd(self.first.reply_token.0 * dearer),
            ..self.first
        }
    }

    /// Tokens of the prompt of `turn`.
    pub(crate) fn tokens(&self, turn: usize) -> u64 {
        self.input * (turn as u64 + 4) / 4
    }

    /// Approximate cost of all its requests.
    pub(crate) fn cost_usual(&self) -> PicoUsd {
        let of = |turn| {
            let TurnBound {
                prompt,
                reply_token,
                ..
            } = self.bound(turn, None);
            PicoUsd(prompt.0 / 2 + reply_token.0 * u64::from(self.reply_usual))
        };
        (0..self.turns).map(of).sum()
    }

    /// The largest of the least reservations of its requests.
    pub(crate) fn least_max(&self) -> PicoUsd {
        let of = |turn| {
            self.models()
                .map(move |model| self.bound(turn, Some(&model)).least())
        };
        (0..self.requests()).flat_map(of).max().unwrap_or_default()
    }

    /// The facts submitted with it.
    pub(crate) fn facts(&self) -> TaskFacts {
        let mut models: Vec<_> = if self.by_program {
            vec![]
        } else {
            self.models().collect()
        };
        let first_turns = match self.by_program {
            true => vec![self.bound(0, None)],
            false => models
                .iter()
                .map(|model| self.bound(0, Some(model)))
                .collect(),
        };
        let fallbacks = models.split_off(self.rungs.min(models.len()));
        TaskFacts {
            priority: self.priority,
            phase: self.phase.map(|phase| PHASES[phase].into()),
            checked: self.refused > 0 || self.judged,
            models,
            fallbacks,
            first_turns,
            cost_max: self.own,
            is_program: self.by_program,
            ..TaskFacts::default()
        }
    }

    /// The models of its ladder, then its fallbacks.
    fn models(&self) -> impl Iterator<Item = Arc<str>> {
        let ladder = (0..self.rungs).map(|rung| format!("rung-{rung}").into());
        ladder.chain((0..self.stand_ins).map(|place| format!("stand-in-{place}").into()))
    }

    /// Whether its program does not report the total cost.
    pub(crate) fn is_mute(&self) -> bool {
        self.text.is_multiple_of(5)
    }

    /// Whether it has a result in an undisturbed run.
    pub(crate) fn succeeds(&self) -> bool {
        // After a refusal on a weaker model, the strongest one's result is accepted unjudged.
        let is_unjudged = self.judged && self.rungs > 1;
        self.fate == Fate::Succeeds && (self.by_program || is_unjudged || self.refused < self.rungs)
    }

    /// Whether its check refuses the result of an attempt on this rung.
    pub(crate) fn refuses(&self, rung: usize) -> bool {
        !self.by_program && rung < self.refused
    }

    /// The identity of this call with this prompt.
    pub(crate) fn key(&self, prompt: &str) -> Key {
        let executor = match (self.outside, self.by_program) {
            (true, _) => "person",
            (false, true) => "command",
            (false, false) => "api",
        };
        key(executor, prompt)
    }
}

/// The identity of a request with this prompt.
pub(crate) fn key(executor: &str, prompt: &str) -> Key {
    Key::of(&KeyParts {
        prompt,
        context: None,
        schema: None,
        models: &[],
        effort: None,
        executor,
        agent: None,
        tools: &[],
        isolation: Isolation::None,
        inputs: &[],
        check: &[],
    })
}

/// Whether a model of this name is a fallback.
pub(crate) fn stands_in(model: &str) -> bool {
    model.starts_with("stand-in")
}
