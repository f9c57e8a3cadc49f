//! Executes a run in one process after the other, until it has the intended result.

use crate::Tally;
use crate::ask::{Ask, Fate};
use crate::process::{End, Kill, Process, answer};
use crate::script::{ideal, value_of};
use crate::watch::{Watch, ensure};
use crate::world::World;
use divisi_core::event::{Caps, FlowSource, ParkReason, Recorded, RunLabel, RunStatus};
use divisi_core::run::{Stage, TaskState};
use divisi_core::run_loop::RunLoop;
use divisi_core::{Content, Event, Input, Limits, Outcome, PicoUsd, Position, Run, TaskId};
use std::collections::BTreeSet;

/// Executions before the undisturbed one; more find hardly anything new.
const EXECUTIONS_MAX: u64 = 6;

impl World {
    /// Executes the flow with disturbances, then once more without.
    pub(crate) fn play(mut self) -> Result<Tally, String> {
        let (mut run, mut reopen_failed) = (Run::new(), false);
        loop {
            run = self.execute(run, reopen_failed, false)?;
            let done = matches!(run.stage(), Stage::Ended(RunStatus::Ok));
            if self.tally.executions >= EXECUTIONS_MAX || (done && self.people.percent(50)) {
                break;
            }
            run = self.answer(run, 60)?;
            reopen_failed = self.people.percent(30);
            self.prepare(&run, reopen_failed);
        }
        self.vendor.calm();
        self.caps = Caps::default();
        self.flow_caps.clear();
        self.flow.each(Ask::unlimit);
        self.expected = None;
        let in_flight_max = self.limits.in_flight_max;
        self.limits = Limits {
            in_flight_max,
            hopeless_after: 0,
            ..Limits::default()
        };
        self.story.tell(self.now, || "and now in peace".into());
        let mut run = self.execute(run, true, true)?;
        while matches!(run.stage(), Stage::Parked(ParkReason::Suspended { .. })) {
            run = self.answer(run, 100)?;
            run = self.execute(run, false, true)?;
        }
        self.judge(&run)?;
        self.tally.requests = self.vendor.requests;
        Ok(self.tally)
    }

    /// One process, from durable events to durable events.
    pub(crate) fn execute(
        &mut self,
        run: Run,
        reopen_failed: bool,
        calm: bool,
    ) -> Result<Run, String> {
        self.tally.executions += 1;
        let source = FlowSource {
            label: RunLabel::default(),
            path: None,
            source: text("// simulated"),
            args: None,
            folder: None,
            options: None,
        };
        let (limits, caps) = (self.limits.clone(), self.caps.clone());
        let first = match run.stage() {
            Stage::Unstarted => Input::Start {
                name: "simulation".into(),
                flow: source,
                limits,
                caps,
            },
            _ => Input::Resume {
                flow: source,
                limits,
                caps,
                reopen_failed,
                reopen: vec![],
            },
        };
        let kill = if calm || self.tally.kills >= self.scenario.kills.into() {
            Kill::Never
        } else {
            self.kill()
        };
        let disturbed = !calm && self.scenario.people && self.people.percent(60);
        let flow = self.flow.clone();
        let watch = Watch::of(
            &self.journal,
            self.expected.take(),
            self.scenario.overcharges && !calm,
        );
        let mut process = Process::new(self, run, watch, &flow, kill);
        if disturbed {
            process.disturb();
        }
        let (end, live) = process.drive(first)?;
        let replayed = self.reload()?;
        if end == End::Killed {
            self.tally.kills += 1;
            self.story.tell(self.now, || "killed".into());
        } else {
            ensure!(replayed == live, "the replay is not the run that was live");
        }
        Ok(replayed)
    }

