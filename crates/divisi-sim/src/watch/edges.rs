//! Checks the recorded dependencies of tasks and waits of attempts.

use super::ensure;
use divisi_core::event::{Awaited, Wait};
use divisi_core::{AttemptId, Event, Millis, Outcome, TaskId, Timestamp};
use std::collections::BTreeMap;

/// Records outcomes and waits, from events alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Edges {
    /// For each ended task, the number of outcomes before its own, and whether it has a result.
    outcomes: BTreeMap<TaskId, (u32, bool)>,
    recorded: u32,
    /// Attempts under way: when each began, and its recorded waits.
    under_way: BTreeMap<AttemptId, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    began_at: Timestamp,
    /// The end of its last recorded wait.
    up_to: Millis,
    /// Sum of its recorded waits.
    waited: Millis,
}

impl Edges {
    pub(super) fn book(&mut self, now: Timestamp, event: &Event) -> Result<(), String> {
        match event {
            Event::TaskSubmitted(submitted) => {
                let (task, edges) = (submitted.task, &submitted.edges);
                let (given, recorded) = (edges.given, self.recorded);
                ensure!(
                    given <= recorded,
                    "{task} was asked for after {given} of {recorded} outcomes"
                );
                let before =
                    |id: &TaskId| self.outcomes.get(id).filter(|(order, _)| *order < given);
                if let Some(Awaited::Task(waited)) = &edges.waits {
                    ensure!(
                        before(waited).is_some(),
                        "{task} waits for {waited}, which was not given"
                    );
                }
                for read in &edges.reads {
                    let has_result = before(read).is_some_and(|(_, has_result)| *has_result);
                    ensure!(has_result, "{task} reads {read}, which had no result");
                }
            }
            Event::TaskEnded { task, outcome } => {
                let has_result = matches!(outcome, Outcome::Ok { .. });
                self.outcomes.insert(*task, (self.recorded, has_result));
                self.recorded += 1;
            }
            Event::AttemptScheduled { attempt, .. } => {
                let known = Known {
                    began_at: now,
                    up_to: Millis(0),
                    waited: Millis(0),
                };
                self.under_way.insert(*attempt, known);
            }
            Event::TurnEnded { attempt, turn } => {
                let times = &turn.times;
                self.waited(now, *attempt, &times.waits)?;
                let Some(known) = self.under_way.get_mut(attempt) else {
                    return Ok(());
                };
                let (sent, age) = (times.sent, now.since(known.began_at));
                ensure!(
                    sent <= age,
                    "{attempt} is {} old and has sent after {}",
                    age.0,
                    sent.0
                );
                let begun = Millis(sent.0 + times.began.unwrap_or_default().0);
                ensure!(
                    begun <= age,
                    "{attempt} is {} old and is answered after {}",
                    age.0,
                    begun.0
                );
            }
            Event::AttemptEnded {
                attempt,
                waits,
                waited,
                ..
            } => {
                self.waited(now, *attempt, waits)?;
                let known = self.under_way.remove(attempt).map(|known| known.waited);
                // The run itself may end it without knowing its waits.
                let is_told = *waited > Millis(0);
                let agrees = !is_told || known.is_none_or(|known| known <= *waited);
                ensure!(
                    agrees,
                    "{attempt} has waited {}, and tells of {known:?}",
                    waited.0
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// Waits must follow one another within their attempt.
    fn waited(&mut self, now: Timestamp, attempt: AttemptId, waits: &[Wait]) -> Result<(), String> {
        let Some(known) = self.under_way.get_mut(&attempt) else {
            ensure!(waits.is_empty(), "{attempt} waits, and is not under way");
            return Ok(());
        };
        for wait in waits {
            ensure!(wait.took > Millis(0), "{attempt} has waited for nothing");
            ensure!(
                wait.from >= known.up_to,
                "{attempt} waits at {} for two things",
                wait.from.0
            );
            let age = now.since(known.began_at);
            ensure!(
                wait.until() <= age,
                "{attempt} is {} old and has waited until {}",
                age.0,
                wait.until().0
            );
            known.up_to = wait.until();
            known.waited.0 += wait.took.0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_core::Failure;
    use divisi_core::FailureClass::Server;
    use divisi_core::event::WaitCause;
    use divisi_core::{PicoUsd, Usage};

    const ATTEMPT: AttemptId = AttemptId {
        task: TaskId(0),
        number: 1,
    };

    fn ended(waits: &[(u64, u64)], waited: u64) -> Result<(), String> {
        let mut edges = Edges::default();
        let (model, reserved, reply_tokens) = (None, PicoUsd::ZERO, None);
        let begins = Event::AttemptScheduled {
            attempt: ATTEMPT,
            model,
            reserved,
            reply_tokens,
        };
        edges.book(Timestamp(100), &begins).expect("it may begin");
        let wait = |&(from, took): &(u64, u64)| {
            let (from, took) = (Millis(from), Millis(took));
            Wait {
                cause: WaitCause::Limit,
                from,
                took,
            }
        };
        let ends = Event::AttemptEnded {
            attempt: ATTEMPT,
            failure: Some(Box::new(Failure::new(Server, "500"))),
            usage: Usage::default(),
            cost: PicoUsd::ZERO,
            unconfirmed: PicoUsd::ZERO,
            estimated: false,
            next_turn: None,
            findings: None,
            tool_results: None,
            waited: Millis(waited),
            waits: waits.iter().map(wait).collect(),
            worktree: None,
            answered_by: None,
        };
        edges.book(Timestamp(150), &ends)
    }

    #[test]
    fn waits_lie_within_their_attempt_and_beside_each_other() {
        assert_eq!(ended(&[(0, 10), (10, 40)], 50), Ok(()));
        for wrong in [&[(0, 10), (9, 1)][..], &[(10, 41)], &[(5, 0)]] {
            assert!(ended(wrong, 51).is_err(), "{wrong:?}");
        }
        assert!(ended(&[(0, 10)], 9).is_err());
    }
}
