//! Reading what happened out of a journal.

use super::{History, Sample};
use crate::event::{TaskFacts, TaskSubmitted};
use crate::{AttemptId, Content, Event, Failure, FailureClass, Outcome, PicoUsd, Recorded, Task, TaskId};
use crate::{Timestamp, Usage};
use std::collections::BTreeMap;
use std::sync::Arc;

impl History {
    /// Learns what the finished tasks of one run tell. Whole journals or their
    /// beginnings: what a journal does not end yet is left out.
    pub fn learn<'a>(&mut self, events: impl IntoIterator<Item = &'a Recorded>) {
        let mut reader = Reader::default();
        for recorded in events {
            reader.read(recorded, self);
        }
    }
}

/// Reads one journal event by event, for one that is too long to be held whole.
#[derive(Debug, Default)]
pub struct Reader {
    flow: Arc<str>,
    started: Timestamp,
    /// Those that have been submitted.
    tasks: BTreeMap<TaskId, Open>,
}

/// A task under way.
#[derive(Debug)]
struct Open {
    work: u64,
    facts: Arc<TaskFacts>,
    /// Whether its results are known to be checked.
    checked: bool,
    /// What the model it is on has done so far; `None` between models.
    part: Option<Sample>,
    /// The attempt in flight, and what it has cost so far.
    attempt: Option<(AttemptId, Timestamp, PicoUsd)>,
}

impl Reader {
    /// Takes the next event; what it ends goes into `history`.
    pub fn read(&mut self, recorded: &Recorded, history: &mut History) {
        let at = recorded.at;
        match &recorded.event {
            Event::RunStarted(started) => {
                self.flow = started.name.clone();
                self.started = at;
            }
            Event::TaskSubmitted(submitted) => {
                self.tasks.insert(submitted.task, Open::new(submitted, self.started));
            }
            Event::TaskClaimed { task, facts: Some(facts) } => {
                if let Some(open) = self.tasks.get_mut(task) {
                    open.facts = facts.clone();
                }
            }
            Event::AttemptScheduled { attempt, model, .. } => {
                let flow = self.flow.clone();
                if let Some(open) = self.tasks.get_mut(&attempt.task) {
                    history.extend(open.begin(&flow, *attempt, model.as_ref(), at));
                }
            }
            Event::TurnEnded { attempt, turn } => {
                if let Some(open) = self.tasks.get_mut(&attempt.task) {
                    open.used(*attempt, &turn.usage, turn.cost, true);
                }
            }
            Event::AttemptEnded { attempt, failure, usage, cost, .. } => {
                if let Some(open) = self.tasks.get_mut(&attempt.task) {
                    open.used(*attempt, usage, *cost, false);
                    history.extend(open.end(*attempt, failure.as_deref(), at));
                }
            }
            Event::TaskEnded { task, outcome } => {
                // A task that a resume tries again is claimed, not submitted anew.
                if let Some(open) = self.tasks.get_mut(task) {
                    history.extend(open.finish(outcome));
                }
            }
            Event::RunResumed(_)
            | Event::CaughtUp { .. }
            | Event::PhaseStarted { .. }
            | Event::Logged { .. }
            | Event::TaskClaimed { facts: None, .. }
            | Event::TurnScheduled { .. }
            | Event::RetryPlanned { .. }
            | Event::ParkingStarted { .. }
            | Event::RunParked { .. }
            | Event::FlowEnded { .. }
            | Event::RunEnded { .. } => {}
        }
    }
}

impl Extend<Sample> for History {
    fn extend<I: IntoIterator<Item = Sample>>(&mut self, samples: I) {
        samples.into_iter().for_each(|sample| self.add(sample));
    }
}

impl Open {
    fn new(submitted: &TaskSubmitted, started: Timestamp) -> Self {
        let mut work = [0; 8];
        work.copy_from_slice(&submitted.key.0.as_bytes()[..8]);
        Self {
            // Equal tasks, of one run or of two, are two pieces of work.
            work: u64::from_le_bytes(work) ^ u64::from(submitted.occurrence) ^ started.0,
            facts: submitted.facts.clone(),
            checked: has_check(&submitted.spec),
            part: None,
            attempt: None,
        }
    }

    /// An attempt starts. Another model than the last one's ends that one's part.
    fn begin(
        &mut self,
        flow: &Arc<str>,
        attempt: AttemptId,
        model: Option<&Arc<str>>,
        at: Timestamp,
    ) -> Option<Sample> {
        let model: Arc<str> = model.cloned().unwrap_or_default();
        let ended = self.part.take_if(|part| part.model != model);
        let facts = &self.facts;
        let rung = facts.models.iter().position(|known| *known == model).unwrap_or(0);
        self.part.get_or_insert_with(|| Sample {
            work: self.work,
            flow: flow.clone(),
            label: facts.label.clone(),
            phase: facts.phase.clone(),
            kind: kind_of(facts),
            executor: facts.executor.clone(),
            model,
            rung,
            ..Sample::default()
        });
        self.attempt = Some((attempt, at, PicoUsd::ZERO));
        ended
    }

    fn used(&mut self, attempt: AttemptId, usage: &Usage, cost: PicoUsd, is_turn: bool) {
        let Some(part) = &mut self.part else { return };
        if is_turn {
            if part.turns == 0 {
                part.prompt_tokens = usage.prompt();
            }
            part.turns += 1;
        }
        part.usage += *usage;
        part.cost += cost;
        if let Some((current, _, spent)) = &mut self.attempt
            && *current == attempt
        {
            *spent += cost;
        }
    }