    /// The user answers some suspended tasks while no process drives the run, as `Engine::answer`
    /// does; each answer is accepted once.
    fn answer(&mut self, run: Run, percent: u64) -> Result<Run, String> {
        let waiting: Vec<TaskId> = run.suspended().collect();
        let position = Position(self.journal.len() as u64);
        let mut runs: RunLoop<(), ()> = RunLoop::new(run, position, None, ());
        for task in waiting {
            if self.people.percent(100 - percent) {
                continue;
            }
            self.story.tell(self.now, || {
                format!("answered  {task}, with nothing at work")
            });
            for _ in 0..2 {
                let Some(state) = runs.run().task(task) else {
                    continue;
                };
                let end = Box::new(answer(state, Fate::Succeeds));
                runs.input(self.now, Input::Resolve { task, end })
                    .map_err(|illegal| illegal.to_string())?;
            }
            self.tally.answered += 1;
        }
        let (_, batch) = runs.take_batch();
        let ends = |recorded: &&Recorded| matches!(recorded.event, Event::AttemptEnded { .. });
        let tasks: BTreeSet<_> = batch
            .iter()
            .filter(ends)
            .map(|recorded| format!("{:?}", recorded.event))
            .collect();
        ensure!(
            tasks.len() == batch.iter().filter(ends).count(),
            "an answer is taken twice"
        );
        self.journal.extend(batch);
        self.reload()
    }

    fn kill(&mut self) -> Kill {
        let append = self
            .death
            .within(1..if self.scenario.fan_out { 600 } else { 40 });
        match self.death.within(0..4) {
            0 => Kill::Before(append),
            1 => Kill::After(append),
            2 => Kill::Amid(append),
            _ => Kill::Never,
        }
    }

    /// What the user does before resuming.
    fn prepare(&mut self, run: &Run, reopen_failed: bool) {
        let edited = self.scenario.edits && self.editor.percent(60);
        if edited {
            self.flow.edit(&mut self.editor);
            let scenario = self.scenario;
            self.flow.each(|ask| scenario.strip(ask));
            self.story.tell(self.now, || "edited".into());
        }
        self.vendor_again(run);
        let mut change = |cap: &mut PicoUsd| match self.people.within(0..10) {
            0 => cap.0 /= 2,
            1..4 => {}
            _ => cap.0 *= 2,
        };
        let caps = &mut self.caps;
        caps.run
            .iter_mut()
            .chain(caps.phases.values_mut())
            .chain(self.flow_caps.values_mut())
            .for_each(&mut change);
        self.now = self.now + divisi_core::Millis(self.people.within(0..10_000));
        self.unchanged &= !edited && !reopen_failed && !self.scenario.cramped;
        // Timers are skipped when the flow has ended, after which it requests nothing.
        let kept = |task: &TaskState| match task.outcome() {
            Some(Outcome::Skipped { .. }) => task.facts().wait.is_some(),
            outcome => outcome != Some(&Outcome::Cancelled),
        };
        self.unchanged &= run.tasks().all(|(_, task)| kept(task));
        self.expected = self
            .unchanged
            .then(|| run.tasks().map(|(id, _)| id).collect());
    }

    /// What the user does about exhausted quota and a refused key.
    fn vendor_again(&mut self, run: &Run) {
        let waits = self.people.percent(50);
        match (run.stage(), self.vendor.quota_resets_at()) {
            (Stage::Parked(ParkReason::Quota { .. }), Some(at)) if waits => {
                self.now = self.now.max(at);
            }
            (Stage::Parked(ParkReason::Quota { .. }), _) => self.vendor.refill(),
            _ => {}
        }
        if self.people.percent(80) {
            self.vendor.renew_key();
        }
    }

    /// Checks that an undisturbed execution has the intended result.
    fn judge(&self, run: &Run) -> Result<(), String> {
        let result = match run.result() {
            Some(Ok(Content::Inline(text))) => text.parse().map_err(|_| ()),
            _ => Err(()),
        };
        let meant = ideal(&self.flow, &self.answered);
        ensure!(
            Some(result) == meant,
            "the flow came to {result:?}, and {meant:?} is right"
        );
        let counts = run.counts();
        let status = match result {
            Err(()) => RunStatus::Failed,
            Ok(_) if counts.ok == counts.total() => RunStatus::Ok,
            Ok(_) if counts.ok == 0 => RunStatus::Failed,
            Ok(_) => RunStatus::Partial,
        };
        ensure!(
            *run.stage() == Stage::Ended(status),
            "it is {:?} with {counts:?}",
            run.stage()
        );
        for (id, task) in run.tasks() {
            if let Some(Outcome::Ok { value }) = task.outcome() {
                let right = match task.facts().wait {
                    Some(_) => text("null"),
                    None => text(&value_of(&task.key()).to_string()),
                };
                ensure!(*value == right, "{id} has the result of something else");
            }
        }
        Ok(())
    }
}

fn text(text: &str) -> Content {
    Content::Inline(text.into())
}
