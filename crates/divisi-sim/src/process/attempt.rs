//! What carries an attempt out: a conversation of one request or more.

use super::gate::Who;
use super::{Process, text};
use crate::ask::Fate;
use crate::script::value_of;
use crate::vendor::{Family, Reply, Request};
use crate::watch::{CUT, ensure, is_cut};
use divisi_core::event::Turn;
use divisi_core::retry::Told;
use divisi_core::run::{AttemptEnd, KeptTurn, TaskStage};
use divisi_core::{AttemptId, Digest, Failure, FailureClass, Input, Key, Millis, Usage};
use std::sync::Arc;

impl Process<'_, '_> {
    /// An attempt begins. Replies that are kept are not asked for again.
    pub(super) fn begin(&mut self, attempt: AttemptId, room: Option<u32>) -> Result<(), String> {
        if !self.is_under_way(attempt) {
            // Ended again by a later input of the same batch.
            return Ok(());
        }
        let ask = self.asks[&attempt.task];
        let task = self.run.task(attempt.task);
        let told = task.is_some_and(|task| task.rung() == 0 || task.findings().is_some());
        ensure!(told, "{attempt} is not told what was wrong with the result before");
        let progress = self.progress(attempt);
        for turn in 0..progress {
            let results = self.kept(attempt, turn).is_some_and(|kept| kept.tool_results.is_some());
            let none_due = turn + 1 >= ask.turns || turn + 1 == progress;
            ensure!(results || none_due, "{attempt} has lost the tool results of turn {turn}");
        }
        match progress {
            0 => self.send(attempt, room)?,
            all if all == ask.requests() => self.answer(attempt, None),
            some => self.want_turn(attempt, some),
        }
        Ok(())
    }

    pub(super) fn want_turn(&mut self, attempt: AttemptId, turn: usize) {
        let ask = self.asks[&attempt.task];
        let bound = ask.bound(turn, self.model(attempt));
        // A tool that has run before the kill does not run again; what is judged calls none.
        let last = self.kept(attempt, turn.wrapping_sub(1));
        let known = last.is_some_and(|turn| turn.tool_results.is_some()) || ask.judges(turn);
        let tool_results = (!known).then(|| text(&format!("results of {turn}")));
        self.say(Input::TurnWanted { attempt, tool_results, bound });
    }

    /// The next request of an attempt leaves.
    pub(super) fn send(&mut self, attempt: AttemptId, room: Option<u32>) -> Result<(), String> {
        if !self.is_under_way(attempt) {
            return Ok(());
        }
        let (ask, turn, model) = (self.asks[&attempt.task], self.progress(attempt), self.model(attempt));
        let bound = ask.bound(turn, model);
        let room = room.unwrap_or(u32::MAX).min(bound.reply_tokens_max);
        let least = bound.reply_tokens_min;
        ensure!(room >= least, "{attempt} leaves a reply of {least} tokens only {room}");
        let name = if ask.judges(turn) { "judge" } else { model.map_or("none", |model| model) };
        let request = Request {
            ours: true,
            family: (!ask.by_program).then(|| Family::of(name)),
            bound,
            input: ask.tokens(turn),
            prefix: ask.prefix,
            room,
            reply_usual: ask.reply_usual,
        };
        let priority = self.run.task(attempt.task).map_or(0, |task| task.facts().priority);
        self.enter(Who::Attempt(attempt, turn), request, priority)
    }

