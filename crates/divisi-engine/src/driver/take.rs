//! Handles messages.

use super::inbox::From;
use super::message::{FlowNews, Message, Reply, TaskReport, Waiter};
use super::{DriveError, Driver};
use crate::attempt::AttemptResult;
use crate::clock::wall_clock;
use crate::executor::{AttemptNews, Line, Suspended};
use crate::resolve::Resolved;
use divisi_core::attempt::Slot;
use divisi_core::content::{Blob, Content};
use divisi_core::event::Suspension;
use divisi_core::run::{AttemptEnd, Report};
use divisi_core::run_loop::{Submitted, UnderWay};
use divisi_core::{AttemptId, Input, TaskId};
use std::sync::Arc;

impl Driver {
    /// Handles one message: decides what follows and applies it.
    pub(super) fn take(&mut self, message: Message) -> Result<(), DriveError> {
        let now = wall_clock();
        match message.redacted() {
            Message::Submit { resolved, waiter } => return self.submit(*resolved, waiter),
            Message::Flow(FlowNews::Phase { title, cap }) => {
                self.runs.input(now, Input::Phase { title, cap })
            }
            Message::Flow(FlowNews::Log(line)) => self.runs.input(now, Input::Log(line)),
            Message::Flow(FlowNews::Uncaught { message, count }) => {
                self.runs.input(now, Input::Uncaught { message, count })
            }
            Message::Refused { refusal, count } => {
                self.runs.input(now, Input::Refused { refusal, count })
            }
            Message::Flow(FlowNews::Quiet { answered }) => self.runs.flow_waits(now, answered),
            Message::Flow(FlowNews::Ended(result)) => {
                let result = result.map(|value| self.keep(value)).map_err(Box::new);
                self.runs.flow_ended(now, result)
            }
            Message::Attempt(news) => return self.take_news(news),
            Message::Ended { attempt, result } => return self.take_end(attempt, *result),
            Message::Estimate(estimate) => self.runs.input(now, Input::Estimate(estimate)),
            Message::Control { message, receipt } => {
                self.controls.push((message, From::Caller(receipt)));
                Ok(())
            }
            Message::PutOff(task) => {
                self.runs.put_off(task);
                Ok(())
            }
            Message::Park => self.runs.park(now),
            Message::Cancel => {
                let mut lines: Vec<&Line> = self.lines.values().collect();
                lines.sort_by_key(|line| line.attempt());
                let under_way = lines.into_iter().map(|line| UnderWay {
                    attempt: line.attempt(),
                    owed: line.withdraw(),
                    first: line.received(Slot::First),
                    second_most: line.may_cost(),
                    waited: line.waited(),
                    waits: line.take_waits(),
                });
                self.runs.cancel(now, under_way)
            }
        }
        .map_err(Into::into)
    }

    fn submit(&mut self, resolved: Resolved, waiter: Waiter) -> Result<(), DriveError> {
        let Resolved {
            submission,
            blob,
            assignment,
            is_cut,
        } = resolved;
        let label = submission.facts.label.clone();
        let (task, is_new) = match self.runs.submit(wall_clock(), submission, waiter)? {
            Submitted::Taken { task, is_new } => (task, is_new),
            Submitted::Refused(waiter) => {
                self.hand(waiter, TaskReport::refused(self.runs.run()));
                return Ok(());
            }
        };
        if is_new {
            self.blobs.extend(blob);
        }
        if is_new && is_cut {
            let line = format!("warning: `{label}` holds a key; `***` stands in its place");
            self.runs.input(wall_clock(), Input::Log(line.into()))?;
        }
        if let Some(assignment) = assignment.filter(|_| self.is_open(task)) {
            self.assignments.insert(task, assignment);
            self.await_result(task, true);
        }
        Ok(())
    }

    fn is_open(&self, task: TaskId) -> bool {
        self.runs
            .run()
            .task(task)
            .is_some_and(|task| task.outcome().is_none())
    }