    /// An attempt has ended; so has the model's part, if it made a result.
    fn end(&mut self, attempt: AttemptId, failure: Option<&Failure>, at: Timestamp) -> Option<Sample> {
        let (_, since, spent) = self.attempt.take_if(|(current, ..)| *current == attempt)?;
        let part = self.part.as_mut()?;
        part.at = at;
        part.took.0 += at.since(since).0;
        match failure.map(|failure| failure.class) {
            None => {
                part.accepted = self.checked.then_some(true);
                self.part.take()
            }
            Some(FailureClass::Check) => {
                self.checked = true;
                part.accepted = Some(false);
                self.part.take()
            }
            Some(_) => {
                part.lost += spent;
                None
            }
        }
    }

    /// The task has ended. What a model did in vain counts as well, unless it
    /// was stopped half-way: that says nothing about what such a task costs.
    fn finish(&mut self, outcome: &Outcome) -> Option<Sample> {
        self.attempt = None;
        let part = self.part.take()?;
        match outcome {
            Outcome::Ok { .. } | Outcome::Failed(_) => Some(part),
            Outcome::Skipped { .. } | Outcome::Cancelled => None,
        }
    }
}

/// The kind of work a task was, as far as the journal says.
fn kind_of(_facts: &TaskFacts) -> Option<Arc<str>> {
    None
}

/// Whether a task asks for a check. A long task is not in the journal itself;
/// its checks become known when the first one refuses a result.
fn has_check(spec: &Content) -> bool {
    match spec {
        Content::Inline(text) => serde_json::from_str::<Task>(text).is_ok_and(|task| !task.check.is_empty()),
        Content::Stored { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, Key, Millis, Position};

    /// A journal of one task on a ladder of `weak` and `strong`: each line is
    /// `ms: model cost [failure]`, an attempt that ends a second after it began.
    fn learnt(spec: &str, attempts: &[(&str, u64, Option<FailureClass>)], outcome: Outcome) -> Vec<Sample> {
        let facts = TaskFacts {
            label: "auth".into(),
            models: vec!["weak".into(), "strong".into()],
            ..TaskFacts::default()
        };
        let submitted = TaskSubmitted {
            task: TaskId(0),
            key: Key(Digest::of(b"key")),
            occurrence: 0,
            facts: Arc::new(facts),
            spec: Content::Inline(spec.into()),
        };
        let mut events = vec![Event::TaskSubmitted(Box::new(submitted))];
        for (i, (model, cost, class)) in attempts.iter().enumerate() {
            let attempt = AttemptId { task: TaskId(0), number: i as u32 + 1 };
            let model = Some(Arc::from(*model));
            events.push(Event::AttemptScheduled { attempt, model, reserved: PicoUsd::ZERO });
            events.push(Event::AttemptEnded {
                attempt,
                failure: class.map(|class| Box::new(Failure::new(class, "no"))),
                usage: Usage { input: 10, ..Usage::default() },
                cost: PicoUsd(*cost),
                next_turn_max: PicoUsd::ZERO,
                tool_results: None,
            });
        }
        events.push(Event::TaskEnded { task: TaskId(0), outcome });
        let journal: Vec<Recorded> = events
            .into_iter()
            .enumerate()
            .map(|(i, event)| Recorded {
                position: Position(i as u64),
                at: Timestamp(i as u64 * 1_000),
                event,
            })
            .collect();
        let mut history = History::default();
        history.learn(&journal);
        history.newest().into_iter().rev().cloned().collect()
    }

    fn done() -> Outcome {
        Outcome::Ok { value: Content::Inline("1".into()) }
    }

    const CHECKED: &str = r#"{"prompt":"p","check":[{"command":"true"}]}"#;

    #[test]
    fn a_refused_result_and_the_one_after_it_are_two_samples() {
        let samples =
            learnt(CHECKED, &[("weak", 5, Some(FailureClass::Check)), ("strong", 70, None)], done());
        let seen: Vec<_> = samples.iter().map(|s| (&*s.model, s.rung, s.cost.0, s.accepted)).collect();
        assert_eq!(seen, [("weak", 0, 5, Some(false)), ("strong", 1, 70, Some(true))]);
        assert_eq!(samples[0].work, samples[1].work);
        assert_eq!(samples[1].took, Millis(1_000));
    }

    #[test]
    fn a_failed_attempt_is_part_of_what_the_task_cost() {
        let samples = learnt("{}", &[("weak", 5, Some(FailureClass::Server)), ("weak", 7, None)], done());
        assert_eq!(samples.len(), 1);
        assert_eq!((samples[0].cost, samples[0].lost), (PicoUsd(12), PicoUsd(5)));
        assert_eq!((samples[0].took, samples[0].accepted), (Millis(2_000), None));
        assert_eq!(samples[0].usage.input, 20);
    }

    #[test]
    fn a_cancelled_task_tells_nothing_and_a_failed_one_what_it_cost() {
        let attempts = [("weak", 5, Some(FailureClass::Turns))];
        assert_eq!(learnt("{}", &attempts, Outcome::Cancelled), []);
        let failed = Outcome::Failed(Failure::new(FailureClass::Turns, "no"));
        assert_eq!(learnt("{}", &attempts, failed)[0].cost, PicoUsd(5));
    }
}