    /// What follows from the answer to a request, whichever of two brought it.
    pub(super) fn hear(&mut self, attempt: AttemptId, turn: usize, reply: Reply) {
        let ask = self.asks[&attempt.task];
        let most = ask.bound(turn, self.model(attempt)).most();
        match reply {
            Reply::Answer { cost, .. } if ask.by_program => {
                let usage = Usage { output: 1, ..Usage::default() };
                let cost = self.world.vendor.claim(cost, most);
                self.end(attempt, AttemptEnd { usage, cost, ..self.result(attempt) });
            }
            Reply::Answer { cost, usage, cut } => {
                let cost = self.world.vendor.claim(cost, most);
                let model = self.model(attempt).filter(|_| !ask.judges(turn));
                let reply = Box::new(Turn {
                    request: self.request(attempt, turn),
                    reply: text(if cut { CUT } else { "reply" }),
                    model: model.cloned().unwrap_or_else(|| "judge".into()),
                    judges: ask.judges(turn),
                    usage,
                    cost,
                    took: Millis(1),
                });
                match turn + 1 == ask.requests() {
                    _ if cut => {
                        let next_turn = Some(ask.bound(turn, self.model(attempt)).whole());
                        let cut = failed(FailureClass::Interrupted);
                        self.end(attempt, AttemptEnd { last_turn: Some(reply), next_turn, ..cut });
                    }
                    true => self.answer(attempt, Some(reply)),
                    false => self.say(Input::TurnEnded { attempt, turn: reply }),
                }
            }
            Reply::Refusal { class, told: Told { retry_after, should_retry } } => {
                self.end(attempt, AttemptEnd { retry_after, should_retry, ..failed(class) });
            }
            Reply::Lost { class } => self.end(attempt, AttemptEnd { unanswered: true, ..failed(class) }),
        }
    }

    /// The attempt ends by what its last reply says.
    fn answer(&mut self, attempt: AttemptId, last_turn: Option<Box<Turn>>) {
        self.end(attempt, AttemptEnd { last_turn, ..self.result(attempt) });
    }

    fn result(&self, attempt: AttemptId) -> AttemptEnd {
        let ask = self.asks[&attempt.task];
        let rung = self.run.task(attempt.task).map_or(0, |task| task.rung());
        match ask.fate {
            Fate::Fails(class) => failed(class),
            Fate::Succeeds | Fate::Useless if ask.refuses(rung as usize) => {
                AttemptEnd { findings: Some(text("it is wrong")), ..failed(FailureClass::Check) }
            }
            Fate::Succeeds | Fate::Useless => {
                AttemptEnd::of(Ok(text(&value_of(&self.key(attempt)).to_string())))
            }
        }
    }

    /// Whether it has begun and not ended.
    pub(super) fn is_under_way(&self, attempt: AttemptId) -> bool {
        let stage = self.run.task(attempt.task).map(|task| task.stage());
        stage == Some(&TaskStage::InFlight(attempt))
    }

    pub(super) fn end(&mut self, attempt: AttemptId, end: AttemptEnd) {
        self.say(Input::AttemptEnded { attempt, end: Box::new(end) });
    }

    /// How many of its requests are answered by replies that are kept.
    pub(super) fn progress(&self, attempt: AttemptId) -> usize {
        (0..).take_while(|turn| self.kept(attempt, *turn).is_some()).count()
    }

    /// The kept reply to this request of an attempt. One that was cut is of no use.
    fn kept(&self, attempt: AttemptId, turn: usize) -> Option<&KeptTurn> {
        let kept = self.run.task(attempt.task).map(|task| task.kept_turns()).unwrap_or_default();
        let request = (!kept.is_empty()).then(|| self.request(attempt, turn))?;
        kept.iter().find(|kept| kept.request == request && !is_cut(&kept.reply))
    }

    fn model(&self, attempt: AttemptId) -> Option<&Arc<str>> {
        self.run.task(attempt.task).and_then(|task| task.model())
    }

    /// Identity of a request: what is asked of whom, and how far the
    /// conversation is. How much room there is for the reply is no part of it.
    pub(super) fn request(&self, attempt: AttemptId, turn: usize) -> Digest {
        let model = self.model(attempt).map_or("none", |model| model);
        let mut request = self.key(attempt).0.as_bytes().to_vec();
        request.extend(turn.to_le_bytes());
        request.extend(model.as_bytes());
        Digest::of(&request)
    }

    fn key(&self, attempt: AttemptId) -> Key {
        self.run.task(attempt.task).map_or(Key(Digest::of(b"")), |task| task.key())
    }
}

pub(super) fn failed(class: FailureClass) -> AttemptEnd {
    AttemptEnd::of(Err(Failure::new(class, "it did not work out")))
}