    fn take_news(&mut self, news: AttemptNews) -> Result<(), DriveError> {
        let now = wall_clock();
        // When an answer channel is returned, dropping it signals the refusal to the attempt.
        match news {
            AttemptNews::TurnEnded {
                attempt,
                turn,
                blob,
                answer,
            } => {
                let denied =
                    self.runs
                        .ask(now, Input::TurnEnded { attempt, turn }, Reply::Done(answer))?;
                self.blobs.extend(blob.filter(|_| denied.is_none()));
            }
            AttemptNews::TurnWanted {
                attempt,
                tool_results,
                tools,
                bound,
                blob,
                answer,
            } => {
                let before = self.runs.batch().len();
                let wanted = Input::TurnWanted {
                    attempt,
                    tool_results,
                    tools,
                    bound,
                };
                drop(self.runs.ask(now, wanted, Reply::Room(answer))?);
                // Tool results are kept even if the request is denied.
                self.blobs
                    .extend(blob.filter(|_| self.runs.batch().len() > before));
            }
            AttemptNews::HedgeWanted { attempt, answer } => {
                drop(
                    self.runs
                        .ask(now, Input::HedgeWanted { attempt }, Reply::Done(answer))?,
                );
            }
            AttemptNews::HedgeEnded { attempt, most } => {
                self.runs.input(now, Input::HedgeEnded { attempt, most })?;
            }
            AttemptNews::Reports {
                attempt,
                model,
                usage,
                bill,
                handle,
            } => {
                let handle = handle.map(|handle| self.keep(handle));
                let report = Box::new(Report {
                    model,
                    usage,
                    bill,
                    handle,
                });
                self.runs
                    .input(now, Input::AttemptReports { attempt, report })?;
            }
            AttemptNews::Log(line) => self.runs.input(now, Input::Log(line))?,
            AttemptNews::Refused(refusal) => {
                self.runs.input(now, Input::Refused { refusal, count: 1 })?;
            }
        }
        Ok(())
    }

    /// Handles the end of an attempt.
    fn take_end(&mut self, attempt: AttemptId, result: AttemptResult) -> Result<(), DriveError> {
        let now = wall_clock();
        self.lines.remove(&attempt);
        if let Some(suspended) = result.suspended {
            let Suspended {
                kind,
                handle,
                question,
                reserved,
                goes_on,
                choices,
                default,
                timeout,
            } = *suspended;
            let handle = handle.map(|handle| self.keep(handle));
            let default = default.map(|default| self.keep(default));
            let suspension = Box::new(Suspension {
                kind,
                handle,
                reserved,
                question,
                goes_on,
                choices,
                default,
                timeout,
            });
            self.runs.input(
                now,
                Input::AttemptSuspended {
                    attempt,
                    suspension,
                },
            )?;
            self.await_result(attempt.task, false);
            return Ok(());
        }
        let last_turn = result.last_turn.map(|(turn, reply)| {
            if let Content::Stored { digest, .. } = &turn.reply {
                self.blobs.push(Blob {
                    digest: *digest,
                    text: reply,
                });
            }
            Box::new(turn)
        });
        let end = AttemptEnd {
            result: result.result.map(|value| self.keep(value)),
            last_turn,
            usage: result.usage,
            cost: result.cost,
            unanswered: result.unanswered,
            retry_after: result.retry_after,
            should_retry: result.should_retry,
            next_turn: result.next_turn,
            findings: result.findings.map(|findings| self.keep(findings)),
            waited: result.waited,
            waits: result.waits,
            worktree: result.worktree,
            answered_by: None,
        };
        self.runs.input(
            now,
            Input::AttemptEnded {
                attempt,
                end: Box::new(end),
            },
        )?;
        Ok(())
    }

    /// Converts `text` to content; its bytes are stored with this batch if they are many.
    fn keep(&mut self, text: Arc<str>) -> Content {
        let (content, blob) = Content::of(text);
        self.blobs.extend(blob);
        content
    }
}
